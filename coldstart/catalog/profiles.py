"""Profiles as rows, and two of them becoming one. Each function works inside the transaction it is given."""

from collections.abc import Sequence
from math import isfinite
from typing import Any

from sqlalchemy import Connection, Row, delete, select, update

from coldstart.catalog.graduating import AT_ONCE, CLICKS, mark
from coldstart.catalog.models import events, exposures, users
from coldstart.catalog.rows import check_text, from_blob, to_blob
from coldstart.catalog.statements import chunks, insert
from coldstart.entities import ExternalId
from coldstart.errors import InvalidInput
from coldstart.ids import check_id
from coldstart.users.profile import Profile, unite

_BLANK: dict[str, Any] = {
    "preferences": None, "encoder": None, "liked": [], "disliked": [], "attributes": {}, "embedding": None,
}  # fmt: skip


def check_profile(user_id: ExternalId, profile: Profile) -> None:
    """Raise `InvalidInput` for what no database takes, and for an item in both lists."""
    check_id(user_id, kind="user_id")
    if both := set(profile.liked) & set(profile.disliked):
        raise InvalidInput("the item is both liked and disliked", subject=min(both), remedy="Name it in one list")
    for item_id in (*profile.liked, *profile.disliked):
        check_id(item_id, kind="item_id")
    for name, value in profile.attributes.items():
        for said in (name, *(value if isinstance(value, list) else [str(value)])):
            check_text(said, subject=user_id)
        if isinstance(value, float) and not isfinite(value):
            raise InvalidInput(f"the attribute {name!r} is not a finite number", subject=user_id)
    check_text(profile.preferences or "", subject=user_id)


def read_profile(row: Row[*tuple[Any, ...]]) -> Profile:
    """The profile of a row of ``users``."""
    return Profile(
        preferences=row.preferences,
        embedding=from_blob(row.embedding, "<f2"),
        encoder=row.encoder,
        liked=tuple(row.liked),
        disliked=tuple(row.disliked),
        attributes=row.attributes,
    )


def write_profile(tx: Connection, user_id: ExternalId, profile: Profile, *, now: float) -> None:
    """Store the profile in the place of whatever was there."""
    values = {
        "merged_into": None,
        "preferences": profile.preferences,
        "encoder": profile.encoder,
        "liked": list(profile.liked),
        "disliked": list(profile.disliked),
        "attributes": dict(profile.attributes),
        "updated_at": now,
        "embedding": to_blob(profile.embedding, "<f2", user_id),
    }
    put = insert(tx, users).values(user_id=user_id, **values)
    tx.execute(put.on_conflict_do_update(index_elements=[users.c.user_id], set_=values))


def merge(tx: Connection, source: ExternalId, account: ExternalId, *, now: float) -> int:
    """Move profile and events of the source to the account, and leave its name; returns the number of events.

    What experiments showed it stays under its name: chance gave its arms to that.
    """
    rows = tx.execute(select(users).where(users.c.user_id.in_([source, account]))).all()
    profiles = {row.user_id: read_profile(row) for row in rows}
    if source in profiles:
        write_profile(tx, account, unite(profiles.get(account, Profile()), profiles[source]), now=now)
    name = {"merged_into": account, "updated_at": now, **_BLANK}
    put = insert(tx, users).values(user_id=source, **name)
    tx.execute(put.on_conflict_do_update(index_elements=[users.c.user_id], set_=name))
    tx.execute(update(users).where(users.c.merged_into == source).values(merged_into=account))
    return tx.execute(update(events).where(events.c.user_id == source).values(user_id=account)).rowcount


def drop_behaviour(tx: Connection, user_ids: Sequence[ExternalId], *, now: float) -> dict[str, int]:
    """Remove what these users did and what experiments showed them; returns how much of each there was.

    Items that their clicks may have moved are marked, and so placed again without them.
    """
    gone = {"events": 0, "exposures": 0}
    clicked: set[ExternalId] = set()
    for part in chunks(user_ids):
        theirs = select(events.c.item_id).where(events.c.user_id.in_(part), events.c.kind.in_(CLICKS))
        clicked.update(tx.scalars(theirs.distinct()))
        gone["events"] += tx.execute(delete(events).where(events.c.user_id.in_(part))).rowcount
        gone["exposures"] += tx.execute(delete(exposures).where(exposures.c.unit.in_(part))).rowcount
    mark(tx, dict.fromkeys(clicked, AT_ONCE), now=now)
    return gone
