"""Backfills in the database beside the items they bring: a chunk and how far it leads are committed together.

So a load that is killed has lost nothing and repeats nothing. One process at a time owns a backfill; another that owned
it before finds out at its next chunk, which is not taken.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, case, func, insert, select, update

from coldstart.catalog import Accepted, Draft, Status, accepting, schema
from coldstart.catalog.bulk import LEASE_S, PRIORITY, Backfill, Chunk, Problem, Source, State
from coldstart.catalog.models import backfill_problems, backfills, items, outbox
from coldstart.catalog.rows import RECORDS, digest, record, storable
from coldstart.entities import Item
from coldstart.errors import Conflict, NotFound

_IDS = 256  # characters of what may be no id


class BackfillStore:
    """Backfills of one deployment.

    Parameters
    ----------
    url : str
        As of `SqlItemStore`.
    clock : callable, optional
        The time in Unix seconds.
    """

    def __init__(self, url: str, *, clock: Callable[[], float] = time.time) -> None:
        self._database = schema.open_database(url)
        self._now = clock

    def create(self, backfill_id: str, source: Source, *, owner: str, rate: float | None = None) -> Backfill:
        """Begin one; `Conflict` where the same source is under way, or was left half way as it is now.

        One that was left half way and has changed since is given up in favour of the new one.
        """
        with self._database.write_alone(backfills) as tx:
            now = self._now()
            for other in _unfinished(tx, source, now):
                lost = f"the source has changed, and is loaded anew as {backfill_id}"
                _set(tx, other.backfill_id, state=State.FAILED, error=lost, finished_at=now)
            row = {
                "backfill_id": backfill_id, "source": source.name, "digest": source.digest, "size": source.size,
                "rows": source.rows, "state": State.RUNNING, "owner": owner, "rate": rate, "created_at": now,
                "updated_at": now, "busy_s": 0.0, "position": 0, "accepted": 0, "unchanged": 0, "overtaken": 0,
                "refused": 0,
            }  # fmt: skip
            tx.execute(insert(backfills).values(row))
            return _require(tx, backfill_id, now)

    def take(self, backfill_id: str, source: Source, *, owner: str, rate: float | None = None) -> Backfill:
        """Go on with one that was left half way; the rate of before holds where none is given.

        `Conflict` where it is done, another process is at it, or the source is not what it was.
        """
        with self._database.write_alone(backfills) as tx:
            now = self._now()
            found = _require(tx, backfill_id, now)
            match found.state:
                case State.DONE:
                    raise Conflict(
                        "everything of it was read", subject=backfill_id, remedy="There is nothing to resume"
                    )
                case State.RUNNING:
                    raise _under_way(found)
            if source.digest != found.source.digest:
                raise Conflict(
                    "the source has changed since the backfill began, so that rows would be lost or come twice",
                    subject=found.source.name,
                    remedy="Start it anew with coldstart backfill DATA: what is unchanged is not encoded again",
                )
            kept = found.rate if rate is None else rate
            values: dict[str, Any] = {"state": State.RUNNING, "owner": owner, "rate": kept, "updated_at": now}
            _set(tx, backfill_id, **values, finished_at=None, error=None)
            return _require(tx, backfill_id, now)

    def accept(self, backfill_id: str, chunk: Chunk, *, owner: str) -> Backfill:
        """Take in the next rows, unless the backfill is not this owner's any more or was paused: see what is returned.

        `Conflict` where the chunk does not begin where the last one ended.
        """
        with self._database.write(durable=True) as tx:
            now = self._now()
            found = _require(tx, backfill_id, now, lock=True)
            if not is_held(found, owner):
                return found
            if chunk.start != found.position:
                what = f"the rows begin at {chunk.start}, and {found.position} were read"
                raise Conflict(what, subject=backfill_id, remedy="Resume it")
            fresh, unchanged = _fresh(tx, chunk.drafts, since=found.created_at)
            answers = accepting.accept(tx, fresh, priority=PRIORITY, now=now, backfill_id=backfill_id)
            accepted = sum(isinstance(answer, Accepted) for answer in answers)
            _note(tx, backfill_id, chunk.problems)
            _set(
                tx, backfill_id,
                position=chunk.end,
                accepted=backfills.c.accepted + accepted,
                unchanged=backfills.c.unchanged + unchanged,
                overtaken=backfills.c.overtaken + len(chunk.drafts) - accepted - unchanged,
                refused=backfills.c.refused + sum(not problem.accepted for problem in chunk.problems),
                **_alive(now),
            )  # fmt: skip
            return _require(tx, backfill_id, now)

    def beat(self, backfill_id: str, *, owner: str) -> Backfill:
        """Say that the owner lives; see what is returned, as of `accept`."""
        with self._database.write() as tx:
            now = self._now()
            if is_held(_require(tx, backfill_id, now, lock=True), owner):
                _set(tx, backfill_id, **_alive(now))
            return _require(tx, backfill_id, now)

    def end(self, backfill_id: str, state: State, *, owner: str, error: str | None = None) -> Backfill:
        """Leave a backfill that is this owner's still: paused, failed or done."""
        with self._database.write(durable=True) as tx:
            now = self._now()
            found = _require(tx, backfill_id, now, lock=True)
            if is_held(found, owner):
                over = None if state is State.PAUSED else now
                time_spent = {"busy_s": 0.0} if state is State.DONE and found.waiting else {}
                values = {"state": state, "error": storable(error), "finished_at": over, **_alive(now), **time_spent}
                _set(tx, backfill_id, **values)
            return _require(tx, backfill_id, now)

    def pause(self, backfill_id: str) -> Backfill:
        """Have its owner, whoever that is, stop at the next chunk; `Conflict` where it does not run."""
        with self._database.write(durable=True) as tx:
            now = self._now()
            found = _require(tx, backfill_id, now, lock=True)
            if found.state not in (State.RUNNING, State.INTERRUPTED):
                raise Conflict(f"it is {found.state}", subject=backfill_id, remedy="Only one that runs can be paused")
            _set(tx, backfill_id, state=State.PAUSED)
            return _require(tx, backfill_id, now)

    def get(self, backfill_id: str) -> Backfill:
        """The backfill; `NotFound` where there is none."""
        with self._database.read() as tx:
            return _require(tx, backfill_id, self._now())

    def list_backfills(self, *, limit: int = 100) -> list[Backfill]:
        """The last so many, newest first."""
        query = select(backfills).order_by(backfills.c.created_at.desc(), backfills.c.backfill_id).limit(limit)
        with self._database.read() as tx:
            return [_read(tx, row, self._now()) for row in tx.execute(query)]

    def problems(self, backfill_id: str, *, limit: int, offset: int = 0) -> list[Problem]:
        """What was wrong with rows, in the order of the source; `NotFound` where there is no such backfill."""
        own = select(backfill_problems).where(backfill_problems.c.backfill_id == backfill_id)
        with self._database.read() as tx:
            _require(tx, backfill_id, self._now())
            found = tx.execute(own.order_by(backfill_problems.c.row).limit(limit).offset(offset))
            return [Problem(row.row, row.place, row.item_id, row.cause, row.accepted) for row in found]

    def count_problems(self, backfill_id: str) -> int:
        """How many rows had something wrong with them so far."""
        own = select(func.count()).where(backfill_problems.c.backfill_id == backfill_id)
        with self._database.read() as tx:
            return tx.execute(own).scalar_one()

    def waiting(self) -> int:
        """How many items of all backfills are on their way to the index."""
        of_any = outbox.c.backfill_id.is_not(None), outbox.c.due_at.is_not(None)
        with self._database.read() as tx:
            return tx.execute(select(func.count()).where(*of_any)).scalar_one()

    def close(self) -> None:
        """Release connections."""
        self._database.close()


def is_held(backfill: Backfill, owner: str) -> bool:
    """Whether this owner may go on with it."""
    return backfill.owner == owner and backfill.state in (State.RUNNING, State.INTERRUPTED)


def _alive(now: float) -> dict[str, Any]:
    """What a sign of life sets: a pause longer than the lease was not spent at work."""
    since = now - backfills.c.updated_at
    return {"busy_s": backfills.c.busy_s + case((since.between(0, LEASE_S), since), else_=0.0), "updated_at": now}


def _set(tx: Connection, backfill_id: str, **values: Any) -> None:
    tx.execute(update(backfills).where(backfills.c.backfill_id == backfill_id).values(values))


def _require(tx: Connection, backfill_id: str, now: float, *, lock: bool = False) -> Backfill:
    query = select(backfills).where(backfills.c.backfill_id == backfill_id)
    row = tx.execute(query.with_for_update() if lock else query).first()
    if row is None:
        raise NotFound("there is no such backfill", subject=backfill_id, remedy="GET /backfills lists them")
    return _read(tx, row, now)


def _unfinished(tx: Connection, source: Source, now: float) -> list[Backfill]:
    """Those of the source that were left half way, of which it has changed since; `Conflict` where one stands."""
    own = select(backfills).where(backfills.c.source == source.name, backfills.c.state != State.DONE)
    found = [_read(tx, row, now) for row in tx.execute(own)]
    for other in found:
        if other.state is State.RUNNING:
            raise _under_way(other)
        if other.source.digest == source.digest:
            raise Conflict(
                f"backfill {other.backfill_id} of the same source is {other.state}", subject=source.name,
                remedy="Go on with it: coldstart backfill --resume",
            )  # fmt: skip
    return [other for other in found if other.state is not State.FAILED]


def _under_way(backfill: Backfill) -> Conflict:
    return Conflict(
        f"backfill {backfill.backfill_id} of it is under way", subject=backfill.source.name,
        remedy="See coldstart backfill --status; stop that process first, if it is to be another's",
    )  # fmt: skip


def _fresh(tx: Connection, drafts: Sequence[Draft], *, since: float) -> tuple[list[Draft], int]:
    """The drafts that say something new, each bound to the version it replaces; and how many say what is there."""
    query = RECORDS.where(items.c.item_id.in_([draft.item.item_id for draft in drafts]))
    stored = {row.item_id: record(row) for row in tx.execute(query)}
    fresh, unchanged = [], 0
    for draft in drafts:
        there = stored.get(draft.item.item_id)
        if there is None:
            fresh.append(replace(draft, replaces=0))
        elif there.status not in (Status.DELETED, Status.DEAD) and _says(draft) == (there.item, there.picture_sha256):
            unchanged += 1
        elif there.accepted_at < since:
            fresh.append(replace(draft, replaces=there.version))
    return fresh, unchanged


def _says(draft: Draft) -> tuple[Item, str | None]:
    return draft.item, None if draft.picture is None else digest(draft.picture)


def _note(tx: Connection, backfill_id: str, problems: Sequence[Problem]) -> None:
    rows = [
        {
            "backfill_id": backfill_id, "row": problem.row, "place": storable(problem.place),
            "item_id": (storable(problem.item_id) or "")[:_IDS], "cause": storable(problem.cause),
            "accepted": problem.accepted,
        }
        for problem in problems
    ]  # fmt: skip
    if rows:
        tx.execute(insert(backfill_problems), rows)


def _owed(backfill_id: str, condition: ColumnElement[bool]) -> Any:
    own = select(func.count()).where(outbox.c.backfill_id == backfill_id, condition)
    return own.scalar_subquery()


def _read(tx: Connection, row: Row[*tuple[Any, ...]], now: float) -> Backfill:
    waiting, dead = tx.execute(
        select(_owed(row.backfill_id, outbox.c.due_at.is_not(None)), _owed(row.backfill_id, outbox.c.due_at.is_(None)))
    ).one()
    state = State(row.state)
    if state is State.RUNNING and now - row.updated_at > LEASE_S:
        state = State.INTERRUPTED
    return Backfill(
        backfill_id=row.backfill_id, source=Source(row.source, row.digest, row.size, row.rows), state=state,
        owner=row.owner, position=row.position, accepted=row.accepted, unchanged=row.unchanged,
        overtaken=row.overtaken, refused=row.refused, waiting=waiting, dead=dead, rate=row.rate,
        created_at=row.created_at, updated_at=row.updated_at, busy_s=row.busy_s, finished_at=row.finished_at,
        error=row.error,
    )  # fmt: skip
