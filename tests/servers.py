"""Real servers for tests; a test is skipped, with the reason, where they are not installed."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from benchmarks import processes
from benchmarks import rabbitmq as broker
from benchmarks.kafka import Kafka, kafka_server
from benchmarks.processes import free_port
from benchmarks.triton import Triton, triton_server

T = TypeVar("T")

__all__ = ["free_port", "kafka", "or_skip", "postgresql", "rabbitmq", "redis", "triton"]


def postgresql() -> AbstractContextManager[str]:
    """A PostgreSQL cluster; the URL of its database ``postgres``, whose user may create others."""
    return or_skip(processes.postgresql())


def redis() -> AbstractContextManager[str]:
    """A server of the Redis protocol; its URL."""
    return or_skip(processes.redis())


def rabbitmq() -> AbstractContextManager[str]:
    """A RabbitMQ broker; its URL."""
    return or_skip(broker.rabbitmq())


def kafka() -> AbstractContextManager[Kafka]:
    """A broker of Kafka's protocol."""
    return or_skip(kafka_server())


def triton(repository: Path, *arguments: str) -> AbstractContextManager[Triton]:
    """A Triton Inference Server on a model repository."""
    return or_skip(triton_server(repository, *arguments))


@contextmanager
def or_skip(server: AbstractContextManager[T]) -> Iterator[T]:
    """What the server's block gives; the test is skipped where it is not installed."""
    with ExitStack() as stack:
        try:
            opened = stack.enter_context(server)
        except processes.NotInstalled as missing:
            pytest.skip(str(missing))
        yield opened
