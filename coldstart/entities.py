"""The nouns of the service. All are frozen; an external id is text and never a row number or a point id."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

ExternalId = str
"""An id as the caller knows it: any non-empty text of at most 256 characters."""

Scalar = str | int | float | bool
Attributes = Mapping[str, Scalar | list[str]]
"""Declared columns of an item beyond title, text and image: ``{"genre": "Drama", "price": 9.5}``."""


@dataclass(frozen=True, slots=True)
class Item:
    """What a catalogue says about an item.

    ``image`` is a path, an ``http(s)`` address or a ``data:`` URL; ``None`` where there is no picture. Lists show the
    item from ``published_at`` on and until ``expires_at`` (Unix seconds, UTC); ``None`` leaves a side open.
    """

    item_id: ExternalId
    title: str
    text: str = ""
    image: str | None = None
    attributes: Attributes = field(default_factory=dict)
    published_at: float | None = None
    expires_at: float | None = None


@dataclass(frozen=True, slots=True)
class Interaction:
    """A user met an item; ``timestamp`` in Unix seconds (UTC)."""

    user_id: ExternalId
    item_id: ExternalId
    rating: float | None = None
    timestamp: float | None = None
    kind: str = "click"


@dataclass(frozen=True, slots=True)
class Event:
    """An interaction as it is reported live; ``event_id`` makes a repeated delivery harmless."""

    event_id: str
    user_id: ExternalId
    item_id: ExternalId
    timestamp: float
    kind: str = "click"


class Recommendation(NamedTuple):  # made by the score for each list, which takes a dataclass three times as long
    """One row of a list: ``cold`` is true where the backbone has never seen a click on the item.

    ``propensity`` is the chance with which the item was put in its place, given what stands above it. ``nearest`` is
    the clicked item whose served vector points most nearly the same way, and ``likeness`` their cosine; ``gates`` is
    how much the adapter listened to each modality of a cold item.
    """

    item_id: ExternalId
    score: float
    cold: bool
    reason: str = ""
    propensity: float = 1.0
    nearest: ExternalId | None = None
    likeness: float | None = None
    gates: Mapping[str, float] = MappingProxyType({})
