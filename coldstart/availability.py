"""From when and until when lists show an item: what the index is told of it, and what it is asked."""

from collections.abc import Mapping
from typing import Any

from coldstart.entities import Item
from coldstart.index import Filter

ALWAYS = float("-inf"), float("inf")
PUBLISHED_AT, EXPIRES_AT = "published_at", "expires_at"


def window(item: Item) -> dict[str, float]:
    """The payload of an item's window; nothing where it is open.

    >>> window(Item("a", "Always")), window(Item("b", "Autumn sale", expires_at=1764000000))
    ({}, {'expires_at': 1764000000})
    """
    times = {PUBLISHED_AT: item.published_at, EXPIRES_AT: item.expires_at}
    return {name: at for name, at in times.items() if at is not None}


def available(now: float) -> Filter:
    """The conditions of being shown at a time: an item without times fulfils them always.

    They are about the few items that are out, so an engine need not look at those that are in.
    """
    return {PUBLISHED_AT: {"not": {"gt": now}}, EXPIRES_AT: {"not": {"lte": now}}}


def shown_within(payload: Mapping[str, Any]) -> tuple[float, float]:
    """From when and until when, by a point's payload: what `available` asks of it holds in between.

    >>> shown_within({"expires_at": 10.0})
    (-inf, 10.0)
    """
    return payload.get(PUBLISHED_AT, ALWAYS[0]), payload.get(EXPIRES_AT, ALWAYS[1])
