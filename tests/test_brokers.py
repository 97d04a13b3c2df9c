"""The brokers that benchmarks start: emptied they hold no message, and ended they may be started again."""

from collections.abc import Iterator
from contextlib import AbstractContextManager

import pytest
from kombu.connection import Connection

from benchmarks import processes
from benchmarks.rabbitmq import RabbitMQ, rabbitmq_server
from tests import servers
from workers.app import ENCODE, make_app
from workers.tasks import wake

Broker = processes.Redis | RabbitMQ


@pytest.fixture(params=["redis", "rabbitmq"])
def broker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    opened: AbstractContextManager[Broker] = processes.redis_server() if request.param == "redis" else rabbitmq_server()
    with servers.or_skip(opened) as server:
        yield server


def waiting(broker: Broker) -> int:
    with Connection(broker.url()) as connection:  # type: ignore[no-untyped-call]
        try:
            return int(connection.channel().queue_declare(ENCODE, passive=True).message_count)
        except connection.channel_errors:  # Redis has no queue without a message
            return 0


def test_an_emptied_broker_holds_no_message_and_takes_new_ones(broker: Broker) -> None:
    with make_app(broker.url()) as app:
        assert wake(app, ENCODE)
        assert waiting(broker) == 1
        broker.clear()
        assert waiting(broker) == 0
        assert wake(app, ENCODE)
        assert waiting(broker) == 1


def test_a_broker_that_was_ended_starts_again(broker: Broker) -> None:
    with make_app(broker.url()) as app:
        broker.stop()
        assert not wake(app, ENCODE)
        broker.start()
        assert wake(app, ENCODE)
