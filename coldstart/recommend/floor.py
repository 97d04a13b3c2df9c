"""The exposure floor: new items that have not been shown often enough get a share of the places.

Which of them a reader sees is drawn by how well each fits that reader and by how urgently it must be shown, so that
every one gets its quota where there are readers enough, and its propensity is known.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from coldstart.availability import ALWAYS, shown_within
from coldstart.catalog import Newcomer
from coldstart.entities import ExternalId
from coldstart.index import Hit, Point, VectorIndex
from coldstart.index.conditions import Condition
from coldstart.recommend.exploring import draw, tempered
from coldstart.recommend.newcomers import Quota, is_bad, need
from coldstart.vectors import Matrix, Vector

MAX_NEWCOMERS = 5000
# A request scores all that are owed: of more than these, the most urgent have their turn first.
MAX_OWED = 1000
# In deviations of the readers' scores: at .5 an item one deviation better is drawn seven times as often.
TEMPERATURE = 0.5
# Nobody looks at the hundredth place: what stands below this one counts as not shown.
SCREEN = 20


@dataclass(frozen=True, slots=True)
class Pick:
    """A new item that was drawn, and with what chance; its score is 0 for a reader of whom nothing is known."""

    hit: Hit
    propensity: float


@dataclass(frozen=True, slots=True)
class Owed:
    """New items that are owed impressions: vectors [n, D], log of how many an hour [n], and the row of each.

    ``windows`` holds the row of each that is not shown always, and from when until when it is.
    """

    points: tuple[Point, ...]
    vectors: Matrix
    log_need: Vector
    windows: Sequence[tuple[int, tuple[float, float]]]
    places: Mapping[ExternalId, int]

    @classmethod
    def of(cls, points: Sequence[Point], need: Vector, *, dim: int) -> "Owed":
        """These, of which each needs so many impressions an hour [n]."""
        vectors = np.array([point.vector for point in points], dtype=np.float32).reshape(len(points), dim)
        shown = [(row, shown_within(point.payload)) for row, point in enumerate(points)]
        windows = [(row, window) for row, window in shown if window != ALWAYS]
        places = {point.item_id: row for row, point in enumerate(points)}
        return cls(tuple(points), vectors, np.log(need), windows, places)


class Arrivals(Protocol):
    """The part of `ItemStore` that tells what is new and takes what was shown; see there."""

    def newcomers(self, *, since: float, limit: int) -> list[Newcomer]:
        """New items, the least shown first."""
        ...

    def count_impressions(self, shown: Mapping[ExternalId, int]) -> None:
        """Add to how often items were shown."""
        ...


class Floor:
    """Knows which new items are owed impressions, draws among them, and counts what was shown.

    Requests read what `refresh` last found; a thread of the service calls it every so often. What other processes
    on the same catalogue have shown is learned then: together they may pass a quota by what they show meanwhile.

    Parameters
    ----------
    store : Arrivals
    index : VectorIndex
        For the vectors of new items.
    quota : Quota
        What each is owed.
    clock : callable
        Unix seconds.
    """

    def __init__(
        self, store: Arrivals, index: VectorIndex, quota: Quota, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._store, self._index, self._quota, self._clock = store, index, quota, clock
        self._lock = threading.Lock()
        self._shown: Counter[ExternalId] = Counter()  # since the last refresh
        self._owed = Owed.of((), np.empty(0, dtype=np.float32), dim=index.dim)

    def refresh(self) -> int:
        """Tell the store what was shown, and learn what is owed; returns how many items are.

        Raises `Unavailable` where either is away: what was known stays, and what was shown is told the next time.
        """
        with self._lock:
            shown, self._shown = self._shown, Counter()
        try:
            if shown:
                self._store.count_impressions(shown)
        except BaseException:
            with self._lock:
                self._shown.update(shown)
            raise
        now = self._clock()
        found = self._store.newcomers(since=now - self._quota.window_s, limit=MAX_NEWCOMERS)
        times = np.array([each.shown for each in found], dtype=np.int64)
        clicks = np.array([each.clicks for each in found], dtype=np.int64)
        accepted_at = np.array([each.accepted_at for each in found])
        needed = np.where(is_bad(times, clicks, self._quota), 0, need(times, accepted_at, self._quota, now=now))
        urgent = [row for row in np.argsort(-needed, kind="stable")[:MAX_OWED] if needed[row] > 0]
        points = self._index.fetch([found[row].item_id for row in urgent])
        rows = [row for row in urgent if found[row].item_id in points]
        here = [points[found[row].item_id] for row in rows]
        self._owed = Owed.of(here, needed[rows].astype(np.float32), dim=self._index.dim)
        return len(rows)

    def count(self, item_ids: Sequence[ExternalId]) -> None:
        """These were shown, in this order; never waits for anything."""
        with self._lock:
            self._shown.update(item_id for item_id in item_ids[:SCREEN] if item_id in self._owed.places)

    def owed_among(self, item_ids: Iterable[ExternalId]) -> int:
        """How many of the items are owed impressions."""
        places = self._owed.places
        return sum(item_id in places for item_id in item_ids)

    def draw(
        self,
        n: int,
        query: Vector | None,
        *,
        unwanted: set[ExternalId],
        conditions: Sequence[Condition],
        rng: np.random.Generator,
    ) -> list[Pick]:
        """At most ``n`` new items for a reader at ``query`` [D] (``None``: of whom nothing is known).

        What was deleted since the last refresh is left out, though it may have been drawn.
        """
        owed, now = self._owed, self._clock()
        if not owed.points:
            return []
        scores = np.zeros(len(owed.points), dtype=np.float32) if query is None else owed.vectors @ query
        logits = tempered(scores, TEMPERATURE) + owed.log_need
        for row, (since, until) in owed.windows:
            if not since <= now < until:
                logits[row] = -np.inf
        for item_id in owed.places.keys() & unwanted:
            logits[owed.places[item_id]] = -np.inf
        if conditions:
            fit = [all(condition.holds(point.payload) for condition in conditions) for point in owed.points]
            logits[~np.array(fit)] = -np.inf
        rows, propensities = draw(logits, n, rng)
        live = self._index.look_up([owed.points[row].item_id for row in rows])
        return [
            Pick(Hit(found.item_id, float(scores[row]), found.version, found.payload), propensity)
            for row, propensity in zip(rows, propensities, strict=True)
            if (found := live.get(owed.points[row].item_id)) is not None
        ]
