"""Work that comes round again."""

import logging
import threading
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from time import perf_counter

LONGEST_S = 60.0
_log = logging.getLogger(__name__)


class Periodic:
    """A thread that does some work every so many seconds, the first time after so many.

    Parameters
    ----------
    name : str
        Of the thread, and of the work in what is logged.
    work : callable
        Given a function that says whether to stop half way. The thread outlives what it raises, such as an index that
        is away for a moment.
    every_s : float
        From the end of one time to the beginning of the next.
    rest : float
        The same at least, in times what the work took, up to `LONGEST_S`: with 9 a tenth of a processor is busy.
    """

    def __init__(
        self, name: str, work: Callable[[Callable[[], bool]], object], *, every_s: float, rest: float = 0.0
    ) -> None:
        self._name, self._work, self._every_s, self._rest = name, work, every_s, rest
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"coldstart-{name}", daemon=True)

    def start(self) -> None:
        """Begin to wait."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread, after the work that it is at."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        took_s = 0.0
        while not self._stopping.wait(max(self._every_s, min(self._rest * took_s, LONGEST_S))):
            start = perf_counter()
            try:
                self._work(self._stopping.is_set)
            except Exception:
                _log.exception("%s failed, and is tried again", self._name)
            took_s = perf_counter() - start


def keep_up(stack: ExitStack, rounds: Iterable[Periodic]) -> None:
    """Start them, and stop them with the stack."""
    for each in rounds:
        each.start()
        stack.callback(each.stop)
