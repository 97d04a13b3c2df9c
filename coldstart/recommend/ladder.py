"""The ladder: everything known about the reader becomes one query; where nothing is known, the shelf answers."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from itertools import islice
from secrets import token_hex

import numpy as np

from coldstart.availability import available
from coldstart.entities import Event, ExternalId, Recommendation
from coldstart.errors import NotFound, Unavailable
from coldstart.index import Filter, Hit, VectorIndex
from coldstart.index.conditions import read_filter
from coldstart.kinds import kind_of
from coldstart.recommend.at_hand import AtHand, NotAtHand, require_small
from coldstart.recommend.behaviour import Behaviour
from coldstart.recommend.floor import Floor
from coldstart.recommend.listing import Search, make_list
from coldstart.recommend.mixing import by_cosine, combine, distinct
from coldstart.recommend.newcomers import places
from coldstart.recommend.policy import Policy
from coldstart.recommend.request import RecommendationList, Request
from coldstart.recommend.shelf import ShelfKeeper
from coldstart.telemetry import Telemetry
from coldstart.users import UserSpace
from coldstart.users.profile import Reader
from coldstart.users.state import STATE_EVENTS
from coldstart.users.weighing import weigh
from coldstart.vectors import Vector, normalise, require_finite

_log = logging.getLogger(__name__)

# The latest events place a reader; many more keep what they met from being shown again.
RECENT_EVENTS, MET_EVENTS = 50, STATE_EVENTS
HALF_LIFE_S = 14 * 86_400.0
# The inner product favours long vectors, cosine does not: candidates for it are taken from further down the list.
SIMILAR_POOL = 5


@dataclass(slots=True)
class Evidence:
    """What a request brought to light; ``query`` [D] is ``None`` on the lowest rung."""

    where: Filter
    query: Vector | None = None
    reader: Reader | None = None
    clicked: dict[ExternalId, Vector] = field(default_factory=dict)
    used: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    unwanted: dict[ExternalId, None] = field(default_factory=dict)
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
    floor : Floor
        Which new items are owed a place.
    reader_of : callable
        Whom an id stands for and what they said (`coldstart.users.readers`); by default, nobody said anything.
    policy : Policy
        How lists are put together for requests that do not say.
    half_life_s : float
        Seconds in which an event loses half its weight.
    at_hand : AtHand, optional
        What there is of readers in this process, as is the index.
    clock : callable
        Unix seconds.
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
        floor: Floor,
        reader_of: Callable[[ExternalId], Reader] = Reader,
        policy: Policy | None = None,
        half_life_s: float = HALF_LIFE_S,
        at_hand: AtHand | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._index, self._users = index, users
        self._store: Behaviour | AtHand = store
        self._reader_of, self._encode_preferences = reader_of, encode_preferences
        self._adapter_version, self._telemetry = adapter_version, telemetry
        self._keeper = ShelfKeeper(store, index, trained_clicks)
        self._shelf = self._keeper.shelf
        self._floor, self._policy, self._half_life_s, self._clock = floor, policy or Policy(), half_life_s, clock
        self._rng = np.random.default_rng()  # threads take turns at it
        self._quick = None if at_hand is None else self._restricted_to(at_hand)

    def recommend(self, request: Request) -> RecommendationList:
        """The best items for the request, without those the user has met in training or in the last 1,000 events.

        Only a request with preferences takes longer than a query: it runs the text encoder. Where store or index are
        away the list is made without them, from the shelf if need be, and is `degraded`; `Unavailable` where that is
        empty, too.
        """
        policy = request.policy or self._policy
        list_id = token_hex(16)
        evidence = Evidence(_where(request, policy, self._clock()), unwanted=_named(request))
        try:
            self._weigh(request, evidence, policy)
            rows, strategy = self._answer(request, evidence, policy, self._rng)
        except Unavailable as error:
            _log.warning("the index was not used", extra={"error": str(error)})
            evidence.degraded = True
            rows, strategy = self._from_shelf(request, evidence), "popular"
            if not rows:
                raise
        self._floor.count([row.item_id for row in rows])
        self._telemetry.listed(strategy, cold=sum(row.cold for row in rows), rows=len(rows))
        return RecommendationList(rows, list_id, strategy, self._adapter_version, evidence.degraded, evidence.ignored)

    def at_hand(self, request: Request) -> "Recommender":
        """One that makes the same list in about a millisecond, or raises `NotAtHand`, as does this."""
        if self._quick is None:
            raise NotAtHand
        require_small(request)
        return self._quick

    def _restricted_to(self, parts: AtHand) -> "Recommender":
        quick = copy(self)
        quick._store, quick._reader_of, quick._encode_preferences = parts, parts.reader_of, parts.encode
        quick._shelf = self._keeper.at_hand
        return quick

    def _answer(
        self, request: Request, evidence: Evidence, policy: Policy, rng: np.random.Generator
    ) -> tuple[list[Recommendation], str]:
        """Rows and strategy: by the query where there is one; then newcomers get their places."""
        strategy = "popular"
        if evidence.query is None:
            rows = self._from_shelf(request, evidence)
            rows += self._like_favourites(request, evidence, rows)
        else:
            require_finite(evidence.query, "query vector")
            query = evidence.query if policy.adapter else self._users.without_adapter(evidence.query)
            trained = _trained(evidence)
            ranker = self._users.ranker(trained) if trained is not None and policy.ranker else None
            search = Search(request.limit, evidence.where, list(evidence.unwanted), request.boosts)
            hits, propensities = make_list(self._index, query, search, policy, ranker=ranker, rng=rng)
            reason = " and ".join(evidence.reasons)
            rows = [_row(hit, reason, propensity) for hit, propensity in zip(hits, propensities, strict=True)]
            strategy = "+".join(evidence.used if ranker is None else [*evidence.used, "ranked"])
        if policy.adapter and policy.cold_share:
            rows = self._with_newcomers(rows, request, evidence, policy, rng)
        return self._with_likeness(rows, evidence) if request.explain and evidence.clicked else rows, strategy

    def _with_newcomers(
        self,
        rows: list[Recommendation],
        request: Request,
        evidence: Evidence,
        policy: Policy,
        rng: np.random.Generator,
    ) -> list[Recommendation]:
        """The rows, every so many places one that was drawn among the new items that are owed a place."""
        kept = places(policy.cold_share, request.limit, rng) - self._floor.owed_among(row.item_id for row in rows)
        if kept <= 0:
            return rows
        unwanted = {*evidence.unwanted, *(row.item_id for row in rows)}
        conditions = read_filter(request.where)  # whether it may be shown now, the floor knows
        picks = self._floor.draw(kept, evidence.query, unwanted=unwanted, conditions=conditions, rng=rng)
        if not picks:
            return rows
        drawn = [_row(pick.hit, "shown to get its first clicks", pick.propensity) for pick in picks]
        # In place of the last rows, and among the others rather than below them all.
        rows = rows[: max(0, request.limit - len(drawn))]
        every = (len(rows) + len(drawn)) // len(drawn)
        for n, row in enumerate(drawn, start=1):
            rows.insert(n * every - 1, row)
        return rows

    def _with_likeness(self, rows: Sequence[Recommendation], evidence: Evidence) -> list[Recommendation]:
        """The rows, each with the clicked item that it is most like."""
        points = self._index.fetch([row.item_id for row in rows])
        if not points:
            return list(rows)
        ids, clicked = list(evidence.clicked), np.stack(list(evidence.clicked.values()))
        cosines = normalise(np.stack([point.vector for point in points.values()])) @ normalise(clicked).T
        best = cosines.argmax(axis=1).tolist()
        like = {item_id: (ids[n], float(of[n])) for item_id, of, n in zip(points, cosines, best, strict=True)}
        return [
            row._replace(nearest=like[row.item_id][0], likeness=like[row.item_id][1]) if row.item_id in like else row
            for row in rows
        ]

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

    def _weigh(self, request: Request, evidence: Evidence, policy: Policy) -> None:
        if request.user_id is not None:
            evidence.reader = self._reader_of(request.user_id)
            evidence.degraded |= evidence.reader.degraded
            evidence.unwanted |= dict.fromkeys((*evidence.reader.profile.liked, *evidence.reader.profile.disliked))
        known = self._history(evidence)
        clicked, weights = self._clicks(request, evidence, policy)
        queries = []
        if clicked:
            folded = self._users.fold_in(np.stack(clicked), weights)
            queries.append(folded if known is None else self._users.blend(known, folded, float(weights.sum())))
        elif known is not None:
            queries.append(known)
        try:
            if policy.adapter and (embedding := self._sentence(request, evidence)) is not None:
                queries.append(self._users.query_from_text(embedding))
                evidence.used.append("preferences")
                evidence.reasons.append("matches the sentence")
        except Unavailable as error:
            _log.warning("preferences not used", extra={"error": str(error)})
            evidence.degraded = True
        if queries:
            evidence.query = queries[0] if len(queries) == 1 else combine(queries)

    def _history(self, evidence: Evidence) -> Vector | None:
        trained = _trained(evidence)
        known = None if trained is None else self._users.user_vector(trained)
        if trained is not None and known is not None:
            evidence.unwanted |= dict.fromkeys(self._users.seen(trained))
            evidence.used.append("history")
            evidence.reasons.append("fits the user's history")
        return known

    def _clicks(self, request: Request, evidence: Evidence, policy: Policy) -> tuple[list[Vector], Vector]:
        """Served vectors and weights of the clicked items: those of the request, then those of events, newest first.

        Below them those that the user likes, each as a click. What they dislike is not shown and moves nothing: nothing
        here was measured by which to subtract it. A backbone without an adapter knows nothing of cold items.
        """
        events = self._events(evidence)
        evidence.unwanted |= dict.fromkeys(event.item_id for event in events if kind_of(event.kind).met)
        weights = dict.fromkeys(request.clicked, 1.0)
        recent = weigh(events, now=self._clock(), half_life_s=self._half_life_s, most=RECENT_EVENTS)
        for item_id, weight in recent.items():
            weights[item_id] = max(weight, weights.get(item_id, 0.0))
        clicked = list(weights)
        liked = (
            [] if evidence.reader is None else [each for each in evidence.reader.profile.liked if each not in weights]
        )
        weights |= dict.fromkeys(liked, 1.0)
        if not weights:
            return [], np.empty(0, dtype=np.float32)
        points = self._index.fetch(list(weights))
        points = {each: point for each, point in points.items() if policy.adapter or not point.payload["cold"]}
        evidence.ignored = tuple(item_id for item_id in distinct(request.clicked) if item_id not in points)
        told = [item_id for item_id in weights if item_id in points]
        evidence.clicked = {item_id: points[item_id].vector for item_id in told}
        for name, group, kind in (("clicks", clicked, "recent click"), ("likes", liked, "liked item")):
            if number := sum(item_id in points for item_id in group):
                evidence.used.append(name)
                evidence.reasons.append(f"is close to {_count(number, kind)}")
        return [points[item_id].vector for item_id in told], np.array([weights[each] for each in told], np.float32)

    def _events(self, evidence: Evidence) -> list[Event]:
        if evidence.reader is None:
            return []
        try:
            return self._store.recent_events(evidence.reader.user_id, limit=MET_EVENTS)
        except Unavailable as error:
            _log.warning("recent events not used", extra={"error": str(error)})
            evidence.degraded = True
            return []

    def _sentence(self, request: Request, evidence: Evidence) -> Vector | None:
        """The embedding of the request's sentence or else of the user's, which is kept; `Unavailable` where none is."""
        if request.preferences and request.preferences.strip():
            return self._encode_preferences(request.preferences)
        said = None if evidence.reader is None else evidence.reader.profile
        if said is None or said.preferences is None:
            return None
        return self._encode_preferences(said.preferences) if said.embedding is None else said.embedding

    def _from_shelf(self, request: Request, evidence: Evidence) -> list[Recommendation]:
        """The shelf's items that qualify."""
        shelf, conditions = self._shelf(), read_filter(evidence.where)
        evidence.degraded |= shelf.degraded
        unwanted = evidence.unwanted.keys()
        fitting = (
            hit
            for hit in shelf.hits
            if hit.item_id not in unwanted and all(condition.holds(hit.payload) for condition in conditions)
        )
        return [
            _row(
                hit,
                f"popular: {_count(times, 'click')}" if (times := shelf.clicks.get(hit.item_id, 0)) else "just arrived",
            )
            for hit in islice(fitting, request.limit)
        ]

    def _like_favourites(
        self, request: Request, evidence: Evidence, rows: Sequence[Recommendation]
    ) -> list[Recommendation]:
        """Below the rows, where a filter leaves few of them: what is nearest to the shelf's favourites."""
        missing, favourites = request.limit - len(rows), self._shelf().favourites
        if missing <= 0 or not len(favourites):
            return []
        exclude = [*evidence.unwanted, *(row.item_id for row in rows)]
        taste = self._users.fold_in(favourites)
        found = self._index.query(taste[None], missing, where=evidence.where, exclude=exclude)[0]
        return [_row(hit, "is close to what is popular") for hit in found]


def _named(request: Request) -> dict[ExternalId, None]:
    return dict.fromkeys((*request.clicked, *request.exclude))


def _trained(evidence: Evidence) -> ExternalId | None:
    """As whom the backbone may know the reader; it knows nobody who was erased."""
    reader = evidence.reader
    return None if reader is None or reader.erased else reader.user_id


def _count(number: int, kind: str) -> str:
    return f"{number} {kind}{'s' * (number != 1)}"


def _where(request: Request, policy: Policy, now: float) -> Filter:
    """The conditions of a row: what was asked for, that it may be shown now, and that the policy knows it."""
    asked = dict(request.where or {})
    if not policy.adapter:
        may_be_warm = all(
            condition.holds({"cold": False}) for condition in read_filter({"cold": asked.get("cold", False)})
        )
        asked["cold"] = False if may_be_warm else []
    return {**asked, **available(now)}


def _row(hit: Hit, reason: str, propensity: float = 1.0) -> Recommendation:
    item_id, score, _, payload = hit
    if not payload["cold"]:
        return Recommendation(item_id, score, False, reason, propensity)
    return Recommendation(item_id, score, True, f"new, {reason}", propensity, gates=payload.get("gates", {}))
