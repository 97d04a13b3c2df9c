"""From a query to a list: retrieve, boost, rank again, draw or tell apart."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from coldstart.backbones.reranking import POOL
from coldstart.entities import ExternalId
from coldstart.index import Filter, Hit, VectorIndex
from coldstart.index.conditions import read_filter
from coldstart.recommend.diversity import mmr
from coldstart.recommend.exploring import draw, tempered
from coldstart.recommend.policy import Boost, Policy
from coldstart.users import Ranker
from coldstart.vectors import Vector

# What is drawn, boosted or told apart is chosen from this many times the list's length.
WIDER = 5


@dataclass(frozen=True, slots=True)
class Search:
    """What is looked for: ``exclude`` by id, ``where`` by payload."""

    limit: int
    where: Filter | None
    exclude: Sequence[ExternalId]
    boosts: Sequence[Boost] = ()


def make_list(
    index: VectorIndex,
    query: Vector,
    search: Search,
    policy: Policy,
    *,
    ranker: Ranker | None,
    rng: np.random.Generator,
) -> tuple[list[Hit], list[float]]:
    """The items for a query [D], best first, and the chance with which each came to its place.

    One look at the index, one more for each boost.
    """
    chosen = bool(policy.diversity or policy.explore or search.boosts)
    pool = max(search.limit * (WIDER if chosen else 1), POOL if ranker is not None else 0)
    hits = _retrieve(index, query, search, pool)
    if ranker is not None:
        hits = _rank(index, hits, ranker, None if chosen else search.limit)
    if search.boosts:
        hits = sorted((_boosted(hit, search.boosts) for hit in hits), key=lambda hit: -hit.score)
    if policy.explore and hits:
        scores = np.array([hit.score for hit in hits], dtype=np.float32)
        rows, propensities = draw(tempered(scores, policy.explore), search.limit, rng)
        return [hits[row] for row in rows], propensities
    if policy.diversity:
        points = index.fetch([hit.item_id for hit in hits])
        hits = [hit for hit in hits if hit.item_id in points]  # without what was deleted between the two looks
        if hits:
            scores = np.array([hit.score for hit in hits], dtype=np.float32)
            vectors = np.stack([points[hit.item_id].vector for hit in hits])
            hits = [hits[row] for row in mmr(scores, vectors, search.limit, diversity=policy.diversity)]
    hits = hits[: search.limit]
    return hits, [1.0] * len(hits)


def _retrieve(index: VectorIndex, query: Vector, search: Search, pool: int) -> list[Hit]:
    """The best items by inner product, and the best that are boosted, which may stand further down."""
    wanted = search.where or {}
    # A boost on a path that is filtered already is found among what the filter leaves.
    raised = [{**wanted, **each.where} for each in search.boosts if each.factor > 1 and not each.where.keys() & wanted]
    if not raised:
        return index.query(query[None], pool, where=search.where, exclude=search.exclude)[0]
    found: dict[ExternalId, Hit] = {}
    for where in (search.where, *raised):
        for hit in index.query(query[None], pool, where=where, exclude=search.exclude)[0]:
            found.setdefault(hit.item_id, hit)
    return list(found.values())


def _boosted(hit: Hit, boosts: Sequence[Boost]) -> Hit:
    score = hit.score
    for boost in boosts:
        if all(condition.holds(hit.payload) for condition in read_filter(boost.where)):
            score = boost.of(score)
    return hit if score == hit.score else hit._replace(score=score)


def _rank(index: VectorIndex, hits: Sequence[Hit], ranker: Ranker, limit: int | None) -> list[Hit]:
    """The same items, scored once more: the ``limit`` best of them, best first."""
    # An engine gives vectors out number by number: of a hundred candidates that would take longer than the search.
    new = [hit.item_id for hit in hits if hit.payload["cold"]]
    points = index.fetch(new) if new else {}
    hits = [hit for hit in hits if not hit.payload["cold"] or hit.item_id in points]
    if not hits:
        return []
    vectors = np.zeros((len(hits), index.dim), dtype=np.float32)
    for row, hit in enumerate(hits):
        if (point := points.get(hit.item_id)) is not None:
            vectors[row] = point.vector
    scores = ranker(
        np.array([hit.score for hit in hits], dtype=np.float32),
        [hit.item_id for hit in hits],
        vectors,
        np.array([bool(hit.payload["cold"]) for hit in hits]),
    )
    best = np.argsort(-scores, kind="stable")[:limit].tolist()
    return [hits[row]._replace(score=float(scores[row])) for row in best]
