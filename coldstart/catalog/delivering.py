"""The outbox: what workers claim, report and give back. Each function works inside the transaction it is given.

The order of locks is that of `coldstart.catalog.accepting`. A claim takes its rows of both tables at once and skips
those that anyone holds, so it never waits.

What every item needs is a statement made once: SQLAlchemy takes several times as long to put one together as to run it.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Boolean, Connection, Double, Integer, Update, bindparam, case, delete, func, select, update
from sqlalchemy.sql import ColumnElement
from sqlalchemy.sql.dml import ReturningUpdate

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

_NOW, _UNTIL = bindparam("now", type_=Double), bindparam("until", type_=Double)
_STAGE = outbox.c.stage == bindparam("at_stage")
_ITEMS = items.c.item_id.in_(bindparam("ids", expanding=True))
_OWED = outbox.c.item_id.in_(bindparam("ids", expanding=True))

_LOST = (_STAGE, outbox.c.leased, outbox.c.due_at <= _NOW)
_DUE = (_STAGE, ~outbox.c.leased, outbox.c.due_at <= _NOW)
_ANY_LOST = select(select(outbox.c.item_id).where(*_LOST).exists())
_SPENT = (
    select(outbox.c.item_id)
    .join(items)
    .where(*_LOST, outbox.c.attempts >= bindparam("max_attempts", type_=Integer))
    .with_for_update(skip_locked=True)
)


def _lease(*conditions: ColumnElement[bool]) -> ReturningUpdate[ExternalId]:
    """Lease the first ``limit`` rows ``until`` then; their ids."""
    first = (
        select(outbox.c.item_id)
        .join(items)
        .where(*conditions)
        .order_by(outbox.c.priority.desc(), outbox.c.due_at)
        .limit(bindparam("limit", type_=Integer))
        .with_for_update(skip_locked=True)
        .cte("first")  # evaluated once; as a bare subquery PostgreSQL may run it again and lease more than the limit
    )
    return (
        update(outbox)
        .where(outbox.c.item_id.in_(select(first.c.item_id)))
        .values(due_at=_UNTIL, leased=True, attempts=outbox.c.attempts + 1)
        .returning(outbox.c.item_id)
    )


_LEASE_LOST = _lease(*_LOST)
_LEASE_POSTED = _lease(*_DUE, outbox.c.priority >= 0)
_LEASE_BACKGROUND = _lease(*_DUE, outbox.c.priority < 0)
_BEGIN = (
    update(items)
    .where(_ITEMS)
    .values(status=Status.ENCODING, claimed_at=case((_UNDER_WAY, _NOW), else_=items.c.claimed_at))
)
_IN_ORDER = (outbox.c.priority.desc(), items.c.accepted_at)
_CLAIMED = {
    Stage.ENCODE: RECORDS.add_columns(media.c.content).outerjoin(media).where(_ITEMS).order_by(*_IN_ORDER),
    Stage.INDEX: RECORDS.add_columns(items.c.vector).where(_ITEMS).order_by(*_IN_ORDER),
}
_OWING = (
    select(items.c.item_id, items.c.version, outbox.c.attempts)
    .join(outbox)
    .where(_ITEMS)
    .order_by(items.c.item_id)
    .with_for_update()
)
_OWING_AT = _OWING.where(_STAGE)
_TO_INDEX = (
    update(outbox)
    .where(_OWED)
    .values(
        stage=Stage.INDEX, due_at=_UNTIL, leased=bindparam("kept", type_=Boolean),
        attempts=bindparam("tries", type_=Integer),
    )
)  # fmt: skip
_FINISH = (
    update(items)
    .where(_ITEMS)
    .values(
        status=case((items.c.deleted, Status.DELETED), else_=Status.RETRIEVABLE),
        retrievable_at=case((items.c.deleted, None), else_=func.coalesce(items.c.retrievable_at, _NOW)),
        error=None,
    )
)
_OWE_NOTHING = delete(outbox).where(_OWED)


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
    at: dict[str, Any] = {"at_stage": stage, "now": now}
    lease = {**at, "until": now + lease_s}
    ids: list[ExternalId] = []
    if tx.scalar(_ANY_LOST, at):
        _bury(tx, list(tx.scalars(_SPENT, {**at, "max_attempts": max_attempts})), LOST)
        # A row lost by its worker may be what killed it: it is tried alone, so that it takes no neighbour along.
        ids = list(tx.scalars(_LEASE_LOST, {**lease, "limit": 1}))
    if not ids:
        ids = list(tx.scalars(_LEASE_POSTED, {**lease, "limit": limit}))
    if not ids:
        some = limit if background is None else min(background, limit)
        ids = list(tx.scalars(_LEASE_BACKGROUND, {**lease, "limit": some}))
    if not ids:
        return []
    if stage is Stage.ENCODE:
        tx.execute(_BEGIN, {"ids": ids, "now": now})
    return [
        Claim(
            record=record(row),
            attempts=row.attempts,
            picture=row.content if stage is Stage.ENCODE else None,
            vector=from_blob(row.vector, "<f4") if stage is Stage.INDEX else None,
        )
        for row in tx.execute(_CLAIMED[stage], {"ids": ids})
    ]


def encoded(tx: Connection, results: Sequence[Encoded], *, lease_s: float | None, now: float) -> list[ExternalId]:
    """`ItemStore.encoded`."""
    versions = {result.item_id: result.version for result in results}
    current = _current(tx, versions, Stage.ENCODE)
    if not current:
        return []
    rows = [{"key": result.item_id, **encoded_row(result, now=now)} for result in results if result.item_id in current]
    tx.execute(_store(tuple(name for name in rows[0] if name != "key")), rows)
    # The index is another job than encoding: its attempts are counted anew, and keeping the lease is the first.
    kept = lease_s is not None
    owed = {"until": now + (lease_s or 0.0), "kept": kept, "tries": int(kept)}
    tx.execute(_TO_INDEX, {"ids": list(current), **owed})
    graduating.mark_encoded(tx, [r.item_id for r in results if r.item_id in current and r.cold], now=now)
    return list(current)


@cache
def _store(names: tuple[str, ...]) -> Update:
    """What encoding adds to the row ``key``."""
    values: dict[str, Any] = {name: bindparam(name) for name in names}
    values["encoded_at"] = case((_UNDER_WAY, bindparam("encoded_at")), else_=items.c.encoded_at)
    return update(items).where(items.c.item_id == bindparam("key")).values(values)


def done(tx: Connection, versions: Mapping[ExternalId, int], *, now: float) -> None:
    """`ItemStore.done`."""
    current = list(_current(tx, versions, Stage.INDEX))
    if current:
        tx.execute(_FINISH, {"ids": current, "now": now})
        tx.execute(_OWE_NOTHING, {"ids": current})


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


def _current(tx: Connection, versions: Mapping[ExternalId, int], stage: Stage | None = None) -> dict[ExternalId, int]:
    """Lock those of the items that still owe this version, at any stage or this one; with the attempts they had."""
    ids: dict[str, Any] = {"ids": list(versions)}
    owed = tx.execute(_OWING, ids) if stage is None else tx.execute(_OWING_AT, {**ids, "at_stage": stage})
    return {row.item_id: row.attempts for row in owed if row.version == versions[row.item_id]}


def _bury(tx: Connection, ids: Sequence[ExternalId], reason: str) -> None:
    """Dead-letter the rows: they stay, owed to no one, until a retry, a newer version or a delete."""
    if ids:
        values: dict[str, Any] = {"status": Status.DEAD, "error": storable(reason)}
        tx.execute(update(items).where(items.c.item_id.in_(ids)).values(values))
        tx.execute(update(outbox).where(outbox.c.item_id.in_(ids)).values(due_at=None, leased=False))
