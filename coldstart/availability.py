"""From when and until when lists show an item: what the index is told of it, and what it is asked."""

from collections.abc import Mapping
from typing import Any

from coldstart.entities import Item
from coldstart.index import Filter

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


def is_available(payload: Mapping[str, Any], now: float) -> bool:
    """What `available` asks of a point, in plain Python.

    >>> is_available({"expires_at": 10.0}, 9.9), is_available({"expires_at": 10.0}, 10.0)
    (True, False)
    """
    return bool(payload.get(PUBLISHED_AT, now) <= now < payload.get(EXPIRES_AT, float("inf")))
