"""What the index should hold, page by page, and how it is owed again. Works inside the transaction it is given.

The order of locks is that of `coldstart.catalog.accepting`.
"""

from collections.abc import Mapping

from sqlalchemy import Connection, and_, bindparam, case, exists, or_, select, update

from coldstart.catalog import Draft, Expected, Settled, Stage, Status
from coldstart.catalog.accepting import TOMBSTONE_PRIORITY, owe
from coldstart.catalog.models import items, outbox
from coldstart.catalog.recovery import PRIORITY
from coldstart.catalog.rows import from_blob, item_row
from coldstart.catalog.statements import insert
from coldstart.entities import ExternalId, Item

# A retrievable item and one whose tombstone is written owe nothing; a status alone does not tell of the latter.
_OWES_NOTHING = ~exists().where(outbox.c.item_id == items.c.item_id)


def settled(tx: Connection, *, adapter_version: str, after: ExternalId | None, limit: int) -> list[Settled]:
    """`ItemStore.settled`."""
    served = and_(items.c.status == Status.RETRIEVABLE, items.c.adapter_version == adapter_version)
    page = (
        select(items.c.item_id, items.c.version, case((items.c.deleted, None), else_=items.c.vector).label("vector"))
        .where(or_(served, items.c.status == Status.DELETED), _OWES_NOTHING)
        .order_by(items.c.item_id)
        .limit(limit)
    )
    if after is not None:
        page = page.where(items.c.item_id > after)
    return [Settled(row.item_id, row.version, from_blob(row.vector, "<f4")) for row in tx.execute(page)]


def expected(tx: Connection, *, after: ExternalId | None, limit: int, unlike: str | None) -> list[Expected]:
    """`ItemStore.expected`."""
    page = select(items.c.item_id, items.c.version, items.c.deleted).where(_OWES_NOTHING)
    if unlike is None:
        page = page.where(items.c.status.in_([Status.RETRIEVABLE, Status.DELETED]))
    else:
        page = page.where(items.c.status == Status.RETRIEVABLE, items.c.adapter_version != unlike)
    if after is not None:
        page = page.where(items.c.item_id > after)
    return [Expected(*row) for row in tx.execute(page.order_by(items.c.item_id).limit(limit))]


def owe_again(
    tx: Connection, versions: Mapping[ExternalId, int], *, held: Mapping[ExternalId, int], now: float
) -> list[ExternalId]:
    """`ItemStore.owe_again`."""
    locked = select(items.c.item_id, items.c.version, items.c.status, items.c.deleted).order_by(items.c.item_id)
    found = tx.execute(locked.where(items.c.item_id.in_(versions)).with_for_update()).all()
    current = [row for row in found if row.version == versions[row.item_id]]
    # Only now, as nothing is done about an item whose row is locked.
    owing = set(tx.scalars(select(outbox.c.item_id).where(outbox.c.item_id.in_(versions))))
    idle = [r for r in current if r.item_id not in owing and r.status in (Status.RETRIEVABLE, Status.DELETED)]
    overtaken = [row for row in current if row.item_id in owing and held.get(row.item_id, 0) >= row.version]
    next_versions = {row.item_id: max(row.version, held.get(row.item_id, 0) + 1) for row in (*idle, *overtaken)}
    _raise_versions(tx, {row.item_id: next_versions[row.item_id] for row in overtaken}, now=now)
    if idle:
        change = update(items).where(items.c.item_id == bindparam("key"))
        status = case((items.c.deleted, Status.DELETED), else_=Status.PENDING)
        values = [{"key": row.item_id, "next": next_versions[row.item_id]} for row in idle]
        tx.execute(change.values(version=bindparam("next"), status=status), values)
    for deleted, priority in ((True, TOMBSTONE_PRIORITY), (False, PRIORITY)):
        due = {row.item_id: next_versions[row.item_id] for row in idle if row.deleted == deleted}
        owe(tx, due, Stage.INDEX, priority=priority, now=now)
    return [row.item_id for row in current if row.item_id in next_versions]


def _raise_versions(tx: Connection, versions: Mapping[ExternalId, int], *, now: float) -> None:
    """Give items that are on their way these versions: what was claimed of them comes to nothing, and is due again."""
    if not versions:
        return
    values = [{"key": item_id, "next": version} for item_id, version in versions.items()]
    change = update(items).where(items.c.item_id == bindparam("key"))
    tx.execute(change.values(version=bindparam("next")), values)
    due_at = case((outbox.c.due_at.is_(None), None), else_=now)  # a dead letter stays one
    owed = update(outbox).where(outbox.c.item_id == bindparam("key"))
    tx.execute(owed.values(version=bindparam("next"), due_at=due_at, leased=False), values)


def disown(tx: Connection, held: Mapping[ExternalId, int], *, now: float) -> list[ExternalId]:
    """`ItemStore.disown`."""
    if not held:
        return []
    rows = [
        item_row(Draft(Item(item_id, "")), now=now)
        | {"version": held[item_id] + 1, "status": Status.DELETED, "deleted": True}
        for item_id in sorted(held)
    ]
    put = insert(tx, items).on_conflict_do_nothing(index_elements=[items.c.item_id])
    taken_in = list(tx.scalars(put.returning(items.c.item_id), rows))
    due = {item_id: held[item_id] + 1 for item_id in taken_in}
    owe(tx, due, Stage.INDEX, priority=TOMBSTONE_PRIORITY, now=now)
    return taken_in
