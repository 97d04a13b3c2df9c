"""What every engine does alike: check what comes in, lay out what is stored, read it back."""

import json
import logging
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import orjson

from coldstart.entities import ExternalId
from coldstart.errors import InvalidInput
from coldstart.ids import check_id, point_id
from coldstart.index import Held, Hit, Point, Stored
from coldstart.vectors import Matrix, Vector

logger = logging.getLogger(__name__)

HELD_KEYS = ["item_id", "version", "deleted"]
"""Payload keys that `held` reads."""
RESERVED = frozenset({"item_id", "version", "deleted", "_flags"})
"""Payload keys that the index writes itself."""

EngineId = uuid.UUID | str | int
"""A point's id as an engine reports it: ours are UUIDs, or their text over HTTP."""

_MAX_VERSION = 2**53  # engines compare versions as float64, exact up to here


@dataclass(frozen=True, slots=True)
class Write:
    """A point on its way into an engine. A tombstone has no vector, so no query can return it."""

    item_id: ExternalId
    version: int
    vector: Vector | None
    payload: dict[str, Any]

    @property
    def point_id(self) -> uuid.UUID:
        """The id under which it is stored."""
        return stored_id(self.item_id)


def upserts(points: Sequence[Point], dim: int) -> list[Write]:
    """The checked points, the newest of each item; `InvalidInput` naming the first item that cannot be stored."""
    for point in points:
        _check_version(point.item_id, point.version)
        if point.vector.shape != (dim,):
            raise InvalidInput(
                f"the vector has the shape {list(point.vector.shape)}, the collection [{dim}]",
                subject=point.item_id,
                remedy="Encode it with the adapter that the collection belongs to",
            )
    vectors = np.array([point.vector for point in points], dtype=np.float32).reshape(len(points), dim)
    _check_numbers(vectors, [point.item_id for point in points])
    rows = zip(points, vectors, strict=True)
    return _newest(Write(point.item_id, point.version, vector, _payload(point)) for point, vector in rows)


def tombstones(versions: Mapping[ExternalId, int]) -> list[Write]:
    """A tombstone for each item at its version."""
    for item_id, version in versions.items():
        _check_version(item_id, version)
    return [
        Write(item_id, version, None, {"item_id": item_id, "version": version, "deleted": True})
        for item_id, version in versions.items()
    ]


def queries(vectors: Matrix, limit: int, dim: int) -> Matrix:
    """The checked query vectors [b, D]; `InvalidInput` naming the row."""
    if vectors.ndim != 2 or vectors.shape[1] != dim:
        raise InvalidInput(f"the query vectors have the shape {list(vectors.shape)}, the collection needs [b, {dim}]")
    if limit < 1:
        raise InvalidInput(f"the limit is {limit}", remedy="Ask for at least 1 item")
    checked = np.asarray(vectors, dtype=np.float32)
    _check_numbers(checked, [f"query {row}" for row in range(len(checked))])
    return checked


def hit(at: EngineId, score: float, stored: dict[str, Any] | None) -> Hit | None:
    """A stored point as an answer, which takes over its payload; `None` for a point that is not one of ours."""
    found = live_stored(at, stored)
    return None if found is None else Hit(found.item_id, score, found.version, found.payload)


def live_point(at: EngineId, vector: object, stored: dict[str, Any] | None) -> Point | None:
    """A stored point as it was written; `None` for a tombstone and for a point that is not one of ours."""
    found = live_stored(at, stored)
    return None if found is None else Point(found.item_id, found.version, np.asarray(vector, np.float32), found.payload)


def live_stored(at: EngineId, stored: dict[str, Any] | None) -> Stored | None:
    """The same without its vector."""
    if stored is None or stored.get("deleted") or not _is_ours(at, stored):
        return None
    return Stored(stored.pop("item_id"), stored.pop("version"), _without_flags(stored))


def held(at: EngineId, stored: Mapping[str, Any] | None) -> Held | None:
    """What is known of a stored point without its vector; `None` for one that is not one of ours."""
    if stored is None or not _is_ours(at, stored):
        return None
    return Held(stored["item_id"], stored["version"], bool(stored.get("deleted")))


@lru_cache(maxsize=65_536)  # the ids that a user has seen are hashed again with each of the user's queries
def stored_id(item_id: ExternalId) -> uuid.UUID:
    """The engine's id of an item; `InvalidInput` where the text cannot be one."""
    try:
        return uuid.UUID(point_id(item_id))
    except UnicodeEncodeError:
        raise InvalidInput("the id holds a lone surrogate", subject=repr(item_id), remedy="Send valid text") from None


def _check_version(item_id: ExternalId, version: int) -> None:
    check_id(item_id, kind="item id")
    if not 1 <= version < _MAX_VERSION:
        raise InvalidInput(f"the version is {version}", subject=item_id, remedy="Versions count from 1")


def _check_numbers(vectors: Matrix, subjects: Sequence[str]) -> None:
    # A finite squared norm rules out NaN and infinities, and by Cauchy-Schwarz also any score that overflows:
    # engines accept all of these and rank them first.
    if np.isfinite(np.vdot(vectors, vectors)):
        return
    with np.errstate(over="ignore", invalid="ignore"):
        finite = np.isfinite(np.einsum("nd,nd->n", vectors, vectors))
    if not finite.all():
        raise InvalidInput(
            "the vector holds NaN, an infinite number, or numbers too large to be multiplied",
            subject=subjects[int(np.argmin(finite))],
            remedy="Check the encoder, the adapter or the import",
        )


def _payload(point: Point) -> dict[str, Any]:
    if not RESERVED.isdisjoint(point.payload):
        raise InvalidInput(
            f"the payload uses a reserved key, one of {sorted(RESERVED)}", subject=point.item_id, remedy="Rename it"
        )
    try:
        text = json.dumps(dict(point.payload), ensure_ascii=False, allow_nan=False)
        payload: dict[str, Any] = orjson.loads(text.encode())
    except (TypeError, ValueError) as error:
        raise InvalidInput(
            f"the payload is not JSON ({error})",
            subject=point.item_id,
            remedy="Use text, finite numbers, true, false, lists and mappings",
        ) from error
    return {"item_id": point.item_id, "version": point.version, **payload}


def _newest(writes: Iterable[Write]) -> list[Write]:
    newest: dict[ExternalId, Write] = {}
    for write in writes:
        known = newest.get(write.item_id)
        if known is None or known.version < write.version:
            newest[write.item_id] = write
    return list(newest.values())


def _is_ours(at: EngineId, stored: Mapping[str, Any]) -> bool:
    item_id = stored.get("item_id")
    if isinstance(item_id, str) and ((ours := stored_id(item_id)) == at or str(ours) == at):
        return True
    logger.error("point %s carries the item id %r: left out, something else writes to this collection", at, item_id)
    return False


def _without_flags(stored: dict[str, Any]) -> dict[str, Any]:
    stored.pop("_flags", None)
    return stored
