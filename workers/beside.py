"""Work that goes on beside the caller's own."""

from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import Generic, TypeVar

T = TypeVar("T")


class Beside(Generic[T]):
    """One piece of work at a time in a thread of its own, which keeps no process from ending.

    >>> beside = Beside[int]("sum")
    >>> beside.start(lambda: 1 + 2)
    >>> beside.result(), beside.result()
    (3, None)
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._future: Future[T] | None = None

    def start(self, work: Callable[[], T]) -> None:
        """Begin; the result of what was begun before has been asked for."""
        future: Future[T] = Future()

        def run() -> None:
            try:
                future.set_result(work())
            except BaseException as error:
                future.set_exception(error)

        self._future = future
        Thread(target=run, name=self._name, daemon=True).start()

    def result(self, timeout_s: float | None = None) -> T | None:
        """What came of it, waited for, and told once: its value or its error; ``None`` where there is nothing.

        Raises `TimeoutError` where it takes longer.
        """
        future, self._future = self._future, None
        return None if future is None else future.result(timeout_s)
