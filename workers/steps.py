"""How long the embedded worker has been at what it does now: a thread that hangs cannot say so itself."""

import time
from collections.abc import Callable

from coldstart.errors import Unavailable


class Steps:
    """Times the steps of one thread, each of which works on what it has leased.

    Parameters
    ----------
    lease_s : float
        The longest that a step may take: a worker that is a process of its own is ended then.
    clock : callable
        Seconds.
    """

    def __init__(self, *, lease_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._lease_s, self._clock = lease_s, clock
        self._since: float | None = None

    def take(self, step: Callable[[], int]) -> int:
        """Take the step, and return what it does."""
        self._since = self._clock()
        try:
            return step()
        finally:
            self._since = None

    def require_progress(self) -> None:
        """Raise `Unavailable` where the step that is being taken has taken longer than its lease."""
        since = self._since
        if since is not None and (seconds := self._clock() - since) > self._lease_s:
            raise Unavailable(
                f"the worker inside this process hangs: one step takes {seconds:.0f} s, longer than lease_seconds "
                f"({self._lease_s:g}), and nothing new becomes retrievable",
                remedy="Restart the process (SIGKILL after SIGTERM): what it accepted is kept, and what hangs it is "
                "dead-lettered after max_attempts",
            )
