"""What callers change: items accepted and items deleted. Each function works inside the transaction it is given.

Locks are always taken in one order, so that on PostgreSQL no two transactions wait for each other: rows of ``items`` by
id, then the names of pictures, then rows of ``outbox``. On SQLite a writing transaction is alone.
"""

from collections.abc import Mapping, Sequence, Set
from functools import cache
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, Insert, bindparam, delete, exists, func, or_, select, text, update
from sqlalchemy.sql.dml import ReturningInsert

from coldstart.catalog import Accepted, Draft, Stage, Status
from coldstart.catalog.models import items, media, outbox
from coldstart.catalog.rows import UNREACHED, check_draft, digest, item_row
from coldstart.catalog.statements import chunks, insert
from coldstart.entities import ExternalId
from coldstart.errors import ColdstartError, Conflict, InvalidInput, NotFound

# Ahead of everything: a shop that withdraws an item expects it gone at once.
TOMBSTONE_PRIORITY = 1
_PICTURE_LOCKS = 0xC01D
"""Of the advisory locks in a database, those that are for names of pictures."""
_STORED = (
    select(items.c.item_id, items.c.version, items.c.picture_sha256)
    .where(items.c.item_id.in_(bindparam("ids", expanding=True)))
    .order_by(items.c.item_id)
    .with_for_update()
)


def accept(
    tx: Connection, drafts: Sequence[Draft], *, priority: int, now: float, backfill_id: str | None = None
) -> list[Accepted | ColdstartError]:
    """`ItemStore.accept`: a handful of statements for a thousand drafts."""
    refused: dict[int, ColdstartError] = {}
    winners: dict[ExternalId, Draft] = {}
    for position, draft in enumerate(drafts):
        item_id = draft.item.item_id
        try:
            check_draft(draft)
            _check_order(draft, winners[item_id].source_version if item_id in winners else None)
        except (InvalidInput, Conflict) as error:
            refused[position] = error
        else:
            winners[item_id] = draft
    answers: dict[ExternalId, Accepted | ColdstartError] = {}
    for part in chunks(sorted(winners.values(), key=lambda draft: draft.item.item_id)):
        answers |= _accept(tx, part, priority=priority, now=now, backfill_id=backfill_id)
    return [
        refused[position] if position in refused else answers[draft.item.item_id]
        for position, draft in enumerate(drafts)
    ]


def _accept(
    tx: Connection, drafts: Sequence[Draft], *, priority: int, now: float, backfill_id: str | None
) -> dict[ExternalId, Accepted | ColdstartError]:
    """Accept drafts of distinct ids, in the order of their ids."""
    ids = [draft.item.item_id for draft in drafts]
    stored = tx.execute(_STORED, {"ids": ids}).all()
    before = {row.item_id: row.version for row in stored}
    timely = [draft for draft in drafts if draft.replaces in (None, before.get(draft.item.item_id, 0))]
    pictures = [draft.picture for draft in timely if draft.picture is not None]
    replaced = {row.picture_sha256 for row in stored} - {None}
    _store_pictures(tx, pictures, replaced)
    versions: dict[ExternalId, int] = {}
    for new, run in groupby(timely, key=lambda draft: draft.replaces == 0):  # in runs, to keep to the order of the ids
        versions |= _put(tx, list(run), new=new, now=now)
    refused = len(versions) < len(timely)
    _drop_orphans(tx, replaced | set(map(digest, pictures)) if refused else replaced)
    owe(tx, versions, Stage.ENCODE, priority=priority, now=now, backfill_id=backfill_id)
    answers: dict[ExternalId, Accepted | ColdstartError] = {
        item_id: Accepted(item_id, version, now) for item_id, version in versions.items()
    }
    return answers | _conflicts(tx, [draft for draft in drafts if draft.item.item_id not in versions])


def _put(tx: Connection, drafts: Sequence[Draft], *, new: bool, now: float) -> dict[ExternalId, int]:
    """Write the drafts; the versions of those that were not refused, as ``new`` ones are where the item is there."""
    rows = [item_row(draft, now=now) for draft in drafts]
    return {row.item_id: row.version for row in tx.execute(_put_items(tx.dialect.name, new=new), rows)}


@cache
def _put_items(dialect: str, *, new: bool) -> ReturningInsert[ExternalId, int]:
    put = insert(dialect, items)
    if new:  # no lock of ours could keep another transaction from adding the item
        put = put.on_conflict_do_nothing(index_elements=[items.c.item_id])
    else:
        kept = {"item_id", "version", "source_version"}
        put = put.on_conflict_do_update(
            index_elements=[items.c.item_id],
            set_={column.name: column for column in put.excluded if column.name not in kept}
            | {
                "version": items.c.version + 1,
                "source_version": func.coalesce(put.excluded.source_version, items.c.source_version),
            },
            where=or_(
                items.c.source_version.is_(None),
                put.excluded.source_version.is_(None),
                put.excluded.source_version > items.c.source_version,
            ),
        )
    return put.returning(items.c.item_id, items.c.version)


def _conflicts(tx: Connection, drafts: Sequence[Draft]) -> dict[ExternalId, Conflict]:
    ids = [draft.item.item_id for draft in drafts]
    if not ids:
        return {}
    query = select(items.c.item_id, items.c.version, items.c.source_version).where(items.c.item_id.in_(ids))
    stored = {row.item_id: (row.version, row.source_version) for row in tx.execute(query)}
    return {
        item_id: _conflict(draft, *stored.get(item_id, (0, None))) for item_id, draft in zip(ids, drafts, strict=True)
    }


def _conflict(draft: Draft, version: int, source_version: int | None) -> Conflict:
    if draft.replaces in (None, version):
        return _stale(draft, source_version)
    return Conflict(
        f"version {version} is stored and not {draft.replaces}, which this was to replace",
        subject=draft.item.item_id,
        remedy="Look at what is stored and decide again",
    )


def _check_order(draft: Draft, before: int | None) -> None:
    if draft.source_version is not None and before is not None and draft.source_version <= before:
        raise _stale(draft, before)


def _stale(draft: Draft, stored: int | None) -> Conflict:
    return Conflict(
        f"source_version {draft.source_version} is not above {stored}, which was accepted before",
        subject=draft.item.item_id,
        remedy="Nothing to do where this is a repeated or late delivery; else send a higher source_version",
    )


def remove(tx: Connection, item_id: ExternalId, *, now: float) -> Accepted | NotFound:
    """`ItemStore.delete`: the row stays, to go on counting versions; its picture and vectors go."""
    found = tx.execute(select(items.c.picture_sha256).where(items.c.item_id == item_id).with_for_update()).first()
    if found is None:
        return NotFound("the item is unknown", subject=item_id)
    replaced = {found.picture_sha256} - {None}
    _store_pictures(tx, [], replaced)
    version = tx.execute(
        update(items)
        .where(items.c.item_id == item_id)
        .values(
            version=items.c.version + 1,
            status=Status.DELETED,
            deleted=True,
            picture_sha256=None,
            accepted_at=now,
            **UNREACHED,
        )
        .returning(items.c.version)
    ).scalar_one()
    _drop_orphans(tx, replaced)
    owe(tx, {item_id: version}, Stage.INDEX, priority=TOMBSTONE_PRIORITY, now=now)
    return Accepted(item_id, version, now)


def owe(
    tx: Connection,
    versions: Mapping[ExternalId, int],
    stage: Stage,
    *,
    priority: int,
    now: float,
    backfill_id: str | None = None,
) -> None:
    """Make these versions due, in place of whatever was owed on the items before."""
    if not versions:
        return
    fresh: dict[str, Any] = {
        "stage": stage, "priority": priority, "due_at": now, "leased": False, "attempts": 0, "backfill_id": backfill_id,
    }  # fmt: skip
    rows = [{"item_id": item_id, "version": versions[item_id], **fresh} for item_id in sorted(versions)]
    tx.execute(_put_owed(tx.dialect.name), rows)


@cache
def _put_owed(dialect: str) -> Insert:
    put = insert(dialect, outbox)
    return put.on_conflict_do_update(
        index_elements=[outbox.c.item_id],
        set_={column.name: column for column in put.excluded if column.name != "item_id"},
    )


def _store_pictures(tx: Connection, contents: Sequence[bytes], replaced: set[str]) -> None:
    """Store the pictures; lock them and those that may lose their last reference, so that nobody else removes one."""
    pictures = {digest(content): content for content in contents}
    _lock_pictures(tx, {*pictures, *replaced})
    if pictures:
        rows = [{"sha256": name, "content": pictures[name]} for name in sorted(pictures)]
        tx.execute(_put_pictures(tx.dialect.name), rows)


@cache
def _put_pictures(dialect: str) -> Insert:
    return insert(dialect, media).on_conflict_do_nothing()


def _lock_pictures(tx: Connection, names: Set[str]) -> None:
    """Lock pictures by name till the end of the transaction, whether they are stored yet or not.

    Rows cannot be locked before they are there, so transactions that store and replace the same pictures would lock
    them in different orders and wait for each other for ever. On SQLite a writing transaction is alone.
    """
    if names and tx.dialect.name == "postgresql":
        buckets = sorted({int(name[:2], 16) for name in names})  # few: a server has room for some thousand locks
        locks = text("SELECT pg_advisory_xact_lock(:space, bucket) FROM unnest(CAST(:buckets AS int[])) AS bucket")
        tx.execute(locks, {"space": _PICTURE_LOCKS, "buckets": buckets})


def _drop_orphans(tx: Connection, replaced: set[str]) -> None:
    """Remove those of the pictures, locked before, that no item refers to any more."""
    if replaced:
        unused = ~exists().where(items.c.picture_sha256 == media.c.sha256)
        tx.execute(delete(media).where(media.c.sha256.in_(replaced), unused))
