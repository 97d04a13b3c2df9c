"""The batch after this one, claimed and read while this one is encoded."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from threading import Thread

from coldstart.catalog import Claim, ItemStore
from coldstart.entities import ExternalId
from coldstart.errors import Unavailable
from workers.encoding import Content

_PATIENCE_S = 5.0
_GIVEN_BACK = "its worker ended before its turn"


@dataclass(frozen=True, slots=True)
class Batch:
    """Claimed items, read or not yet; they are ours ``until`` then, and more are due where it is ``full``."""

    claims: Sequence[Claim]
    until: float
    full: bool
    contents: Sequence[Content] = ()


class Ahead:
    """At most one batch, taken in a thread of its own, which keeps no process from ending.

    Adapter versions of a process share one: what is not encoded yet belongs to none of them.
    """

    def __init__(self) -> None:
        self._future: Future[Batch] | None = None

    def start(self, take: Callable[[], Batch]) -> None:
        """Begin to take a batch; the one before has been asked for."""
        future: Future[Batch] = Future()

        def run() -> None:
            try:
                future.set_result(take())
            except BaseException as error:
                future.set_exception(error)

        self._future = future
        Thread(target=run, name="coldstart-ahead", daemon=True).start()

    def result(self, timeout_s: float | None = None) -> Batch | None:
        """What was taken, waited for, and told once, or the error instead; ``None`` where nothing was begun.

        Raises `TimeoutError` where it takes longer.
        """
        future, self._future = self._future, None
        return None if future is None else future.result(timeout_s)

    def give_back(self, store: ItemStore) -> None:
        """Let others have what was taken, at no attempt's cost; where that cannot be said, when its lease runs out."""
        with suppress(Unavailable, TimeoutError):
            if batch := self.result(_PATIENCE_S):
                store.fail(versions_of(batch.claims), _GIVEN_BACK, retry_in_s=0.0, max_attempts=None)


def versions_of(claims: Sequence[Claim]) -> dict[ExternalId, int]:
    """As the store and the index are told of claimed items."""
    return {claim.record.item.item_id: claim.record.version for claim in claims}
