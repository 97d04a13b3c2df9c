"""Brings a surveyed source into the catalogue: chunk by chunk, no faster than it is encoded."""

import time
from collections.abc import Callable

from coldstart.catalog.backfills import BackfillStore, is_held
from coldstart.catalog.bulk import Backfill, State
from coldstart.errors import ColdstartError
from workers.backfill.survey import CHUNK, Survey

WINDOW = 10_000
"""Items of backfills that may wait to be encoded: what a service counts every second, and a minute's work for a few."""
MAX_PROBLEMS = 1000
"""Rows with something wrong after which the source is rather to be mended."""
_LOOK_S = 0.25


class Loader:
    """Loads for one owner.

    Parameters
    ----------
    owner : str
        What tells this process from any other.
    window : int
        Items that may wait to be encoded.
    max_problems : int
        Rows that may have something wrong.
    on_progress : callable
        Called with the backfill as it stands, several times a second.
    sleep, clock : callable
        Seconds.
    """

    def __init__(
        self,
        store: BackfillStore,
        owner: str,
        *,
        window: int = WINDOW,
        max_problems: int = MAX_PROBLEMS,
        on_progress: Callable[[Backfill], None] = lambda backfill: None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._owner, self._window, self._max_problems = store, owner, window, max_problems
        self._on_progress, self._sleep, self._clock = on_progress, sleep, clock

    def load(self, backfill: Backfill, survey: Survey, *, wait: bool = True) -> Backfill:
        """Accept what is left of a backfill that this owner holds; how it stands when there is no more to do for it.

        That is done, and with ``wait`` all of it encoded; or paused, where somebody said so; or failed, where too much
        is wrong with the source. An interrupt (Ctrl-C) leaves it paused, and an error failed; both are raised.
        """
        try:
            backfill = self._load(backfill, survey)
            while wait and is_held(backfill, self._owner) and backfill.waiting:
                backfill = self._rest(backfill, _LOOK_S)
            return self._store.end(backfill.backfill_id, State.DONE, owner=self._owner)
        except KeyboardInterrupt:
            self._store.end(backfill.backfill_id, State.PAUSED, owner=self._owner)
            raise
        except (ColdstartError, OSError) as error:
            self._store.end(backfill.backfill_id, State.FAILED, owner=self._owner, error=str(error))
            raise

    def _load(self, backfill: Backfill, survey: Survey) -> Backfill:
        # At a rate, of a second at most: what is accepted together comes at once.
        size = CHUNK if backfill.rate is None else min(CHUNK, max(1, int(backfill.rate)))
        free_at = self._clock()
        for chunk in survey.chunks(size=size, skip=backfill.position):
            backfill = self._held_back(backfill, free_at)
            if not is_held(backfill, self._owner):
                return backfill
            backfill = self._store.accept(backfill.backfill_id, chunk, owner=self._owner)
            self._on_progress(backfill)
            if not is_held(backfill, self._owner):
                return backfill
            if backfill.rate is not None:
                free_at = max(free_at, self._clock()) + len(chunk.drafts) / backfill.rate
            if chunk.problems and (found := self._store.count_problems(backfill.backfill_id)) > self._max_problems:
                error = f"{found} rows have something wrong, and {self._max_problems} may"
                return self._store.end(backfill.backfill_id, State.FAILED, owner=self._owner, error=error)
        return backfill

    def _held_back(self, backfill: Backfill, free_at: float) -> Backfill:
        """Wait, with signs of life, until the rate allows more and there is room for it."""
        while is_held(backfill, self._owner):
            early_s = free_at - self._clock()
            if early_s <= 0 and self._store.waiting() < self._window:
                break
            backfill = self._rest(backfill, min(_LOOK_S, early_s) if early_s > 0 else _LOOK_S)
        return backfill

    def _rest(self, backfill: Backfill, seconds: float) -> Backfill:
        self._sleep(seconds)
        backfill = self._store.beat(backfill.backfill_id, owner=self._owner)
        self._on_progress(backfill)
        return backfill
