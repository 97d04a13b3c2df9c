"""Wakes the queues: at once when asked, and again for whatever was left behind."""

import logging
import threading
import time
from collections.abc import Callable, Mapping

_log = logging.getLogger(__name__)

# A broker that refused a wake-up is left alone for this long; the items wait in the database meanwhile.
BROKER_PAUSE_S = 2.0


class Relay:
    """A thread between requests and the broker, so that no request ever waits for the broker.

    Calls for one queue that arrive while another is being sent become one message: a burst of posts is a few wake-ups.

    Parameters
    ----------
    due : mapping of queue to callable
        How many rows wait for the queue's task now.
    wake : callable
        Sends one wake-up to a queue and says whether the broker took it.
    every_s : float
        Pause between two looks for rows left behind by a lost message, a killed worker or a retry delay.
    """

    def __init__(self, due: Mapping[str, Callable[[], int]], wake: Callable[[str], bool], *, every_s: float) -> None:
        self._due, self._send, self._every_s = due, wake, every_s
        self._changed = threading.Condition()
        self._asked: set[str] = set()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="coldstart-relay", daemon=True)

    def start(self) -> None:
        """Start waking; the first look is at once, for what an earlier process left behind."""
        self._thread.start()

    def wake(self, queue: str) -> None:
        """Ask for a wake-up; returns at once and never raises."""
        with self._changed:
            self._asked.add(queue)
            self._changed.notify()

    def stop(self) -> None:
        """End the thread; waits for a wake-up that is being sent."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        next_look = time.monotonic()
        while True:
            with self._changed:
                self._changed.wait_for(
                    lambda: self._asked or self._stopping, timeout=max(0.0, next_look - time.monotonic())
                )
                if self._stopping:
                    return
                asked, self._asked = self._asked, set()
            if time.monotonic() >= next_look:
                asked |= self._left_behind()
                next_look = time.monotonic() + self._every_s
            if not all(self._sent(queue) for queue in sorted(asked)):
                self._pause(asked)

    def _sent(self, queue: str) -> bool:
        try:
            return self._send(queue)
        except Exception:
            # The thread outlives a broker that refuses in a way of its own, such as a queue of another kind.
            _log.exception("wake-up not sent", extra={"queue": queue})
            return False

    def _left_behind(self) -> set[str]:
        try:
            return {queue for queue, due in self._due.items() if due() > 0}
        except Exception:
            # The thread outlives a database that is away for a moment.
            _log.exception("cannot look for due items")
            return set()

    def _pause(self, asked: set[str]) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._stopping, timeout=BROKER_PAUSE_S)
            self._asked |= asked
