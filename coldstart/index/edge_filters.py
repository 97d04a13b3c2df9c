"""Conditions in the words of Qdrant Edge."""

from collections.abc import Sequence
from functools import lru_cache

import qdrant_edge as qdrant

from coldstart.entities import ExternalId
from coldstart.index.conditions import Bounds, Condition, Match, flag, json_path
from coldstart.index.points import stored_id


def edge_filter(conditions: Sequence[Condition], exclude: Sequence[ExternalId]) -> qdrant.Filter | None:
    """All of the conditions, and none of the excluded ids; ``None`` where that is anything."""
    if not conditions and not exclude:  # an empty filter makes a scan slower than none
        return None
    return qdrant.Filter(
        must=[_told(condition) for condition in conditions if not condition.negated],
        must_not=[
            *([qdrant.HasIdCondition(set(map(stored_id, exclude)))] if exclude else []),
            *(_told(condition) for condition in conditions if condition.negated and condition.matches),
        ],
    )


@lru_cache(4096)
def few_keys(item_ids: tuple[ExternalId, ...]) -> frozenset[int]:
    """Of what a user has met: the same until they meet more."""
    return frozenset(stored_id(each).int for each in item_ids)


def _told(condition: Condition) -> qdrant.FieldCondition | qdrant.Filter:
    told = [_field(json_path(condition.path), condition.path, match) for match in condition.matches]
    return told[0] if len(told) == 1 else qdrant.Filter(should=[*told])


def _field(key: str, path: str, match: Match) -> qdrant.FieldCondition:
    match match:
        case Bounds():
            bounds = qdrant.RangeFloat(gt=match.gt, gte=match.gte, lt=match.lt, lte=match.lte)
            return qdrant.FieldCondition(key, range=bounds)
        case bool():  # the binding reads True as the number 1, which matches no boolean
            return qdrant.FieldCondition("_flags", match=qdrant.MatchValue(flag(path, match)))
        case str():
            return qdrant.FieldCondition(key, match=qdrant.MatchValue(match))
