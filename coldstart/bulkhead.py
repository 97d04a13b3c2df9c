"""What a dependency that hangs may take of a process: a few threads and a little time."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeVar

from coldstart.errors import Unavailable

P = ParamSpec("P")
R = TypeVar("R")


class Bulkhead:
    """Calls one dependency in threads of its own, and goes on without an answer that does not come in time.

    A call that hangs keeps its thread, as nothing can take it away; once all of them hang, calls fail at once, until
    one returns. So callers are never slower than the deadline, and a dead dependency costs them nothing. The threads
    are daemons: a process ends though they hang.

    Parameters
    ----------
    name : str
        Of the dependency, for messages.
    threads : int
        Calls at once.
    deadline_s : float
        How long a caller waits.
    """

    def __init__(self, name: str, *, threads: int, deadline_s: float) -> None:
        self._name, self._deadline_s = name, deadline_s
        self._free = threading.Semaphore(threads)
        self._calls: SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = SimpleQueue()
        for number in range(threads):
            threading.Thread(target=self._run, name=f"coldstart-{name}-{number}", daemon=True).start()

    def call(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """What the work returns or raises; `Unavailable` where the dependency hangs."""
        if not self._free.acquire(blocking=False):
            raise self._hangs()
        answer: Future[R] = Future()
        self._calls.put((answer, lambda: work(*args, **kwargs)))
        try:
            return answer.result(self._deadline_s)
        except TimeoutError:
            raise self._hangs() from None

    def _hangs(self) -> Unavailable:
        return Unavailable(
            f"no answer within {self._deadline_s:g} s", subject=self._name, remedy="Check that it runs and is reachable"
        )

    def _run(self) -> None:
        while True:
            answer, work = self._calls.get()
            # Free before the answer is there: whoever has it may call again at once.
            try:
                result = work()
            except BaseException as error:
                self._free.release()
                answer.set_exception(error)
            else:
                self._free.release()
                answer.set_result(result)
                del result
            del answer, work  # or the last answer would live until the next call
