"""The ladder: everything known about the reader becomes one query; where nothing is known, the shelf answers."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from coldstart.backbones.reranking import POOL
from coldstart.entities import ExternalId, Recommendation
from coldstart.errors import NotFound, Unavailable
from coldstart.index import Hit, VectorIndex
from coldstart.index.conditions import read_filter
from coldstart.recommend.behaviour import Behaviour
from coldstart.recommend.mixing import by_cosine, combine, distinct
from coldstart.recommend.request import RecommendationList, Request
from coldstart.recommend.shelf import ShelfKeeper
from coldstart.telemetry import Telemetry
from coldstart.users import Ranker, UserSpace
from coldstart.vectors import Vector, require_finite

_log = logging.getLogger(__name__)

# The latest events place a reader; many more keep what they met from being shown again.
RECENT_EVENTS, MET_EVENTS = 50, 1000
# The inner product favours long vectors, cosine does not: candidates for it are taken from further down the list.
SIMILAR_POOL = 5


@dataclass(slots=True)
class Evidence:
    """What a request brought to light; ``query`` [D] is ``None`` on the lowest rung."""

    query: Vector | None = None
    used: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    seen: list[ExternalId] = field(default_factory=list)
    ignored: tuple[ExternalId, ...] = ()
    degraded: bool = False


class Recommender:
    """Answers requests from the live index.

    Served vectors carry the calibration of cold against warm items, so one query by inner product ranks both.

    Parameters
    ----------
    index : VectorIndex
        Served item vectors of ``adapter_version``.
    users : UserSpace
        The user side of the same adapter.
    store : Behaviour
        For recent events and popularity.
    encode_preferences : callable
        Embeds a sentence; may raise `Unavailable`.
    trained_clicks : mapping
        Clicks of each warm item in training.
    """

    def __init__(
        self,
        *,
        index: VectorIndex,
        users: UserSpace,
        store: Behaviour,
        encode_preferences: Callable[[str], Vector],
        trained_clicks: Mapping[ExternalId, int],
        adapter_version: str,
        telemetry: Telemetry,
    ) -> None:
        self._index, self._users, self._store = index, users, store
        self._encode_preferences = encode_preferences
        self._adapter_version, self._telemetry = adapter_version, telemetry
        self._keeper = ShelfKeeper(store, index, trained_clicks)

    def recommend(self, request: Request) -> RecommendationList:
        """The best items for the request, without those the user has met in training or in the last 1,000 events.

        Only a request with preferences takes longer than a query: it runs the text encoder. Where store or index are
        away the list is made without them, from the shelf if need be, and is `degraded`; `Unavailable` where that is
        empty, too.
        """
        evidence = Evidence()
        try:
            self._weigh(request, evidence)
            rows, strategy = self._answer(request, evidence)
        except Unavailable as error:
            _log.warning("the index was not used", extra={"error": str(error)})
            evidence.degraded = True
            rows, strategy = self._from_shelf(request, evidence), "popular"
            if not rows:
                raise
        self._telemetry.recommendations.labels(strategy).inc()
        return RecommendationList(rows, strategy, self._adapter_version, evidence.degraded, evidence.ignored)

    def _answer(self, request: Request, evidence: Evidence) -> tuple[list[Recommendation], str]:
        """Rows and strategy: by the query where there is one."""
        if evidence.query is None:
            rows = self._from_shelf(request, evidence)
            return rows + self._like_favourites(request, evidence, rows), "popular"
        require_finite(evidence.query, "query vector")
        ranker = None if request.user_id is None else self._users.ranker(request.user_id)
        found = self._retrieve(evidence.query, request, _unwanted(request, evidence), ranker)
        rows = [_row(hit, " and ".join(evidence.reasons)) for hit in found]
        return rows, "+".join(evidence.used if ranker is None else [*evidence.used, "ranked"])

    def similar(self, item_id: ExternalId, limit: int) -> list[Recommendation]:
        """The items whose served vectors point the same way; ``score`` is the cosine. `NotFound` if not retrievable."""
        point = self._index.fetch([item_id]).get(item_id)
        if point is None:
            raise NotFound("the item is not retrievable", subject=item_id, remedy="See its status at GET /items/{id}")
        hits = self._index.query(point.vector[None], limit * SIMILAR_POOL, exclude=[item_id])[0]
        points = self._index.fetch([hit.item_id for hit in hits])
        hits = [hit for hit in hits if hit.item_id in points]
        if not hits:
            return []
        order, cosines = by_cosine(point.vector, np.stack([points[hit.item_id].vector for hit in hits]))
        return [
            Recommendation(hits[row].item_id, float(cosine), bool(hits[row].payload["cold"]), "points the same way")
            for row, cosine in zip(order[:limit], cosines[:limit], strict=True)
        ]

    def _retrieve(
        self, query: Vector, request: Request, exclude: Sequence[ExternalId], ranker: Ranker | None
    ) -> list[Hit]:
        """The best items by inner product, of which a ranker orders more than are asked for once more."""
        limit = request.limit if ranker is None else max(request.limit, POOL)
        hits = self._index.query(query[None], limit, where=request.where, exclude=exclude)[0]
        points = {} if ranker is None else self._index.fetch([hit.item_id for hit in hits])
        if ranker is None or not points:
            return hits[: request.limit]
        hits = [hit for hit in hits if hit.item_id in points]  # without what was deleted between the two looks
        scores = ranker(
            np.array([hit.score for hit in hits], dtype=np.float32),
            np.stack([points[hit.item_id].vector for hit in hits]),
            np.array([bool(hit.payload["cold"]) for hit in hits]),
        )
        best = np.argsort(-scores, kind="stable")[: request.limit]
        return [replace(hits[row], score=float(scores[row])) for row in best]

    def _weigh(self, request: Request, evidence: Evidence) -> None:
        known = self._history(request, evidence)
        clicked = self._clicks(request, evidence)
        queries = []
        if clicked:
            folded = self._users.fold_in(np.stack(clicked))
            queries.append(folded if known is None else self._users.blend(known, folded, len(clicked)))
        elif known is not None:
            queries.append(known)
        if request.preferences and request.preferences.strip():
            try:
                queries.append(self._users.query_from_text(self._encode_preferences(request.preferences)))
                evidence.used.append("preferences")
                evidence.reasons.append("matches the sentence")
            except Unavailable as error:
                _log.warning("preferences not used", extra={"error": str(error)})
                evidence.degraded = True
        if queries:
            evidence.query = queries[0] if len(queries) == 1 else combine(queries)

    def _history(self, request: Request, evidence: Evidence) -> Vector | None:
        if request.user_id is None:
            return None
        known = self._users.user_vector(request.user_id)
        if known is not None:
            evidence.seen.extend(self._users.seen(request.user_id))
            evidence.used.append("history")
            evidence.reasons.append("fits the user's history")
        return known

    def _clicks(self, request: Request, evidence: Evidence) -> list[Vector]:
        """Served vectors of the clicked items, newest first: those of the request, then those of recent events."""
        met: list[ExternalId] = []
        if request.user_id is not None:
            try:
                met = [event.item_id for event in self._store.recent_events(request.user_id, limit=MET_EVENTS)]
            except Unavailable as error:
                _log.warning("recent events not used", extra={"user_id": request.user_id, "error": str(error)})
                evidence.degraded = True
        evidence.seen.extend(met)
        clicked = distinct([*request.clicked, *met[:RECENT_EVENTS]])
        if not clicked:
            return []
        points = self._index.fetch(clicked)
        evidence.ignored = tuple(item_id for item_id in distinct(request.clicked) if item_id not in points)
        vectors = [points[item_id].vector for item_id in clicked if item_id in points]
        if vectors:
            evidence.used.append("clicks")
            evidence.reasons.append(f"is close to {_clicks(len(vectors), 'recent ')}")
        return vectors

    def _from_shelf(self, request: Request, evidence: Evidence) -> list[Recommendation]:
        """The shelf's items that qualify."""
        shelf, conditions = self._keeper.shelf(), read_filter(request.where)
        evidence.degraded |= shelf.degraded
        unwanted = set(_unwanted(request, evidence))
        hits = [
            hit
            for hit in shelf.hits
            if hit.item_id not in unwanted and all(condition.holds(hit.payload) for condition in conditions)
        ]
        return [
            _row(hit, f"popular: {_clicks(clicks)}" if (clicks := shelf.clicks.get(hit.item_id, 0)) else "just arrived")
            for hit in hits[: request.limit]
        ]

    def _like_favourites(
        self, request: Request, evidence: Evidence, rows: Sequence[Recommendation]
    ) -> list[Recommendation]:
        """Below the rows, where a filter leaves few of them: what is nearest to the shelf's favourites."""
        missing, favourites = request.limit - len(rows), self._keeper.shelf().favourites
        if missing <= 0 or not len(favourites):
            return []
        exclude = [*_unwanted(request, evidence), *(row.item_id for row in rows)]
        taste = self._users.fold_in(favourites)
        found = self._index.query(taste[None], missing, where=request.where, exclude=exclude)[0]
        return [_row(hit, "is close to what is popular") for hit in found]


def _unwanted(request: Request, evidence: Evidence) -> list[ExternalId]:
    return distinct([*evidence.seen, *request.clicked, *request.exclude])


def _clicks(number: int, kind: str = "") -> str:
    return f"{number} {kind}click{'s' * (number != 1)}"


def _row(hit: Hit, reason: str) -> Recommendation:
    cold = bool(hit.payload["cold"])
    return Recommendation(hit.item_id, hit.score, cold, f"new, {reason}" if cold else reason)
