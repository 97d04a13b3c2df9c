"""A consumer and a real broker of Kafka's protocol: nothing lost, nothing done twice, poison set apart."""

import asyncio
import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from benchmarks.kafka import Kafka
from coldstart.catalog import ItemStore, Recorded
from coldstart.entities import Event
from coldstart.errors import InvalidInput, Unavailable
from coldstart.recommend import log_of
from coldstart.settings import Settings
from coldstart.telemetry import Telemetry
from coldstart.users.memory import MemoryState
from tests import servers
from tests.workers.toy import wait_until
from workers import events, messages
from workers.consuming import ConsumerThread, run_consumer
from workers.events import EventConsumer
from workers.messages import Message, apply
from workers.recording import Recorder

SESSION_S, PARTITIONS = 0.5, 3
NUMBERS = count()


@pytest.fixture(scope="module")
def broker() -> Iterator[Kafka]:
    with servers.kafka() as broker:
        yield broker


@pytest.fixture
def settings(broker: Kafka) -> Settings:
    """Topics of the test's own, of three partitions and of one."""
    name = f"topic{next(NUMBERS)}"
    broker.create(**{name: PARTITIONS, f"{name}_dead": 1})
    return Settings(
        kafka_brokers=broker.brokers, kafka_topic=name, kafka_dead_letter_topic=f"{name}-dead", kafka_group=name,
        kafka_session_seconds=SESSION_S,
    )  # fmt: skip


@pytest.fixture
def telemetry() -> Telemetry:
    return Telemetry()


@pytest.fixture
def recorder(store: ItemStore, telemetry: Telemetry) -> Recorder:
    return Recorder(store, MemoryState(log_of(store)), telemetry)


@contextmanager
def consuming(settings: Settings, recorder: Any, telemetry: Telemetry) -> Iterator[None]:
    thread = ConsumerThread(EventConsumer(settings, recorder, telemetry))
    thread.start()
    try:
        yield
    finally:
        thread.stop()
    assert "coldstart-kafka" not in [each.name for each in threading.enumerate()]


def produce(settings: Settings, *values: bytes | dict[str, Any] | list[Any]) -> list[tuple[int, int]]:
    """Partition and offset of each message, in order."""
    from aiokafka import AIOKafkaProducer

    async def send() -> list[tuple[int, int]]:
        async with AIOKafkaProducer(bootstrap_servers=settings.kafka_brokers, acks="all") as producer:
            raw = [value if isinstance(value, bytes) else json.dumps(value).encode() for value in values]
            sent = [await producer.send_and_wait(settings.kafka_topic, each, key=each[:9]) for each in raw]
        return [(told.partition, told.offset) for told in sent]

    return asyncio.run(send())


def read(settings: Settings, topic: str, number: int) -> list[Any]:
    """So many records of a topic, from its beginning."""
    from aiokafka import AIOKafkaConsumer

    async def receive() -> list[Any]:
        found: list[Any] = []
        async with AIOKafkaConsumer(
            topic, bootstrap_servers=settings.kafka_brokers, auto_offset_reset="earliest", group_id=None
        ) as consumer:
            while len(found) < number:
                found += [r for records in (await consumer.getmany(timeout_ms=200)).values() for r in records]
        return found

    return asyncio.run(asyncio.wait_for(receive(), 20))


def committed(settings: Settings) -> dict[int, int]:
    """Of the partitions of which something was committed, the next offset."""
    from aiokafka import AIOKafkaConsumer, TopicPartition

    async def ask() -> dict[int, int]:
        places = [TopicPartition(settings.kafka_topic, partition) for partition in range(PARTITIONS)]
        consumer = AIOKafkaConsumer(
            bootstrap_servers=settings.kafka_brokers, group_id=settings.kafka_group, enable_auto_commit=False
        )
        consumer.assign(places)
        async with consumer:
            return {place.partition: offset for place in places if (offset := await consumer.committed(place))}

    return asyncio.run(ask())


def event(n: int, user: str = "u") -> dict[str, Any]:
    return {"event_id": f"e{n}", "user_id": user, "item_id": f"i{n}", "timestamp": float(n)}


def test_messages_of_one_event_or_many_are_applied_and_then_committed(
    settings: Settings, store: ItemStore, recorder: Recorder, telemetry: Telemetry
) -> None:
    sent = produce(settings, event(1), [event(2), event(3)], *(event(n) for n in range(4, 60)), event(1))
    with consuming(settings, recorder, telemetry):
        wait_until(lambda: telemetry.kafka_messages.labels("applied")._value.get() == 59, what="every message applied")
    assert {each.event_id for each in store.recent_events("u", limit=99)} == {f"e{n}" for n in range(1, 60)}
    ends: dict[int, int] = {}
    for partition, offset in sent:
        ends[partition] = offset + 1
    assert committed(settings) == ends
    produce(settings, event(77))
    with consuming(settings, recorder, telemetry):  # goes on where the first ended
        wait_until(lambda: len(store.recent_events("u", limit=99)) == 60, what="the last event")
    assert telemetry.kafka_messages.labels("applied")._value.get() == 60


def test_a_message_without_a_time_is_of_when_it_was_written(
    settings: Settings, store: ItemStore, recorder: Recorder, telemetry: Telemetry
) -> None:
    produce(settings, {"event_id": "e", "user_id": "u", "item_id": "i"})
    with consuming(settings, recorder, telemetry):
        wait_until(lambda: bool(store.recent_events("u", limit=9)), what="the event")
    [record] = read(settings, settings.kafka_topic, 1)
    assert store.recent_events("u", limit=9)[0].timestamp == record.timestamp / 1000


def test_poison_goes_to_the_dead_letters_with_where_it_was_and_why(
    settings: Settings, store: ItemStore, recorder: Recorder, telemetry: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    bad: list[Any] = [b"{", b"", [event(1), {**event(2), "user_id": ""}], {**event(3, "secret"), "secret": 1}]
    sent = produce(settings, *bad, event(4, "secret"))
    with consuming(settings, recorder, telemetry):
        wait_until(lambda: sum(committed(settings).values()) == 5, what="every message committed")
    dead = read(settings, settings.kafka_dead_letter_topic, 4)
    told = {}
    for record in dead:
        headers = {name: value.decode() for name, value in record.headers}
        assert headers["topic"] == settings.kafka_topic
        told[int(headers["partition"]), int(headers["offset"])] = (record.value, headers["reason"])
    expected = ["not JSON", "not JSON", "1.user_id: the id is empty", "0: has an unknown field"]
    for place, raw, reason in zip(sent, bad, expected, strict=False):
        value, said = told[place]
        assert value == (raw if isinstance(raw, bytes) else json.dumps(raw).encode()) and reason in said
    assert [each.event_id for each in store.recent_events("secret", limit=9)] == ["e4"]
    assert telemetry.kafka_messages.labels("dead_lettered")._value.get() == 4
    assert "secret" not in " ".join(str(line.__dict__) for line in caplog.records)


class Flaky:
    """A recorder whose database is away for a while, or for good when it meets what it refuses."""

    def __init__(self, recorder: Recorder, refusals: int) -> None:
        self._recorder, self.refusals, self.tries = recorder, refusals, 0

    def record(self, reported: Sequence[Event]) -> Recorded:
        self.tries += 1
        if self.tries <= self.refusals:
            raise Unavailable("the database does not answer")
        return self._recorder.record(reported)


def test_while_the_database_is_away_partitions_are_paused_and_nothing_is_lost(
    settings: Settings, store: ItemStore, recorder: Recorder, telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "PAUSE_S", 0.3)
    flaky = Flaky(recorder, refusals=1_000_000)
    produce(settings, *(event(n) for n in range(30)))
    with consuming(settings, flaky, telemetry):
        wait_until(lambda: flaky.tries >= 3, what="some tries")
        assert b"coldstart_kafka_paused 1.0" in telemetry.exposition()
        assert committed(settings) == {} and store.recent_events("u", limit=99) == []
        wait_until(lambda: lag(telemetry) == 30, what="the lag known")
        flaky.refusals = 0
        wait_until(lambda: len(store.recent_events("u", limit=99)) == 30, what="every event")
        wait_until(lambda: lag(telemetry) == 0, what="the end of the lag")
        assert b"coldstart_kafka_paused 0.0" in telemetry.exposition()


def lag(telemetry: Telemetry) -> float:
    [metric] = telemetry.kafka_lag.collect()
    return sum(sample.value for sample in metric.samples) if metric.samples else -1.0


def test_a_broker_that_is_away_is_waited_for(
    store: ItemStore, recorder: Recorder, telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "PAUSE_S", 0.1)
    with servers.kafka() as broker:
        broker.stop()
        settings = Settings(kafka_brokers=broker.brokers, kafka_topic="late", kafka_session_seconds=SESSION_S)
        with consuming(settings, recorder, telemetry):
            broker.start()
            broker.create(late=1)
            produce(settings, event(1))
            wait_until(lambda: len(store.recent_events("u", limit=9)) == 1, what="the event", seconds=30)


def test_a_consumer_without_a_broker_ends_when_it_is_told(recorder: Recorder, telemetry: Telemetry) -> None:
    with consuming(Settings(kafka_brokers=f"127.0.0.1:{servers.free_port()}"), recorder, telemetry):
        pass


def message(offset: int, value: Any) -> Message:
    return Message("t", 0, offset, None, json.dumps(value).encode(), 5.0)


class Particular:
    """A recorder that refuses one event, which nothing was seen to be wrong with, and the batch that it is in."""

    def __init__(self) -> None:
        self.recorded: list[str] = []

    def record(self, reported: Sequence[Event]) -> None:
        if "e3" in [each.event_id for each in reported]:
            raise InvalidInput("the database refuses the value", subject="e3")
        self.recorded += [each.event_id for each in reported]


def test_what_the_database_refuses_is_found_message_by_message() -> None:
    recorder = Particular()
    [poisoned] = apply([message(n, event(n)) for n in range(6)], recorder)  # type: ignore[arg-type]
    assert poisoned.message.offset == 3 and poisoned.reason == "the database refuses the value"
    assert recorder.recorded == ["e0", "e1", "e2", "e4", "e5"]


def test_a_transaction_is_bounded_whatever_messages_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    class Counting:
        def record(self, reported: Sequence[Event]) -> None:
            sizes.append(len(reported))

    monkeypatch.setattr(messages, "MAX_EVENTS", 10)
    values = [[event(n) for n in range(size)] for size in (4, 4, 4, 25, 1)]
    assert apply([message(n, value) for n, value in enumerate(values)], Counting()) == []  # type: ignore[arg-type]
    assert sizes == [8, 4, 25, 1]


@pytest.mark.parametrize(
    ("settings", "said"),
    [({}, "no broker to consume from"), ({"kafka_brokers": "127.0.0.1:1"}, "in its own memory")],
)
def test_a_process_that_nobody_would_see_the_work_of_is_refused(
    settings: dict[str, str], said: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidInput, match=said):
        run_consumer(Settings(data_dir=tmp_path, **settings))
