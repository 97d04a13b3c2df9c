"""What is shown to somebody of whom nothing is known: what others like, and what has just arrived."""

import logging
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from coldstart.catalog import ItemRecord, Status
from coldstart.entities import ExternalId
from coldstart.errors import Unavailable
from coldstart.index import Hit, VectorIndex
from coldstart.recommend.at_hand import NotAtHand
from coldstart.recommend.behaviour import Behaviour
from coldstart.recommend.mixing import interleave, most_clicked
from coldstart.vectors import Matrix

_log = logging.getLogger(__name__)

KEEP_S = 3.0
POPULAR_POOL = 500
FRESH_POOL = 200
EVENTS_WINDOW_S = 7 * 86_400.0
# Every fourth place is an arrival's: enough to collect its first clicks, few enough to keep the list familiar.
FRESH_EVERY = 4


@dataclass(frozen=True, slots=True)
class Shelf:
    """A mixed list (``score``: clicks, as a share of the most clicked), and vectors [n, D] of its favourites.

    ``degraded``: older than it should be, or made without what has happened since training.
    """

    hits: tuple[Hit, ...]
    clicks: Mapping[ExternalId, int]
    favourites: Matrix
    degraded: bool = False


class ShelfKeeper:
    """Makes the shelf and keeps it for a few seconds: no request pays for it twice, and one request at a time makes it.

    While the store or the index is away the last shelf stays; without one, what was clicked in training is on it, and
    `Unavailable` is raised where not even that can be had.

    Parameters
    ----------
    store : Behaviour
    trained_clicks : mapping
        Clicks of each warm item in the backbone's training data.
    clock : callable
        Seconds, never going back.
    """

    def __init__(
        self,
        store: Behaviour,
        index: VectorIndex,
        trained_clicks: Mapping[ExternalId, int],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._index, self._trained, self._clock = store, index, trained_clicks, clock
        self._favourites = most_clicked(trained_clicks, POPULAR_POOL)
        self._making = threading.Lock()
        self._shelf = Shelf((), {}, np.empty((0, index.dim), dtype=np.float32))
        self._made_at = -math.inf

    def shelf(self) -> Shelf:
        """The shelf, a few seconds old at most; while it is made anew, others get the one before."""
        if self._stale() and self._making.acquire(blocking=self._made_at == -math.inf):
            try:
                if self._stale():
                    self._shelf = self._remake()
                    self._made_at = self._clock()
            finally:
                self._making.release()
        return self._shelf

    def at_hand(self) -> Shelf:
        """The shelf where it need not be made; `NotAtHand` where it is too old."""
        if self._stale():
            raise NotAtHand
        return self._shelf

    def _stale(self) -> bool:
        return self._clock() - self._made_at >= KEEP_S

    def _remake(self) -> Shelf:
        try:
            return self._make(
                self._store.popular(limit=POPULAR_POOL, since=time.time() - EVENTS_WINDOW_S),
                self._store.list_items(limit=FRESH_POOL, status=Status.RETRIEVABLE),
            )
        except Unavailable as error:
            _log.warning("the shelf is not up to date", extra={"error": str(error)})
        return replace(self._shelf if self._shelf.hits else self._make([], []), degraded=True)

    def _make(self, reported: Sequence[tuple[ExternalId, int]], arrived: Sequence[ItemRecord]) -> Shelf:
        # Reports add to an item's clicks, so what is among the most clicked was so in training or is reported.
        added = {item_id: self._trained.get(item_id, 0) + times for item_id, times in reported}
        clicks = self._favourites | added
        popular = list(most_clicked(clicks, POPULAR_POOL))
        fresh = [record.item.item_id for record in arrived if record.cold]
        ids = interleave(popular, fresh, every=FRESH_EVERY)
        points = self._index.fetch(ids)
        most = max(clicks.values(), default=0) or 1
        hits = tuple(
            Hit(item_id, clicks.get(item_id, 0) / most, point.version, point.payload)
            for item_id in ids
            if (point := points.get(item_id)) is not None
        )
        loved = [points[item_id].vector for item_id in popular if item_id in points] or [
            point.vector for point in points.values()
        ]
        favourites = np.stack(loved[:50]) if loved else np.empty((0, self._index.dim), dtype=np.float32)
        return Shelf(hits, clicks, favourites)
