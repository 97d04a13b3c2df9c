"""Ingestion: from claimed rows to retrievable items. Knows nothing of Celery; a task or a test calls it."""

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from coldstart.catalog import Claim, Encoded, ItemStore, Material, Stage, Status
from coldstart.entities import ExternalId
from coldstart.errors import ColdstartError, Unavailable
from coldstart.index import Point, VectorIndex
from coldstart.telemetry import Telemetry
from workers.ahead import Ahead, Batch, versions_of
from workers.encoding import BatchEncoder
from workers.isolation import isolate, retry_delay
from workers.pace import Pace
from workers.projecting import Placed, Space, place_each, point_of, put

_log = logging.getLogger(__name__)
# That an index is away is no item's fault: it costs no attempt, so there is nothing to wait longer and longer by.
_AWAY_S = 2.0


class Ingestor:
    """Does one batch of what is due, and says how many items it had.

    Parameters
    ----------
    index : VectorIndex, optional
        The live index, where this process may write it. Without it, encoded items are passed on to whoever may.
    batch : int
        Most items claimed together.
    lease_s : float
        How long a claimed item is left to this process.
    max_attempts : int
        Tries before an item is dead-lettered.
    ahead : Ahead, optional
        Of the process, where it keeps several adapter versions; whoever made it gives back what is in it in the end.
    clock : callable
        Unix seconds.
    """

    def __init__(
        self,
        *,
        store: ItemStore,
        index: VectorIndex | None,
        encoder: BatchEncoder,
        telemetry: Telemetry,
        batch: int,
        lease_s: float,
        max_attempts: int,
        ahead: Ahead | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store, self._index, self._encoder, self._telemetry = store, index, encoder, telemetry
        self._batch, self._lease_s, self._max_attempts, self._clock = batch, lease_s, max_attempts, clock
        self._ahead, self._pace = ahead or Ahead(), Pace(most=batch)

    @property
    def writes_index(self) -> bool:
        """Whether what it encodes is retrievable then; else it is passed on."""
        return self._index is not None

    def encode_due(self, others: Sequence[Space] = ()) -> int:
        """Encode a batch and, where the index is ours, make it retrievable, in the other spaces too.

        In a backlog the next batch is claimed and read meanwhile; a lone item waits for nothing.
        """
        # Before the claim: models that cannot be opened must not use up the items' attempts.
        self._encoder.open()
        batch = self._ahead.result()
        if batch is None or batch.until < self._clock():
            batch = self._take()
        if batch.full:
            self._ahead.start(self._take_ahead)
        if not batch.claims:
            return 0
        began = time.perf_counter()
        claims, contents = batch.claims, self._read(batch).contents
        with self._telemetry.step("encode"):
            outcomes = isolate(self._encoder.encode, contents)
        encoded = [outcome for outcome in outcomes if isinstance(outcome, Encoded)]
        with self._telemetry.step("store"):
            current = set(self._store.encoded(encoded, lease_s=None if self._index is None else self._lease_s))
        broken = {content.item_id: content.picture_error for content in contents if content.picture_error is not None}
        self._telemetry.picture_errors.inc(len(broken))
        self._count(encoded=len(current), stale=len(encoded) - len(current))
        _log.info("encoded", extra={"items": len(claims), "current": len(current)})
        if broken:
            item_id, reason = next(iter(broken.items()))
            _log.warning("pictures not used", extra={"items": len(broken), "first": item_id, "error": reason})
        self._fail(claims, outcomes)
        if self._index is not None:
            results = {outcome.item_id: outcome for outcome in encoded if outcome.item_id in current}
            here = [(claim, outcome) for claim in claims if (outcome := results.get(_id(claim))) is not None]
            points = [
                (claim, point_of(claim.record, outcome.vector, cold=outcome.cold, gates=outcome.gates))
                for claim, outcome in here
            ]
            materials = [Material(claim.record, outcome.embeddings) for claim, outcome in here] if others else []
            self._write(self._index, points, Beside(others, materials))
        self._pace.took(len(claims), time.perf_counter() - began)
        return len(claims)

    def _take(self) -> Batch:
        until = self._clock() + self._lease_s
        claims = self._claim(Stage.ENCODE, background=self._pace.items)
        return Batch(claims, until, full=len(claims) == self._batch)

    def _take_ahead(self) -> Batch:
        batch = self._take()
        # What may have killed a worker before is read when it is alone.
        return self._read(batch) if all(claim.attempts == 1 for claim in batch.claims) else batch

    def _read(self, batch: Batch) -> Batch:
        if len(batch.contents) == len(batch.claims):
            return batch
        with self._telemetry.step("read"):
            return replace(batch, contents=self._encoder.read(batch.claims))

    def apply_due(self, others: Sequence[Space] = (), readable: Collection[str] = ()) -> int:
        """Write a batch of encoded items and of tombstones to the index, and to the others.

        Items of which another adapter version told whose embeddings are ``readable`` are placed anew, the others are to
        be encoded again.
        """
        if self._index is None:
            raise RuntimeError("this process does not write the index")
        claims = self._claim(Stage.INDEX)
        deleted = [claim for claim in claims if claim.record.status is Status.DELETED]
        live = [claim for claim in claims if claim.record.status is not Status.DELETED]
        version = self._encoder.adapter_version
        own = [claim for claim in live if claim.record.adapter_version == version]
        foreign = [claim for claim in live if claim.record.adapter_version in {*readable} - {version}]
        self._bury(self._index, deleted, others)
        materials = self._store.materials([_id(claim) for claim in live]) if live and (others or foreign) else []
        points = [
            (claim, point_of(claim.record, claim.vector, cold=bool(claim.record.cold), gates=claim.record.gates))
            for claim in own
            if claim.vector is not None
        ]
        self._write(self._index, points + self._placed(foreign, materials), Beside(others, materials))
        if len(own) + len(foreign) < len(live):
            # Of a worker that still serves another adapter, or retried where it died before this one: another space.
            items = self._store.requeue(Stage.ENCODE, adapter_version=version, readable=readable)
            _log.warning("to be encoded for another adapter", extra={"items": items, "adapter_version": version})
        return len(claims)

    def _placed(self, claims: Sequence[Claim], materials: Sequence[Material]) -> list[tuple[Claim, Point]]:
        """Points of items that other versions told of; from now on their rows tell of this one's."""
        if not claims:
            return []
        wanted = {_id(claim): claim for claim in claims}
        mine = [each for each in materials if each.record.item.item_id in wanted]
        outcomes = place_each(self._encoder.adapter, mine)
        ids = [each.record.item.item_id for each in mine]
        self._fail([wanted[item_id] for item_id in ids], outcomes)
        placed = [outcome for outcome in outcomes if isinstance(outcome, Placed)]
        current = set(self._store.restate([each.restated for each in placed]))
        return [(wanted[i], each.point) for each in placed if (i := each.encoded.item_id) in current]

    def _claim(self, stage: Stage, *, background: int | None = None) -> list[Claim]:
        claims = self._store.claim(
            stage, limit=self._batch, lease_s=self._lease_s, max_attempts=self._max_attempts, background=background
        )
        if claims:
            self._telemetry.batch_items.labels(stage).observe(len(claims))
        return claims

    def _write(self, index: VectorIndex, points: Sequence[tuple[Claim, Point]], beside: "Beside") -> None:
        def upsert(batch: Sequence[Point]) -> Sequence[Point]:
            beside.upsert([point.item_id for point in batch])
            index.upsert(batch)
            return batch

        claims = [claim for claim, _ in points]
        with self._telemetry.step("index"):
            outcomes = isolate(upsert, [point for _, point in points])
        written = [claim for claim, outcome in zip(claims, outcomes, strict=True) if not isinstance(outcome, Exception)]
        self._done(written, outcome="retrievable")
        for claim in written:
            # Neither what came in with its embeddings nor what a new adapter or a lost index made due once more.
            if claim.record.claimed_at is not None and claim.record.retrievable_at is None:
                self._telemetry.time_to_recommendable.observe(max(0.0, self._clock() - claim.record.accepted_at))
        self._fail(claims, outcomes)

    def _bury(self, index: VectorIndex, claims: Sequence[Claim], others: Sequence[Space]) -> None:
        if not claims:
            return
        try:
            with self._telemetry.step("index"):
                for each in (*(other.index for other in others), index):
                    each.delete(versions_of(claims))
        except Unavailable as error:
            self._fail(claims, [error] * len(claims))
        else:
            self._done(claims, outcome="deleted")

    def _done(self, claims: Sequence[Claim], *, outcome: str) -> None:
        if claims:
            with self._telemetry.step("store"):
                self._store.done(versions_of(claims))
            self._count(**{outcome: len(claims)})
            _log.info(outcome, extra={"items": len(claims)})

    def _fail(self, claims: Sequence[Claim], outcomes: Sequence[object]) -> None:
        """Give the failed ones back, those that failed alike together."""
        alike: defaultdict[tuple[str, float, int | None], list[Claim]] = defaultdict(list)
        for claim, outcome in zip(claims, outcomes, strict=True):
            if isinstance(outcome, Unavailable):
                alike[_reason(outcome), _AWAY_S, None].append(claim)
            elif isinstance(outcome, Exception):
                alike[_reason(outcome), retry_delay(claim.attempts), self._max_attempts].append(claim)
        for (reason, delay, limit), failed in alike.items():
            self._store.fail(versions_of(failed), reason, retry_in_s=delay, max_attempts=limit)
            self._count(failed=len(failed))
            _log.warning("not ingested", extra={"item_ids": [_id(claim) for claim in failed][:10], "error": reason})

    def _count(self, **outcomes: int) -> None:
        for outcome, items in outcomes.items():
            self._telemetry.items.labels(outcome).inc(items)


def _id(claim: Claim) -> ExternalId:
    return claim.record.item.item_id


class Beside:
    """Writes a batch's items to the collections that are kept beside the live one, before it is done with."""

    def __init__(self, spaces: Sequence[Space], materials: Sequence[Material]) -> None:
        self._spaces, self._materials = spaces, {each.record.item.item_id: each for each in materials}

    def upsert(self, item_ids: Sequence[ExternalId]) -> None:
        """Write these; `Unavailable` where one of the collections is away.

        What has no place in another space is left out of it. That is no reason to keep it from being retrievable, and
        is found when that version is checked or the catalogue compared with it.
        """
        batch = [self._materials[item_id] for item_id in item_ids if item_id in self._materials]
        for space in self._spaces if batch else ():
            for error in put(space, batch):
                _log.warning("no place beside", extra={"adapter_version": space.adapter.version, "error": str(error)})


def _reason(error: Exception) -> str:
    """The message of our own errors; the kind too of those that nobody foresaw."""
    return str(error) if isinstance(error, ColdstartError) else f"{type(error).__name__}: {error}"
