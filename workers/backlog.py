"""How many posted items wait, and whether there is room for more, without asking the database at every request."""

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from coldstart.errors import InvalidInput, Overloaded

MAX_RETRY_AFTER_S = 60
_ROOM = 0.1  # of the mark: who comes back should find room for more than one
_SMOOTHING = 0.3


class Backlog:
    """What the last look at the database found, and what this process let in since.

    Of what other processes on the same database accept it learns at the next look: together they may pass the mark by
    as much as they accept between two looks.

    Parameters
    ----------
    count : callable
        How many items wait by the database; asked by `look` alone.
    mark : int
        How many may wait.
    clock : callable
        Seconds that never run backwards.
    """

    def __init__(self, count: Callable[[], int], *, mark: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._count, self._mark, self._clock = count, mark, clock
        self._lock = threading.Lock()
        self._under_way = 0  # let in and not committed yet, as far as is known
        self._entered = 0  # let in and through, since the process began
        self._found, self._entered_by_then, self._looked_at = 0, 0, clock()
        self._per_second = 0.0

    def look(self) -> int:
        """Count anew, and learn how fast items are ingested; to be called by one thread, every second or so."""
        with self._lock:
            entered = self._entered  # those that are through now are counted; one that comes through meanwhile twice
        found, now = self._count(), self._clock()
        with self._lock:
            gone = self._found + entered - self._entered_by_then - found
            # Of a queue that was empty the rate says how much was posted, not how fast it could have gone.
            if found and self._found and now > self._looked_at:
                rate = max(0, gone) / (now - self._looked_at)
                self._per_second += (rate - self._per_second) * (_SMOOTHING if self._per_second else 1.0)
            self._found, self._entered_by_then, self._looked_at = found, entered, now
        return found

    @contextmanager
    def room_for(self, items: int) -> Iterator[None]:
        """Let so many items in for the length of the block, in which they are committed.

        Raises
        ------
        Overloaded
            Where they would pass the mark, all of them together.
        InvalidInput
            Where they would even if nothing else waited.
        """
        if items > self._mark:
            raise InvalidInput(
                f"{items} items are sent, and {self._mark} may wait to be ingested", subject="max_backlog",
                remedy="Send fewer at a time",
            )  # fmt: skip
        with self._lock:
            waiting = self._found + self._entered - self._entered_by_then + self._under_way
            if waiting + items > self._mark:
                raise Overloaded(
                    f"{waiting} items wait to be ingested, and {self._mark} may",
                    retry_after_s=self._retry_after_s(waiting + items - self._mark),
                    remedy="Nothing of it was accepted: send it again after the time in Retry-After",
                )
            self._under_way += items
        try:
            yield
        finally:
            with self._lock:
                self._under_way -= items
                self._entered += items

    def _retry_after_s(self, excess: int) -> int:
        if self._per_second == 0:
            return MAX_RETRY_AFTER_S
        return min(MAX_RETRY_AFTER_S, max(1, math.ceil((excess + _ROOM * self._mark) / self._per_second)))
