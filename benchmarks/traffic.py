"""Sends events to a topic of Kafka, from ordinary code: the client has an event loop of its own in a thread."""

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import asdict
from types import TracebackType
from typing import Self

import orjson
from aiokafka import AIOKafkaProducer

from coldstart.entities import Event


class Producer:
    """Sends events as messages of one each, keyed by their users.

    Parameters
    ----------
    brokers : str
        ``HOST:PORT``.
    topic : str
        It has to exist.
    """

    def __init__(self, brokers: str, topic: str) -> None:
        self._brokers, self._topic = brokers, topic
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="producer", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result()
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        asyncio.run_coroutine_threadsafe(self._client.stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def send(self, events: Sequence[Event]) -> None:
        """Send the events; returns when the broker has all of them."""
        asyncio.run_coroutine_threadsafe(self._send(events), self._loop).result()

    async def _start(self) -> None:
        self._client = AIOKafkaProducer(bootstrap_servers=self._brokers, acks="all", linger_ms=1)
        await self._client.start()

    async def _send(self, events: Sequence[Event]) -> None:
        sent = [
            await self._client.send(self._topic, orjson.dumps(asdict(event)), key=event.user_id.encode())
            for event in events
        ]
        await asyncio.gather(*sent)
