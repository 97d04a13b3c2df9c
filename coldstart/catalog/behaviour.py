"""Events in, and what follows from them. Each function works inside the transaction it is given."""

from collections.abc import Sequence

from sqlalchemy import Connection, func, select

from coldstart.catalog.models import events
from coldstart.catalog.rows import check_event
from coldstart.catalog.statements import insert
from coldstart.entities import Event, ExternalId


def record_events(tx: Connection, batch: Sequence[Event], *, now: float) -> int:
    """`ItemStore.record_events`."""
    rows = []
    for event in sorted(batch, key=lambda event: event.event_id):  # one order of locks for everyone
        check_event(event)
        rows.append(
            {
                "event_id": event.event_id,
                "user_id": event.user_id,
                "item_id": event.item_id,
                "kind": event.kind,
                "timestamp": event.timestamp,
                "received_at": now,
            }
        )
    if not rows:
        return 0
    put = insert(tx, events).on_conflict_do_nothing(index_elements=[events.c.event_id])
    return len(tx.execute(put.returning(events.c.event_id), rows).all())


def recent_events(tx: Connection, user_id: ExternalId, *, limit: int) -> list[Event]:
    """`ItemStore.recent_events`."""
    latest = (
        select(events)
        .where(events.c.user_id == user_id)
        .order_by(events.c.timestamp.desc(), events.c.event_id)
        .limit(limit)
    )
    return [Event(row.event_id, row.user_id, row.item_id, row.timestamp, row.kind) for row in tx.execute(latest)]


def popular(tx: Connection, *, limit: int, since: float) -> list[tuple[ExternalId, int]]:
    """`ItemStore.popular`."""
    times = func.count()
    ranked = (
        select(events.c.item_id, times)
        .where(events.c.timestamp >= since)
        .group_by(events.c.item_id)
        .order_by(times.desc(), events.c.item_id)
        .limit(limit)
    )
    return [(item_id, count) for item_id, count in tx.execute(ranked)]
