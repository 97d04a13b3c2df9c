"""What a starting process finds missing from the index. Works inside the transaction it is given."""

from collections.abc import Collection

from sqlalchemy import Connection, and_, exists, or_, select, update

from coldstart.catalog import Stage, Status
from coldstart.catalog.accepting import TOMBSTONE_PRIORITY, owe
from coldstart.catalog.models import items, outbox
from coldstart.catalog.statements import chunks

# Behind whatever is posted meanwhile.
PRIORITY = -1


def requeue(tx: Connection, stage: Stage, *, adapter_version: str, readable: Collection[str] = (), now: float) -> int:
    """`ItemStore.requeue`."""
    found = select(items.c.item_id, items.c.version, items.c.deleted).order_by(items.c.item_id)
    versions = {adapter_version, *readable}
    match stage:
        case Stage.ENCODE:
            # Also those whose vector has not reached the index yet.
            found = found.where(~items.c.deleted, items.c.adapter_version.not_in(versions))
            found = found.where(items.c.status != Status.DEAD)
            # What is owed is on its way, and counts its attempts: an item may be why this process starts once more.
            owed = exists().where(outbox.c.item_id == items.c.item_id, outbox.c.stage == Stage.ENCODE)
            found = found.where(~owed)
        case Stage.INDEX:
            indexed = and_(items.c.adapter_version.in_(versions), items.c.status == Status.RETRIEVABLE)
            found = found.where(or_(items.c.deleted, indexed))
    rows = tx.execute(found.with_for_update()).all()
    for part in chunks(rows):
        live = {row.item_id: row.version for row in part if not row.deleted}
        again = {"status": Status.PENDING, "error": None}
        tx.execute(update(items).where(items.c.item_id.in_(live)).values(again))
        owe(tx, live, stage, priority=PRIORITY, now=now)
        owe(tx, {row.item_id: row.version for row in part if row.deleted}, stage, priority=TOMBSTONE_PRIORITY, now=now)
    return len(rows)
