"""How our nouns become database rows and come back. Pure: no connection, no clock."""

from collections.abc import Iterator
from hashlib import sha256
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import DTypeLike
from sqlalchemy import Row, func, select

from coldstart.catalog import Draft, Encoded, ItemRecord, Status
from coldstart.catalog.models import items, outbox
from coldstart.entities import Event, Item
from coldstart.errors import InvalidInput
from coldstart.ids import check_id
from coldstart.vectors import Vector, require_finite

_BLOBS = {"text_embedding", "image_embedding", "vector"}

# Everything of an item but its blobs, of which a read only learns whether they are there.
RECORDS = select(
    *(column for column in items.c if column.name not in _BLOBS),
    items.c.text_embedding.is_not(None).label("has_text"),
    items.c.image_embedding.is_not(None).label("has_image"),
    func.coalesce(outbox.c.attempts, 0).label("attempts"),
).select_from(items.outerjoin(outbox))

# What accepting resets: it belonged to the version before.
UNREACHED: dict[str, Any] = {
    "claimed_at": None,
    "encoded_at": None,
    "retrievable_at": None,
    "error": None,
    "picture_error": None,
    "gates": {},
    "cold": None,
    "adapter_version": None,
    "clicks": None,
    "other_clicks": None,
    "click_weight": None,
    "text_embedding": None,
    "image_embedding": None,
    "vector": None,
}


def item_row(draft: Draft, *, now: float) -> dict[str, Any]:
    """The draft as a new row of ``items``."""
    item = draft.item
    return {
        "item_id": item.item_id,
        "version": 1,
        "source_version": draft.source_version,
        "status": Status.PENDING,
        "deleted": False,
        "title": item.title,
        "text": item.text,
        "image": item.image,
        "attributes": dict(item.attributes),
        "published_at": item.published_at,
        "expires_at": item.expires_at,
        "picture_sha256": None if draft.picture is None else digest(draft.picture),
        "accepted_at": now,
        **UNREACHED,
    }


def digest(picture: bytes) -> str:
    """The name under which a picture is stored: SHA-256 of its bytes, in hexadecimal."""
    return sha256(picture).hexdigest()


def encoded_row(result: Encoded, *, now: float) -> dict[str, Any]:
    """What encoding adds to an item's row; `InvalidInput` where a vector is not finite."""
    return {
        "encoded_at": now,
        "text_embedding": to_blob(result.embeddings.text, "<f2", result.item_id),
        "image_embedding": to_blob(result.embeddings.image, "<f2", result.item_id),
        "vector": to_blob(result.vector, "<f4", result.item_id),
        "gates": dict(result.gates),
        "cold": result.cold,
        "adapter_version": result.adapter_version,
        "picture_error": storable(result.picture_error),
        # Back where its content puts it, whatever clicks had moved it before.
        "clicks": None,
        "other_clicks": None,
        "click_weight": None,
    }


def to_blob(vector: Vector | None, dtype: DTypeLike, subject: str) -> bytes | None:
    """The vector's numbers as bytes of this type; `InvalidInput` where one is not finite or too large for it."""
    if vector is None:
        return None
    with np.errstate(over="ignore"):
        stored = vector.astype(dtype)
    require_finite(stored, subject)
    return stored.tobytes()


def from_blob(blob: bytes | None, dtype: DTypeLike) -> Vector | None:
    """The vector of `to_blob`, as float32."""
    return None if blob is None else np.frombuffer(blob, dtype=dtype).astype(np.float32)


def record(row: Row[*tuple[Any, ...]]) -> ItemRecord:
    """A row of `RECORDS` as the protocol shows it."""
    return ItemRecord(
        item=Item(row.item_id, row.title, row.text, row.image, row.attributes, row.published_at, row.expires_at),
        version=row.version,
        status=Status(row.status),
        accepted_at=row.accepted_at,
        claimed_at=row.claimed_at,
        encoded_at=row.encoded_at,
        retrievable_at=row.retrievable_at,
        attempts=row.attempts,
        error=row.error,
        picture_error=row.picture_error,
        picture_sha256=row.picture_sha256,
        modalities=(*["text"] * row.has_text, *["image"] * row.has_image),
        gates=row.gates,
        cold=row.cold,
        adapter_version=row.adapter_version,
        clicks=row.clicks or 0,
        other_clicks=row.other_clicks or 0,
        click_weight=row.click_weight or 0.0,
    )


def storable(text: str | None) -> str | None:
    """A message of ours with what a database refuses replaced: messages may quote anything."""
    return text and text.replace("\0", "\ufffd").encode(errors="replace").decode()


def check_draft(draft: Draft) -> None:
    """Raise `InvalidInput` for what no database takes, so that one bad draft does not fail the batch it came in."""
    item = draft.item
    check_id(item.item_id, kind="item_id")
    if draft.source_version is not None and abs(draft.source_version) >= 2**63:
        raise InvalidInput("the source_version does not fit into 64 bits", subject=item.item_id)
    for text in (item.title, item.text, item.image or "", *_texts(item)):
        check_text(text, subject=item.item_id)
    for name, value in item.attributes.items():
        if isinstance(value, float) and not isfinite(value):
            raise InvalidInput(f"the attribute {name!r} is not a finite number", subject=item.item_id)
    _check_window(item)


def _check_window(item: Item) -> None:
    """Raise `InvalidInput` where there is no moment at which the item could be shown."""
    published_at, expires_at = item.published_at, item.expires_at
    if not all(at is None or isfinite(at) for at in (published_at, expires_at)):
        raise InvalidInput("published_at or expires_at is not a finite number", subject=item.item_id)
    if published_at is not None and expires_at is not None and expires_at <= published_at:
        raise InvalidInput(
            f"expires_at {expires_at:.0f} is not after published_at {published_at:.0f}", subject=item.item_id,
            remedy="Send the later time as expires_at, or leave one of them out",
        )  # fmt: skip


def check_event(event: Event) -> None:
    """Raise `InvalidInput` for what no database takes."""
    check_id(event.event_id, kind="event_id")
    check_id(event.user_id, kind="user_id")
    check_id(event.item_id, kind="item_id")
    check_text(event.kind, subject=event.event_id)
    if not isfinite(event.timestamp):
        raise InvalidInput("the timestamp is not a finite number", subject=event.event_id, remedy="Send Unix seconds")


def check_text(text: str, *, subject: str) -> None:
    """Raise `InvalidInput` where the text holds NUL or a lone surrogate."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidInput("the text holds a lone surrogate", subject=subject, remedy="Send valid text") from None
    if "\0" in text:
        raise InvalidInput("the text holds a NUL character", subject=subject, remedy="Remove it")


def _texts(item: Item) -> Iterator[str]:
    for name, value in item.attributes.items():
        yield name
        if isinstance(value, str):
            yield value
        elif isinstance(value, list):
            yield from value
