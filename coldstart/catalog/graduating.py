"""Clicks on new items, and the vectors that they move. Each function works inside the transaction it is given.

Who reports a click marks its item in the same transaction, so none is overlooked; whoever moved the item removes the
mark if it is still as it was read. Marks are locked last and in the order of their ids, or not waited for.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, case, delete, exists, func, or_, select, tuple_, update

from coldstart.catalog import Clicked, Embeddings, Graduated, Stage, Status
from coldstart.catalog.accepting import owe
from coldstart.catalog.models import click_marks, events, items, outbox
from coldstart.catalog.recovery import PRIORITY
from coldstart.catalog.rows import from_blob, to_blob
from coldstart.catalog.statements import chunks, insert
from coldstart.entities import ExternalId
from coldstart.kinds import KINDS

CLICKS = sorted(name for name, kind in KINDS.items() if kind.weight >= 1)
"""Kinds of events that move an item; a look at it (``view``) says less than the clicks that this was measured on."""
TAKES_BACK = sorted(name for name, kind in KINDS.items() if kind.takes_back)
AT_ONCE = 1 << 40
"""As many clicks as are always enough to look at an item again."""
_WORTH_A_LOOK = 100
"""An item is looked at again when a hundredth of its clicks are new: all of them are read then, however many."""
_KEPT_S = 86_400.0
"""How long a mark waits for its item to be posted; when that is encoded, its clicks are looked for anyway."""

_CLICKED = select(items.c.item_id).where(
    items.c.item_id.in_(bindparam("ids", expanding=True)),
    exists().where(events.c.item_id == items.c.item_id, events.c.kind.in_(CLICKS)),
)
_OWES_NOTHING = ~exists().where(outbox.c.item_id == items.c.item_id)


def mark(tx: Connection, times: Mapping[ExternalId, int], *, now: float) -> None:
    """Say that items were clicked so many times, or, ``AT_ONCE``, that their clicks changed otherwise."""
    ids = sorted(times)
    for part in chunks(ids):
        settled = or_(items.c.deleted, items.c.cold.is_(False))
        never = set(tx.scalars(select(items.c.item_id).where(items.c.item_id.in_(part), settled)))
        rows = [{"item_id": i, "times": times[i], "since": now} for i in part if i not in never]
        if rows:
            put = insert(tx, click_marks)
            added = {"times": click_marks.c.times + put.excluded.times}
            tx.execute(put.on_conflict_do_update(index_elements=[click_marks.c.item_id], set_=added), rows)


def mark_events(tx: Connection, new: Iterable[tuple[ExternalId, str]], *, now: float) -> None:
    """Mark the items of new events, told as item and kind."""
    times: dict[ExternalId, int] = {}
    for item_id, kind in new:
        if kind in CLICKS or kind in TAKES_BACK:
            times[item_id] = times.get(item_id, 0) + 1
    mark(tx, times, now=now)


def mark_encoded(tx: Connection, item_ids: Collection[ExternalId], *, now: float) -> None:
    """Mark those of the items, which are where their content puts them, that have been clicked before."""
    mark(tx, dict.fromkeys(tx.scalars(_CLICKED, {"ids": list(item_ids)}), AT_ONCE), now=now)


def clicked(tx: Connection, *, adapter_version: str, limit: int) -> list[Clicked]:
    """`ItemStore.clicked`. The marks are read first: clicks that come in between are at worst looked at twice."""
    before = func.coalesce(items.c.clicks, 0) + func.coalesce(items.c.other_clicks, 0)
    found = tx.execute(
        select(
            items.c.item_id, items.c.version, items.c.attributes, items.c.text_embedding, items.c.image_embedding,
            items.c.vector, items.c.adapter_version, click_marks.c.times, click_marks.c.since,
        )
        .join(click_marks, click_marks.c.item_id == items.c.item_id)
        .where(items.c.status == Status.RETRIEVABLE, items.c.cold, items.c.adapter_version == adapter_version)
        .where(_OWES_NOTHING, click_marks.c.times * _WORTH_A_LOOK >= before)
        .order_by(click_marks.c.since, items.c.item_id)
        .limit(limit)
    ).all()  # fmt: skip
    users = users_of(tx, [row.item_id for row in found])
    return [
        Clicked(
            item_id=row.item_id, version=row.version, attributes=row.attributes,
            embeddings=Embeddings(from_blob(row.text_embedding, "<f2"), from_blob(row.image_embedding, "<f2")),
            vector=from_blob(row.vector, "<f4"), users=tuple(users.get(row.item_id, ())), mark=(row.times, row.since),
            adapter_version=row.adapter_version,
        )
        for row in found
    ]  # fmt: skip


def users_of(tx: Connection, item_ids: Sequence[ExternalId]) -> dict[ExternalId, list[ExternalId]]:
    """Who clicked each of the items and did not take it back since, in the database's order."""
    liked = func.max(case((events.c.kind.in_(CLICKS), events.c.timestamp)))
    disliked = func.max(case((events.c.kind.in_(TAKES_BACK), events.c.timestamp)))
    users: dict[ExternalId, list[ExternalId]] = {}
    for part in chunks(item_ids):
        standing = (
            select(events.c.item_id, events.c.user_id)
            .where(events.c.item_id.in_(part), events.c.kind.in_([*CLICKS, *TAKES_BACK]))
            .group_by(events.c.item_id, events.c.user_id)
            .having(liked.is_not(None) & (disliked.is_(None) | (liked > disliked)))
            .order_by(events.c.item_id, events.c.user_id)
        )
        for item_id, user_id in tx.execute(standing):
            users.setdefault(item_id, []).append(user_id)
    return users


def graduate(tx: Connection, results: Sequence[Graduated], *, now: float) -> list[ExternalId]:
    """`ItemStore.graduate`."""
    versions = {result.of.item_id: result.of.version for result in results}
    spaces = {result.of.item_id: result.of.adapter_version for result in results}
    columns = (items.c.item_id, items.c.version, items.c.status, items.c.adapter_version)
    locked = select(*columns).where(items.c.item_id.in_(versions))
    found = tx.execute(locked.order_by(items.c.item_id).with_for_update()).all()
    # Only now, as nothing is done about an item whose row is locked.
    owing = set(tx.scalars(select(outbox.c.item_id).where(outbox.c.item_id.in_(versions))))
    current = {
        row.item_id
        for row in found
        if row.version == versions[row.item_id]
        and row.adapter_version == spaces[row.item_id]
        and row.status == Status.RETRIEVABLE
        and row.item_id not in owing
    }
    still = sorted((r for r in results if r.of.item_id in current), key=lambda result: result.of.item_id)
    moved = {result.of.item_id: result.of.version + 1 for result in still if result.vector is not None}
    counts: dict[str, Any] = {name: bindparam(f"now_{name}") for name in ("clicks", "other_clicks", "click_weight")}
    place: dict[str, Any] = {"version": bindparam("next"), "vector": bindparam("moved")}
    for moves, values in ((True, counts | place), (False, counts)):
        rows = [_row(result) for result in still if (result.of.item_id in moved) == moves]
        if rows:
            tx.execute(update(items).where(items.c.item_id == bindparam("key")).values(values), rows)
    owe(tx, moved, Stage.INDEX, priority=PRIORITY, now=now)
    _unmark(tx, {result.of.item_id: result.of.mark for result in still}, now=now)
    return sorted(moved)


def _row(result: Graduated) -> dict[str, Any]:
    row: dict[str, Any] = {
        "key": result.of.item_id, "now_clicks": result.clicks, "now_other_clicks": len(result.of.users) - result.clicks,
        "now_click_weight": result.weight,
    }  # fmt: skip
    if result.vector is not None:
        moved = to_blob(result.vector, "<f4", result.of.item_id)
        row |= {"next": result.of.version + 1, "moved": moved}
    return row


def _unmark(tx: Connection, marks: Mapping[ExternalId, tuple[int, float]], *, now: float) -> None:
    """Remove marks that are as they were read, and those of items that will not be moved; none that anyone holds."""
    as_read = tuple_(click_marks.c.item_id, click_marks.c.times, click_marks.c.since)
    for part in chunks([(item_id, *read) for item_id, read in marks.items()]):
        _delete(tx, select(click_marks.c.item_id).where(as_read.in_(part)))
    of_mark = items.c.item_id == click_marks.c.item_id
    warm = exists().where(of_mark, or_(items.c.deleted, items.c.cold.is_(False)))
    forgotten = (click_marks.c.since < now - _KEPT_S) & ~exists().where(of_mark)
    _delete(tx, select(click_marks.c.item_id).where(or_(warm, forgotten)))


def _delete(tx: Connection, marks: Any) -> None:
    gone = list(tx.scalars(marks.with_for_update(skip_locked=True)))
    for part in chunks(gone):
        tx.execute(delete(click_marks).where(click_marks.c.item_id.in_(part)))
