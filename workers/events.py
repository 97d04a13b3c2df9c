"""Consumes events from Kafka: at least once, committed after they are applied, so that none is lost.

An event that comes twice changes nothing (`workers.recording`), and the order of events does not matter either, so a
rebalance costs work and no more. Producers should use the user's id as the key all the same: it spreads the load.
"""

import asyncio
import logging
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from time import monotonic
from typing import TYPE_CHECKING, Any

from coldstart.errors import MissingExtra, Unavailable
from coldstart.settings import Settings
from coldstart.telemetry import Telemetry
from workers.messages import Message, Poisoned, apply
from workers.recording import Recorder

if TYPE_CHECKING:
    from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition

_log = logging.getLogger(__name__)

BATCH = 500
POLL_S = 0.2
# A broker that holds a fetch back for longer delays the first event after a pause by as much (Tansu does, by 250 ms).
FETCH_WAIT_MS = 20
PAUSE_S = 1.0
"""How long partitions are paused after the database did not answer, and a broker is left alone."""
LAG_EVERY_S = 1.0
REQUEST_S = 10.0


class EventConsumer:
    """Takes batches of messages, applies each in a thread, and commits its offsets.

    While the database is away partitions are paused at the first message that is not applied, and the consumer stays in
    its group. A message of which nothing can be made goes to the dead-letter topic, with where it was and why in its
    headers, before its offset is committed.

    Parameters
    ----------
    settings : Settings
        With ``kafka_brokers``.
    """

    def __init__(self, settings: Settings, recorder: Recorder, telemetry: Telemetry) -> None:
        try:
            import aiokafka  # noqa: F401
        except ModuleNotFoundError:
            raise MissingExtra("aiokafka", extra="kafka", purpose="Events from Kafka") from None
        self._settings, self._recorder, self._telemetry = settings, recorder, telemetry
        self._resume_at = self._look_at = 0.0
        self._partitions: set[int] = set()

    async def run(self, stopping: asyncio.Event) -> None:
        """Consume until told to stop, whatever becomes of broker and database; the batch under way is finished."""
        while not stopping.is_set():
            try:
                async with AsyncExitStack() as stack:
                    consumer, producer = await self._joined(stack, stopping)
                    while not stopping.is_set():
                        await self._turn(consumer, producer)
            except asyncio.CancelledError:
                raise
            except Exception as error:
                # Also what nobody foresaw: the batch is not committed, and the process is not the worse for it.
                _log.warning("events are not consumed for a moment", extra={"error": repr(error)})
                await _first(asyncio.sleep(PAUSE_S), stopping)

    async def _joined(
        self, stack: AsyncExitStack, stopping: asyncio.Event
    ) -> tuple["AIOKafkaConsumer", "AIOKafkaProducer"]:
        """Clients that are stopped with the stack; joining a group takes seconds, and is given up to stop."""
        from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

        settings, session_ms = self._settings, round(self._settings.kafka_session_seconds * 1000)
        brokers = {"bootstrap_servers": settings.kafka_brokers, "request_timeout_ms": round(REQUEST_S * 1000)}
        consumer = AIOKafkaConsumer(
            settings.kafka_topic, group_id=settings.kafka_group, enable_auto_commit=False,
            auto_offset_reset="earliest", fetch_max_wait_ms=FETCH_WAIT_MS, session_timeout_ms=session_ms,
            heartbeat_interval_ms=max(session_ms // 5, 1), client_id="coldstart", **brokers,
        )  # fmt: skip
        # Acknowledged by every replica, and large enough for whatever the consumer was given and its headers.
        producer = AIOKafkaProducer(acks="all", max_request_size=16 << 20, client_id="coldstart", **brokers)
        for client in (producer, consumer):
            stack.push_async_callback(client.stop)  # also of one that is never started
        for client in (producer, consumer):
            await _first(client.start(), stopping)
        return consumer, producer

    async def _turn(self, consumer: "AIOKafkaConsumer", producer: "AIOKafkaProducer") -> None:
        """One batch, if there is one within a moment."""
        if consumer.paused() and monotonic() >= self._resume_at:
            consumer.resume(*consumer.paused())
            self._telemetry.kafka_paused.set(0)
        batch = await consumer.getmany(timeout_ms=round(POLL_S * 1000), max_records=BATCH)
        if batch:
            try:
                await self._take(consumer, producer, batch)
            except Unavailable as error:
                self._pause(consumer, batch, error)
        if monotonic() >= self._look_at:
            self._look_at = monotonic() + LAG_EVERY_S
            await self._measure_lag(consumer)

    async def _take(self, consumer: "AIOKafkaConsumer", producer: "AIOKafkaProducer", batch: "Batch") -> None:
        from aiokafka.errors import CommitFailedError, IllegalStateError

        messages = [_message(record) for records in batch.values() for record in records]
        poisoned = await asyncio.to_thread(apply, messages, self._recorder)
        for each in poisoned:
            await self._bury(producer, each)
        try:
            await consumer.commit({partition: records[-1].offset + 1 for partition, records in batch.items()})
        except (CommitFailedError, IllegalStateError):
            # Another has the partition by now, and will apply the same events once more, which changes nothing.
            _log.info("a batch was applied and not committed, as its partitions were given to another consumer")
        self._telemetry.kafka_messages.labels("applied").inc(len(messages) - len(poisoned))
        self._telemetry.kafka_messages.labels("dead_lettered").inc(len(poisoned))

    async def _bury(self, producer: "AIOKafkaProducer", poisoned: Poisoned) -> None:
        """Send it to the dead-letter topic, and return when the broker has it."""
        from aiokafka.errors import MessageSizeTooLargeError

        message, topic = poisoned.message, self._settings.kafka_dead_letter_topic
        place = {"topic": message.topic, "partition": message.partition, "offset": message.offset}
        headers = [(name, str(value).encode()) for name, value in {"reason": poisoned.reason, **place}.items()]
        _log.warning("a message cannot be used", extra={"reason": poisoned.reason, **place})
        try:
            await producer.send_and_wait(topic, message.value, key=message.key, headers=headers)
        except MessageSizeTooLargeError:  # what it said is still where it was
            await producer.send_and_wait(topic, None, key=message.key, headers=headers)

    def _pause(self, consumer: "AIOKafkaConsumer", batch: "Batch", error: Unavailable) -> None:
        """Go back to before the batch, and fetch nothing for a while."""
        assigned = consumer.assignment()
        for partition in batch.keys() & assigned:
            consumer.seek(partition, batch[partition][0].offset)
        consumer.pause(*assigned)
        self._resume_at = monotonic() + PAUSE_S
        self._telemetry.kafka_paused.set(1)
        _log.warning("consuming is paused", extra={"error": str(error), "seconds": PAUSE_S})

    async def _measure_lag(self, consumer: "AIOKafkaConsumer") -> None:
        assigned = consumer.assignment()
        ends = await consumer.end_offsets(list(assigned)) if assigned else {}
        lag, here = self._telemetry.kafka_lag, {partition.partition for partition in ends}
        for gone in self._partitions - here:
            self._telemetry.forget(lag, str(gone))
        self._partitions = here
        for partition, end in ends.items():
            lag.labels(str(partition.partition)).set(max(0, end - await consumer.position(partition)))


if TYPE_CHECKING:
    Batch = Mapping[TopicPartition, Sequence[ConsumerRecord]]


def _message(record: "ConsumerRecord") -> Message:
    return Message(
        record.topic, record.partition, record.offset, record.key, record.value, max(record.timestamp, 0) / 1000
    )


async def _first(work: Coroutine[Any, Any, None], stopping: asyncio.Event) -> None:
    """Do the work unless told to stop before it is done."""
    task, told = asyncio.create_task(work), asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait((task, told), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            await task
    finally:
        told.cancel()
        task.cancel()
        await asyncio.gather(task, told, return_exceptions=True)
