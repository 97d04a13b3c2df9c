"""The item store on SQLAlchemy: each method is one transaction around a function of the modules beside this one."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

from sqlalchemy import bindparam, func, select

from coldstart.catalog import (
    Accepted,
    Claim,
    Clicked,
    Draft,
    Embeddings,
    Encoded,
    Expected,
    Graduated,
    ItemRecord,
    Material,
    Newcomer,
    Once,
    Recorded,
    Restated,
    Settled,
    Stage,
    Status,
    accepting,
    behaviour,
    delivering,
    graduating,
    newcomers,
    placing,
    reconciling,
    recovery,
    repeating,
    schema,
)
from coldstart.catalog.identities import Digests
from coldstart.catalog.models import items, media
from coldstart.catalog.rows import RECORDS, record
from coldstart.catalog.statements import chunks
from coldstart.entities import Event, ExternalId
from coldstart.errors import ColdstartError, NotFound

_RECORDS_OF = RECORDS.where(items.c.item_id.in_(bindparam("ids", expanding=True)))


class SqlItemStore:
    """`ItemStore` on SQLite or PostgreSQL.

    Parameters
    ----------
    url : str
        ``sqlite:///FILE`` (the folder is created) or ``postgresql://USER:PASSWORD@HOST/DATABASE``.
    clock : callable, optional
        The time in Unix seconds. Hosts that share a database should agree on it to a fraction of a second.
    """

    def __init__(self, url: str, *, clock: Callable[[], float] = time.time) -> None:
        self._database = schema.open_database(url)
        self._now = clock
        self._digest = Digests.of(self._database)

    def accept(
        self, drafts: Sequence[Draft], *, priority: int = 0, once: Once | None = None
    ) -> list[Accepted | ColdstartError]:
        """See `ItemStore.accept`."""
        with self._database.write(durable=True) as tx:
            now = self._now()
            return repeating.answered(
                tx, once, lambda: accepting.accept(tx, drafts, priority=priority, now=now), now=now
            )

    def accept_encoded(
        self, pairs: Sequence[tuple[Draft, Encoded]], *, priority: int = 0
    ) -> list[Accepted | ColdstartError]:
        """See `ItemStore.accept_encoded`."""
        with self._database.write(durable=True) as tx:
            now = self._now()
            answers = accepting.accept(tx, [draft for draft, _ in pairs], priority=priority, now=now)
            results = {
                answer.item_id: replace(encoded, item_id=answer.item_id, version=answer.version)
                for (_, encoded), answer in zip(pairs, answers, strict=True)
                if isinstance(answer, Accepted)
            }
            for part in chunks(list(results.values())):
                delivering.encoded(tx, part, lease_s=None, now=now)
            return answers

    def delete(self, item_id: ExternalId, *, once: Once | None = None) -> Accepted:
        """See `ItemStore.delete`."""
        with self._database.write(durable=True) as tx:
            now = self._now()
            [answer] = repeating.answered(tx, once, lambda: [accepting.remove(tx, item_id, now=now)], now=now)
        if not isinstance(answer, Accepted):
            raise answer
        return answer

    def get(self, item_id: ExternalId) -> ItemRecord:
        """See `ItemStore.get`."""
        try:
            return self.get_many([item_id])[item_id]
        except KeyError:
            raise NotFound("the item is unknown", subject=item_id) from None

    def get_many(self, item_ids: Sequence[ExternalId]) -> dict[ExternalId, ItemRecord]:
        """See `ItemStore.get_many`."""
        with self._database.read() as tx:
            return {
                row.item_id: record(row) for part in chunks(item_ids) for row in tx.execute(_RECORDS_OF, {"ids": part})
            }

    def list_items(self, *, limit: int, offset: int = 0, status: Status | None = None) -> list[ItemRecord]:
        """See `ItemStore.list_items`."""
        query = RECORDS.order_by(items.c.accepted_at.desc(), items.c.item_id.desc()).limit(limit).offset(offset)
        if status is not None:
            query = query.where(items.c.status == status)
        with self._database.read() as tx:
            return [record(row) for row in tx.execute(query)]

    def counts(self) -> dict[Status, int]:
        """See `ItemStore.counts`."""
        with self._database.read() as tx:
            found = tx.execute(select(items.c.status, func.count()).group_by(items.c.status))
            return dict.fromkeys(Status, 0) | {Status(status): count for status, count in found}

    def picture(self, item_id: ExternalId) -> bytes | None:
        """See `ItemStore.picture`."""
        with self._database.read() as tx:
            return tx.scalar(select(media.c.content).join(items).where(items.c.item_id == item_id))

    def claim(
        self, stage: Stage, *, limit: int, lease_s: float, max_attempts: int, background: int | None = None
    ) -> list[Claim]:
        """See `ItemStore.claim`."""
        with self._database.write() as tx:
            return delivering.claim(
                tx, stage, limit=limit, lease_s=lease_s, max_attempts=max_attempts, now=self._now(),
                background=background,
            )  # fmt: skip

    def encoded(self, results: Sequence[Encoded], *, lease_s: float | None = None) -> list[ExternalId]:
        """See `ItemStore.encoded`."""
        with self._database.write() as tx:
            return delivering.encoded(tx, results, lease_s=lease_s, now=self._now())

    def done(self, versions: Mapping[ExternalId, int]) -> None:
        """See `ItemStore.done`."""
        with self._database.write() as tx:
            delivering.done(tx, versions, now=self._now())

    def fail(
        self, versions: Mapping[ExternalId, int], reason: str, *, retry_in_s: float, max_attempts: int | None
    ) -> None:
        """See `ItemStore.fail`."""
        with self._database.write() as tx:
            delivering.fail(tx, versions, reason, retry_in_s=retry_in_s, max_attempts=max_attempts, now=self._now())

    def expire_leases(self, stage: Stage) -> int:
        """See `ItemStore.expire_leases`."""
        with self._database.write() as tx:
            return delivering.expire_leases(tx, stage, now=self._now())

    def due(self, stage: Stage) -> int:
        """See `ItemStore.due`."""
        with self._database.read() as tx:
            return delivering.due(tx, stage, now=self._now())

    def backlog(self) -> int:
        """See `ItemStore.backlog`."""
        with self._database.read() as tx:
            return delivering.backlog(tx)

    def retry_dead(self, item_id: ExternalId) -> Accepted:
        """See `ItemStore.retry_dead`."""
        with self._database.write(durable=True) as tx:
            return delivering.retry_dead(tx, item_id, now=self._now())

    def requeue(self, stage: Stage, *, adapter_version: str, readable: Collection[str] = ()) -> int:
        """See `ItemStore.requeue`."""
        with self._database.write() as tx:
            return recovery.requeue(tx, stage, adapter_version=adapter_version, readable=readable, now=self._now())

    def materials(self, item_ids: Sequence[ExternalId]) -> list[Material]:
        """See `ItemStore.materials`."""
        with self._database.read() as tx:
            return placing.materials(tx, item_ids)

    def restate(self, results: Sequence[Restated]) -> list[ExternalId]:
        """See `ItemStore.restate`."""
        with self._database.write() as tx:
            return placing.restate(tx, results)

    def expected(self, *, after: ExternalId | None, limit: int, unlike: str | None = None) -> list[Expected]:
        """See `ItemStore.expected`."""
        with self._database.read() as tx:
            return reconciling.expected(tx, after=after, limit=limit, unlike=unlike)

    def settled(self, *, adapter_version: str, after: ExternalId | None, limit: int) -> list[Settled]:
        """See `ItemStore.settled`."""
        with self._database.read() as tx:
            return reconciling.settled(tx, adapter_version=adapter_version, after=after, limit=limit)

    def owe_again(self, versions: Mapping[ExternalId, int], *, held: Mapping[ExternalId, int]) -> list[ExternalId]:
        """See `ItemStore.owe_again`."""
        with self._database.write() as tx:
            return reconciling.owe_again(tx, versions, held=held, now=self._now())

    def disown(self, held: Mapping[ExternalId, int]) -> list[ExternalId]:
        """See `ItemStore.disown`."""
        with self._database.write() as tx:
            return reconciling.disown(tx, held, now=self._now())

    def record_events(self, events: Sequence[Event]) -> Recorded:
        """See `ItemStore.record_events`."""
        with self._database.write(durable=True) as tx:
            return behaviour.record_events(tx, events, digest=self._digest, now=self._now())

    def recent_events(self, user_id: ExternalId, *, limit: int, without: Collection[str] = ()) -> list[Event]:
        """See `ItemStore.recent_events`."""
        with self._database.read() as tx:
            return behaviour.recent_events(tx, user_id, limit=limit, without=without)

    def popular(self, *, limit: int, since: float = 0.0) -> list[tuple[ExternalId, int]]:
        """See `ItemStore.popular`."""
        with self._database.read() as tx:
            return behaviour.popular(tx, limit=limit, since=since)

    def newest_embeddings(self, *, limit: int) -> list[Embeddings]:
        """See `ItemStore.newest_embeddings`."""
        with self._database.read() as tx:
            return newcomers.newest_embeddings(tx, limit=limit)

    def count_impressions(self, shown: Mapping[ExternalId, int]) -> None:
        """See `ItemStore.count_impressions`."""
        with self._database.write() as tx:
            newcomers.count_impressions(tx, shown)

    def newcomers(self, *, since: float, limit: int) -> list[Newcomer]:
        """See `ItemStore.newcomers`."""
        with self._database.read() as tx:
            return newcomers.newcomers(tx, since=since, limit=limit)

    def clicked(self, *, adapter_version: str, limit: int) -> list[Clicked]:
        """See `ItemStore.clicked`."""
        with self._database.read() as tx:
            return graduating.clicked(tx, adapter_version=adapter_version, limit=limit)

    def graduate(self, results: Sequence[Graduated]) -> list[ExternalId]:
        """See `ItemStore.graduate`."""
        with self._database.write() as tx:
            return graduating.graduate(tx, results, now=self._now())

    def close(self) -> None:
        """See `ItemStore.close`."""
        self._database.close()
