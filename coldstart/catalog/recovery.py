"""What a starting process finds missing from the index. Works inside the transaction it is given."""

from sqlalchemy import Connection, select, update

from coldstart.catalog import Stage, Status
from coldstart.catalog.accepting import owe
from coldstart.catalog.models import items
from coldstart.catalog.statements import chunks

# Behind whatever is posted meanwhile.
PRIORITY = -1


def requeue(tx: Connection, stage: Stage, *, adapter_version: str, now: float) -> int:
    """`ItemStore.requeue`."""
    found = select(items.c.item_id, items.c.version).where(~items.c.deleted).order_by(items.c.item_id)
    match stage:
        case Stage.ENCODE:
            # Also those whose vector has not reached the index yet.
            found = found.where(items.c.adapter_version != adapter_version, items.c.status != Status.DEAD)
        case Stage.INDEX:
            found = found.where(items.c.adapter_version == adapter_version, items.c.status == Status.RETRIEVABLE)
    rows = tx.execute(found.with_for_update()).all()
    for part in chunks(rows):
        ids = [row.item_id for row in part]
        tx.execute(
            update(items).where(items.c.item_id.in_(ids)).values(status=Status.PENDING, retrievable_at=None, error=None)
        )
        owe(tx, {row.item_id: row.version for row in part}, stage, priority=PRIORITY, now=now)
    return len(rows)
