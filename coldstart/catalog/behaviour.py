"""Events in, and what follows from them. Each function works inside the transaction it is given."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, replace
from functools import cache
from typing import Any

from sqlalchemy import Connection, Integer, Row, Select, bindparam, func, select

from coldstart.catalog import Recorded, graduating
from coldstart.catalog.identities import Digests, attributed
from coldstart.catalog.models import events, item_hours, items
from coldstart.catalog.rows import check_event
from coldstart.catalog.statements import by_bytes, chunks, insert
from coldstart.entities import Event, ExternalId
from coldstart.kinds import POPULAR

HOUR_S = 3600.0


def record_events(tx: Connection, batch: Sequence[Event], *, digest: Digests, now: float) -> Recorded:
    """`ItemStore.record_events`."""
    for event in batch:
        check_event(event)
    first: dict[str, Event] = {}
    for event in attributed(tx, batch, digest):
        first.setdefault(event.event_id, replace(event, timestamp=min(event.timestamp, now)))
    if not first:
        return Recorded()
    put = insert(tx, events).on_conflict_do_nothing(index_elements=[events.c.event_id])
    rows = [{**asdict(event), "received_at": now} for _, event in sorted(first.items())]  # one order of locks for all
    new = frozenset(tx.scalars(put.returning(events.c.event_id), rows))
    _count(tx, [first[event_id] for event_id in new])
    graduating.mark_events(tx, ((first[event_id].item_id, first[event_id].kind) for event_id in new), now=now)
    stored = first | _stored(tx, sorted(first.keys() - new))
    named = {event.item_id for event in stored.values()}
    return Recorded(tuple(stored.values()), new, frozenset(named - _known_items(tx, named)))


def _stored(tx: Connection, event_ids: Sequence[str]) -> dict[str, Event]:
    """Events by id, as their first delivery left them."""
    return {
        row.event_id: _event(row)
        for part in chunks(event_ids)
        for row in tx.execute(select(events).where(events.c.event_id.in_(part)))
    }


def _known_items(tx: Connection, item_ids: Collection[ExternalId]) -> frozenset[ExternalId]:
    return frozenset(
        item_id
        for part in chunks(sorted(item_ids))
        for item_id in tx.scalars(select(items.c.item_id).where(items.c.item_id.in_(part)))
    )


def _count(tx: Connection, new: Sequence[Event]) -> None:
    """Add new events to the hours of their items: exact, as no event is new twice."""
    times: Mapping[tuple[int, ExternalId], int] = Counter(
        (hour_of(event.timestamp), event.item_id) for event in new if event.kind in POPULAR
    )
    if not times:
        return
    rows = [{"hour": hour, "item_id": item_id, "times": n} for (hour, item_id), n in sorted(times.items())]
    put = insert(tx, item_hours)
    added = item_hours.c.times + put.excluded.times
    tx.execute(put.on_conflict_do_update(index_elements=list(item_hours.primary_key), set_={"times": added}), rows)


def hour_of(timestamp: float) -> int:
    """Which hour since 1970 it falls into.

    >>> hour_of(7199.9)
    1
    """
    return int(timestamp // HOUR_S)


def recent_events(tx: Connection, user_id: ExternalId, *, limit: int, without: Collection[str]) -> list[Event]:
    """`ItemStore.recent_events`."""
    asked = {"user_id": user_id, "without": sorted(without), "limit": limit}
    return [_event(row) for row in tx.execute(_latest(tx.dialect.name), asked)]


@cache
def _latest(dialect: str) -> Select[*tuple[Any, ...]]:
    return (
        select(events)
        .where(events.c.user_id == bindparam("user_id"), events.c.kind.not_in(bindparam("without", expanding=True)))
        .order_by(events.c.timestamp.desc(), by_bytes(dialect, events.c.event_id).desc())
        .limit(bindparam("limit", type_=Integer))
    )


def _event(row: Row[*tuple[Any, ...]]) -> Event:
    return Event(row.event_id, row.user_id, row.item_id, row.timestamp, row.kind)


def popular(tx: Connection, *, limit: int, since: float) -> list[tuple[ExternalId, int]]:
    """`ItemStore.popular`."""
    times = func.sum(item_hours.c.times)
    ranked = (
        select(item_hours.c.item_id, times)
        .where(item_hours.c.hour >= hour_of(since))
        .group_by(item_hours.c.item_id)
        .order_by(times.desc(), item_hours.c.item_id)
        .limit(limit)
    )
    return [(item_id, int(count)) for item_id, count in tx.execute(ranked)]
