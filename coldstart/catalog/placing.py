"""By what items are placed in any adapter version's space. Each function works inside the transaction it is given."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, bindparam, exists, func, select, update

from coldstart.catalog import Embeddings, Material, Restated, Stage, Status
from coldstart.catalog.graduating import users_of
from coldstart.catalog.models import items, outbox
from coldstart.catalog.rows import RECORDS, from_blob, record, to_blob
from coldstart.catalog.statements import chunks
from coldstart.entities import ExternalId

# What is to be encoded again has embeddings of other encoders, or of another content.
_ENCODED = ~exists().where(outbox.c.item_id == items.c.item_id, outbox.c.stage == Stage.ENCODE)


def materials(tx: Connection, item_ids: Sequence[ExternalId]) -> list[Material]:
    """`ItemStore.materials`."""
    found: list[Row[*tuple[Any, ...]]] = []
    for part in chunks(item_ids):
        query = RECORDS.add_columns(items.c.text_embedding, items.c.image_embedding).where(
            items.c.item_id.in_(part), ~items.c.deleted, items.c.adapter_version.is_not(None),
            items.c.status != Status.DEAD, func.coalesce(outbox.c.stage, Stage.INDEX) != Stage.ENCODE,
        )  # fmt: skip
        found += tx.execute(query.order_by(items.c.item_id)).all()
    users = users_of(tx, [row.item_id for row in found if row.clicks])
    return [
        Material(
            record(row),
            Embeddings(from_blob(row.text_embedding, "<f2"), from_blob(row.image_embedding, "<f2")),
            tuple(users.get(row.item_id, ())),
        )
        for row in found
    ]


def restate(tx: Connection, results: Sequence[Restated]) -> list[ExternalId]:
    """`ItemStore.restate`."""
    versions = {result.item_id: result.version for result in results}
    locked = select(items.c.item_id, items.c.version).where(items.c.item_id.in_(versions), _ENCODED)
    found = tx.execute(locked.order_by(items.c.item_id).with_for_update()).all()
    current = {row.item_id for row in found if row.version == versions[row.item_id]}
    rows: list[dict[str, Any]] = [
        {
            "key": result.item_id, "now_vector": to_blob(result.vector, "<f4", result.item_id),
            "now_gates": dict(result.gates), "now_cold": result.cold, "now_click_weight": result.click_weight,
            "now_adapter_version": result.adapter_version,
        }
        for result in results
        if result.item_id in current
    ]  # fmt: skip
    if rows:
        names = ("vector", "gates", "cold", "click_weight", "adapter_version")
        values = {name: bindparam(f"now_{name}", type_=items.c[name].type) for name in names}
        tx.execute(update(items).where(items.c.item_id == bindparam("key")).values(values), rows)
    return sorted(current)
