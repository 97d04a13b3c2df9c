"""One bad element must not fail the batch it came in, and one slow start must not happen twice."""

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from coldstart.errors import Unavailable

T = TypeVar("T")
R = TypeVar("R")


def isolate(work: Callable[[Sequence[T]], Sequence[R]], batch: Sequence[T]) -> list[R | Exception]:
    """Results of the work on a batch, or for each element that fails it, the error; in the order of the batch.

    A batch that fails is halved until the failing elements stand alone: k of n cost about k log2 n repetitions. What
    nobody in the batch can help, `Unavailable`, is everybody's error at once.

    >>> isolate(lambda numbers: [1 / n for n in numbers], [2, 0, 4])
    [0.5, ZeroDivisionError('division by zero'), 0.25]
    """
    if not batch:
        return []
    try:
        return list(work(batch))
    except Unavailable as error:
        return [error] * len(batch)
    except Exception as error:
        if len(batch) == 1:
            return [error]
    middle = len(batch) // 2
    return [*isolate(work, batch[:middle]), *isolate(work, batch[middle:])]


class Lazy(Generic[T]):
    """A thing that its first user makes while the others wait; a failure is raised, and the next user tries again."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make, self._lock = make, threading.Lock()
        self._made: list[T] = []

    def get(self) -> T:
        """The thing."""
        if not self._made:
            with self._lock:
                if not self._made:
                    self._made.append(self._make())
        return self._made[0]

    @property
    def made(self) -> bool:
        """Whether it exists yet."""
        return bool(self._made)


def retry_delay(attempts: int) -> float:
    """Seconds until the next try after so many: 1, 2, 4, ... and at most a minute.

    >>> [retry_delay(n) for n in (1, 2, 3, 50)]
    [1.0, 2.0, 4.0, 60.0]
    """
    return min(60.0, 2.0 ** min(attempts - 1, 6))
