"""New items and how often they were shown. Each function works inside the transaction it is given."""

from collections.abc import Mapping

from sqlalchemy import Connection, func, select

from coldstart.catalog import Embeddings, Newcomer, Status
from coldstart.catalog.behaviour import hour_of
from coldstart.catalog.models import impressions, item_hours, items
from coldstart.catalog.rows import from_blob
from coldstart.catalog.statements import chunks, insert
from coldstart.entities import ExternalId


def newest_embeddings(tx: Connection, *, limit: int) -> list[Embeddings]:
    """`ItemStore.newest_embeddings`."""
    newest = (
        select(items.c.text_embedding, items.c.image_embedding)
        .where(items.c.status == Status.RETRIEVABLE, items.c.cold)
        .order_by(items.c.accepted_at.desc(), items.c.item_id.desc())
        .limit(limit)
    )
    return [
        Embeddings(from_blob(row.text_embedding, "<f2"), from_blob(row.image_embedding, "<f2"))
        for row in tx.execute(newest)
    ]


def count_impressions(tx: Connection, shown: Mapping[ExternalId, int]) -> None:
    """`ItemStore.count_impressions`."""
    for part in chunks(sorted(shown)):  # one order of locks for everyone
        put = insert(tx, impressions)
        put = put.on_conflict_do_update(
            index_elements=[impressions.c.item_id], set_={"shown": impressions.c.shown + put.excluded.shown}
        )
        tx.execute(put, [{"item_id": item_id, "shown": shown[item_id]} for item_id in part])


def newcomers(tx: Connection, *, since: float, limit: int) -> list[Newcomer]:
    """`ItemStore.newcomers`."""
    shown = func.coalesce(impressions.c.shown, 0)
    found = tx.execute(
        select(items.c.item_id, items.c.accepted_at, shown.label("shown"))
        .select_from(items.outerjoin(impressions, impressions.c.item_id == items.c.item_id))
        .where(items.c.status == Status.RETRIEVABLE, items.c.cold, items.c.accepted_at >= since)
        .order_by(shown, items.c.accepted_at, items.c.item_id)
        .limit(limit)
    ).all()
    clicks: dict[ExternalId, int] = {}
    for part in chunks([row.item_id for row in found]):
        times = select(item_hours.c.item_id, func.sum(item_hours.c.times)).group_by(item_hours.c.item_id)
        of_items = times.where(item_hours.c.item_id.in_(part), item_hours.c.hour >= hour_of(since))
        clicks |= {item_id: int(number) for item_id, number in tx.execute(of_items)}
    return [Newcomer(row.item_id, row.accepted_at, row.shown, clicks.get(row.item_id, 0)) for row in found]
