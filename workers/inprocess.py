"""A broker between the threads of one process that wakes its consumer, where kombu's own polls for messages."""

import threading
import time
from contextlib import suppress
from typing import Any

from kombu.transport import memory

# One for all queues: a process has one consumer, and looking in vain at a queue costs microseconds.
_arrived = threading.Condition()
_arrivals = 0


class Channel(memory.Channel):
    """Announces each message, and drops one that finds another waiting: a message carries nothing but the wake-up."""

    def _put(self, queue: str, message: Any, **options: Any) -> None:
        global _arrivals
        if self._size(queue):  # type: ignore[no-untyped-call]
            return
        super()._put(queue, message, **options)  # type: ignore[no-untyped-call]
        with _arrived:
            _arrivals += 1
            _arrived.notify_all()


class Transport(memory.Transport):
    """kombu's transport ``memory://``, without its pauses: from a millisecond after a message, not up to ten."""

    Channel = Channel

    def drain_events(self, connection: Any, timeout: float | None = None, **_: Any) -> None:
        """Deliver one message; raise `TimeoutError` where none comes in time (seconds)."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            seen = _arrivals
            with suppress(TimeoutError):
                # A single look.
                super().drain_events(connection, timeout=0)  # type: ignore[no-untyped-call]
                return
            with _arrived:
                while _arrivals == seen:
                    left = None if deadline is None else deadline - time.monotonic()
                    if left is not None and left <= 0:
                        raise TimeoutError
                    _arrived.wait(left)
