"""The outbox: what workers claim, report and give back. Each function works inside the transaction it is given.

The order of locks is that of `coldstart.catalog.accepting`. A claim takes its rows of both tables at once and skips
those that anyone holds, so it never waits.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, case, delete, func, select, update
from sqlalchemy.sql import ColumnElement

from coldstart.catalog import Accepted, Claim, Encoded, Stage, Status, graduating
from coldstart.catalog.models import items, media, outbox
from coldstart.catalog.rows import RECORDS, encoded_row, from_blob, record, storable
from coldstart.entities import ExternalId
from coldstart.errors import NotFound

LOST = "the worker died or ran out of time at every attempt"

# Steps are timed on the way of a version to its first place in the index; what a new adapter or a lost index makes
# necessary later says nothing about how long a caller waited.
_UNDER_WAY = items.c.retrievable_at.is_(None)

# A row given back: a tombstone stays a tombstone.
_RELEASED = case((items.c.deleted, Status.DELETED), else_=Status.PENDING)


def claim(
    tx: Connection,
    stage: Stage,
    *,
    limit: int,
    lease_s: float,
    max_attempts: int,
    now: float,
    background: int | None = None,
) -> list[Claim]:
    """`ItemStore.claim`."""
    lost = (outbox.c.stage == stage, outbox.c.leased, outbox.c.due_at <= now)
    spent = select(outbox.c.item_id).join(items).where(*lost, outbox.c.attempts >= max_attempts)
    _bury(tx, list(tx.scalars(spent.with_for_update(skip_locked=True))), LOST)

    # A row lost by its worker may be what killed it: it is tried alone, so that it takes no neighbour along.
    ids = _lease(tx, *lost, limit=1, until=now + lease_s)
    if not ids:
        due = (outbox.c.stage == stage, ~outbox.c.leased, outbox.c.due_at <= now)
        ids = _lease(tx, *due, outbox.c.priority >= 0, limit=limit, until=now + lease_s)
        if not ids:
            some = limit if background is None else min(background, limit)
            ids = _lease(tx, *due, outbox.c.priority < 0, limit=some, until=now + lease_s)
    if not ids:
        return []
    if stage is Stage.ENCODE:
        claimed_at = case((_UNDER_WAY, now), else_=items.c.claimed_at)
        tx.execute(update(items).where(items.c.item_id.in_(ids)).values(status=Status.ENCODING, claimed_at=claimed_at))
    return _claims(tx, stage, ids)


def _lease(tx: Connection, *conditions: ColumnElement[bool], limit: int, until: float) -> list[ExternalId]:
    first = (
        select(outbox.c.item_id)
        .join(items)
        .where(*conditions)
        .order_by(outbox.c.priority.desc(), outbox.c.due_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("first")  # evaluated once; as a bare subquery PostgreSQL may run it again and lease more than the limit
    )
    return list(
        tx.scalars(
            update(outbox)
            .where(outbox.c.item_id.in_(select(first.c.item_id)))
            .values(due_at=until, leased=True, attempts=outbox.c.attempts + 1)
            .returning(outbox.c.item_id)
        )
    )


def _claims(tx: Connection, stage: Stage, ids: Sequence[ExternalId]) -> list[Claim]:
    match stage:
        case Stage.ENCODE:
            query = RECORDS.add_columns(media.c.content).outerjoin(media)
        case Stage.INDEX:
            query = RECORDS.add_columns(items.c.vector)
    query = query.where(items.c.item_id.in_(ids)).order_by(outbox.c.priority.desc(), items.c.accepted_at)
    return [
        Claim(
            record=record(row),
            attempts=row.attempts,
            picture=row.content if stage is Stage.ENCODE else None,
            vector=from_blob(row.vector, "<f4") if stage is Stage.INDEX else None,
        )
        for row in tx.execute(query)
    ]


def encoded(tx: Connection, results: Sequence[Encoded], *, lease_s: float | None, now: float) -> list[ExternalId]:
    """`ItemStore.encoded`."""
    versions = {result.item_id: result.version for result in results}
    current = _current(tx, versions, outbox.c.stage == Stage.ENCODE)
    if not current:
        return []
    rows = [{"key": result.item_id, **encoded_row(result, now=now)} for result in results if result.item_id in current]
    values: dict[str, Any] = {name: bindparam(name) for name in rows[0] if name != "key"}
    values["encoded_at"] = case((_UNDER_WAY, bindparam("encoded_at")), else_=items.c.encoded_at)
    tx.execute(update(items).where(items.c.item_id == bindparam("key")).values(values), rows)
    # The index is another job than encoding: its attempts are counted anew, and keeping the lease is the first.
    owed: dict[str, Any] = {"stage": Stage.INDEX, "due_at": now, "leased": False, "attempts": 0}
    if lease_s is not None:
        owed |= {"due_at": now + lease_s, "leased": True, "attempts": 1}
    tx.execute(update(outbox).where(outbox.c.item_id.in_(current)).values(owed))
    graduating.mark_encoded(tx, [r.item_id for r in results if r.item_id in current and r.cold], now=now)
    return list(current)


def done(tx: Connection, versions: Mapping[ExternalId, int], *, now: float) -> None:
    """`ItemStore.done`."""
    current = _current(tx, versions, outbox.c.stage == Stage.INDEX)
    if current:
        tx.execute(
            update(items)
            .where(items.c.item_id.in_(current))
            .values(
                status=case((items.c.deleted, Status.DELETED), else_=Status.RETRIEVABLE),
                retrievable_at=case((items.c.deleted, None), else_=func.coalesce(items.c.retrievable_at, now)),
                error=None,
            )
        )
        tx.execute(delete(outbox).where(outbox.c.item_id.in_(current)))


def fail(
    tx: Connection,
    versions: Mapping[ExternalId, int],
    reason: str,
    *,
    retry_in_s: float,
    max_attempts: int | None,
    now: float,
) -> None:
    """`ItemStore.fail`."""
    current = _current(tx, versions)
    spent = {item_id for item_id, attempts in current.items() if max_attempts is not None and attempts >= max_attempts}
    _bury(tx, sorted(spent), reason)
    again = [item_id for item_id in current if item_id not in spent]
    if again:
        values: dict[str, Any] = {"status": _RELEASED, "error": storable(reason)}
        tx.execute(update(items).where(items.c.item_id.in_(again)).values(values))
        values = {"due_at": now + retry_in_s, "leased": False}
        if max_attempts is None:
            values["attempts"] = case((outbox.c.attempts > 0, outbox.c.attempts - 1), else_=0)
        tx.execute(update(outbox).where(outbox.c.item_id.in_(again)).values(values))


def retry_dead(tx: Connection, item_id: ExternalId, *, now: float) -> Accepted:
    """`ItemStore.retry_dead`: at the stage where it died."""
    found = tx.execute(
        select(items.c.version, items.c.accepted_at)
        .join(outbox)
        .where(items.c.item_id == item_id, outbox.c.due_at.is_(None))
        .with_for_update()
    ).first()
    if found is None:
        raise NotFound(
            "the item is not among the dead letters", subject=item_id, remedy="GET the item to see where it stands"
        )
    tx.execute(update(items).where(items.c.item_id == item_id).values(status=_RELEASED, error=None))
    tx.execute(update(outbox).where(outbox.c.item_id == item_id).values(due_at=now, leased=False, attempts=0))
    return Accepted(item_id, found.version, found.accepted_at)


def expire_leases(tx: Connection, stage: Stage, *, now: float) -> int:
    """`ItemStore.expire_leases`: the rows stay marked as leased, and so are claimed one by one."""
    held = (outbox.c.stage == stage, outbox.c.leased, outbox.c.due_at > now)
    return tx.execute(update(outbox).where(*held).values(due_at=now)).rowcount


def due(tx: Connection, stage: Stage, *, now: float) -> int:
    """`ItemStore.due`."""
    return tx.execute(select(func.count()).where(outbox.c.stage == stage, outbox.c.due_at <= now)).scalar_one()


def backlog(tx: Connection) -> int:
    """`ItemStore.backlog`: every column of the index is named, so that a backfill's rows are not read."""
    posted = (outbox.c.stage.in_(Stage), outbox.c.leased.in_([False, True]), outbox.c.priority == 0)
    return tx.execute(select(func.count()).where(*posted, outbox.c.due_at.is_not(None))).scalar_one()


def _current(
    tx: Connection, versions: Mapping[ExternalId, int], *conditions: ColumnElement[bool]
) -> dict[ExternalId, int]:
    """Lock those of the items that still owe this version; with the attempts they had."""
    owed = (
        select(items.c.item_id, items.c.version, outbox.c.attempts)
        .join(outbox)
        .where(items.c.item_id.in_(versions), *conditions)
        .order_by(items.c.item_id)
        .with_for_update()
    )
    return {row.item_id: row.attempts for row in tx.execute(owed) if row.version == versions[row.item_id]}


def _bury(tx: Connection, ids: Sequence[ExternalId], reason: str) -> None:
    """Dead-letter the rows: they stay, owed to no one, until a retry, a newer version or a delete."""
    if ids:
        values: dict[str, Any] = {"status": Status.DEAD, "error": storable(reason)}
        tx.execute(update(items).where(items.c.item_id.in_(ids)).values(values))
        tx.execute(update(outbox).where(outbox.c.item_id.in_(ids)).values(due_at=None, leased=False))
