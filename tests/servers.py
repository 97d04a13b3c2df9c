"""Real servers for tests; a test is skipped, with the reason, where they are not installed."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

import pytest

from benchmarks import processes
from benchmarks.processes import free_port

__all__ = ["free_port", "postgresql", "rabbitmq", "redis"]


def postgresql() -> AbstractContextManager[str]:
    """A PostgreSQL cluster; the URL of its database ``postgres``, whose user may create others."""
    return _or_skip(processes.postgresql())


def redis() -> AbstractContextManager[str]:
    """A server of the Redis protocol; its URL."""
    return _or_skip(processes.redis())


def rabbitmq() -> AbstractContextManager[str]:
    """A RabbitMQ broker; its URL."""
    return _or_skip(processes.rabbitmq())


@contextmanager
def _or_skip(server: AbstractContextManager[str]) -> Iterator[str]:
    with ExitStack() as stack:
        try:
            url = stack.enter_context(server)
        except processes.NotInstalled as missing:
            pytest.skip(str(missing))
        yield url
