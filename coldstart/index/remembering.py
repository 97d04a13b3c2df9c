"""What an engine says of points, kept until they are written: it reads and parses it anew for whoever asks."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class Remembered(Generic[T]):
    """Answers about points by their keys, those that were read last; for the one process that writes them.

    A key is the number that an id is: a `UUID` takes Python several times as long to look up.

    Parameters
    ----------
    read : callable
        Asks the engine; leaves out what there is nothing to say of.
    size_of : callable
        Bytes that an answer counts for.
    max_bytes : int
        Of all that is kept.
    """

    def __init__(
        self, read: Callable[[Sequence[int]], Mapping[int, T]], *, size_of: Callable[[T], int], max_bytes: int
    ) -> None:
        self._read, self._size_of, self._max_bytes = read, size_of, max_bytes
        # The oldest first. A plain dict would look for them among all that were dropped before.
        self._kept = OrderedDict[int, T]()
        self._bytes = self._changes = 0
        self._lock = threading.Lock()

    def of(self, keys: Sequence[int]) -> list[T | None]:
        """The answer for each key, in order; the engine is asked once, for those that are not at hand."""
        kept = self._kept
        answers = [kept.get(each) for each in keys]
        if None not in answers:
            return answers
        changes = self._changes
        found = self._read([each for each, answer in zip(keys, answers, strict=True) if answer is None])
        with self._lock:
            if changes == self._changes:  # else it may be what was there before a write
                self._keep(found)
        return [found.get(each) if answer is None else answer for each, answer in zip(keys, answers, strict=True)]

    def forget(self, keys: Sequence[int]) -> None:
        """These were written."""
        with self._lock:
            self._changes += 1
            for each in keys:
                self._drop(each)

    def _keep(self, found: Mapping[int, T]) -> None:
        for each, answer in found.items():
            self._drop(each)
            self._kept[each] = answer
            self._bytes += self._size_of(answer)
        while self._bytes > self._max_bytes:
            self._drop(next(iter(self._kept)))

    def _drop(self, each: int) -> None:
        if (answer := self._kept.pop(each, None)) is not None:
            self._bytes -= self._size_of(answer)
