"""Something that is replaced while it is used."""

import threading
from contextlib import AbstractContextManager
from typing import Generic, TypeVar

T = TypeVar("T")


class Holder(Generic[T]):
    """Lends each user one value for as long as it wants, whatever takes its place meanwhile.

    >>> holder = Holder("old")
    >>> with holder.use() as value:
    ...     holder.replace("new")
    ...     print(value, holder.value, holder.drained(timeout_s=0))
    old new False
    >>> holder.drained(timeout_s=0)
    True
    """

    def __init__(self, value: T) -> None:
        self._changed = threading.Condition()
        self._current = _Lent(value, self._changed)
        self._replaced: list[_Lent[T]] = []

    @property
    def value(self) -> T:
        """The value that the next user gets."""
        return self._current.value

    def use(self) -> AbstractContextManager[T]:
        """Lend the value to a block."""
        with self._changed:
            lent = self._current
            lent.users += 1
        return lent

    def replace(self, value: T) -> None:
        """Lend this one from now on."""
        with self._changed:
            self._replaced.append(self._current)
            self._current = _Lent(value, self._changed)

    def drained(self, *, timeout_s: float) -> bool:
        """Wait until nobody uses anything that was replaced; ``False`` where somebody still does after so long."""
        with self._changed:
            return self._changed.wait_for(self._is_drained, timeout_s)

    def _is_drained(self) -> bool:
        self._replaced = [lent for lent in self._replaced if lent.users]
        return not self._replaced


class _Lent(AbstractContextManager[T]):
    """A value, and how many use it; each leaves it as a context. A generator's would take as long as all the rest."""

    def __init__(self, value: T, changed: threading.Condition) -> None:
        self.value, self.users, self._changed = value, 0, changed

    def __enter__(self) -> T:
        return self.value

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self.users -= 1
            if not self.users:
                self._changed.notify_all()
