"""What one of several service processes on a machine does for all of them."""

from contextlib import ExitStack
from threading import Lock

from coldstart.errors import Conflict
from coldstart.index.folder import FolderLock
from coldstart.settings import Settings


class Duty:
    """Held by the first process that asks; once that has ended, by whichever asks next.

    With an embedded index it is that of the one process that owns the index. All of what is done under it may be done
    twice without harm: processes on other machines hold a duty of their own.
    """

    def __init__(self, settings: Settings) -> None:
        self._folder = settings.data_dir / "duty" if settings.qdrant_url else None
        self._asking, self._lock = Lock(), None if self._folder is None else self._take()

    def mine(self) -> bool:
        """Whether this process holds it; asks for it where nobody does."""
        if self._folder is None:
            return True
        with self._asking:
            self._lock = self._lock or self._take()
            return self._lock is not None

    def release(self) -> None:
        """Let another process take it."""
        with self._asking:
            if self._lock is not None:
                self._lock.release()

    def _take(self) -> FolderLock | None:
        if self._folder is None:
            return None
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            return FolderLock(self._folder)
        except Conflict:
            return None


def open_duty(stack: ExitStack, settings: Settings) -> Duty:
    """The process' share in it, until the stack is closed."""
    duty = Duty(settings)
    stack.callback(duty.release)
    return duty
