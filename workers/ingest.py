"""Ingestion: from claimed rows to retrievable items. Knows nothing of Celery; a task or a test calls it."""

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from coldstart.availability import window
from coldstart.catalog import Claim, Encoded, ItemStore, Stage, Status
from coldstart.entities import ExternalId
from coldstart.errors import ColdstartError, Unavailable
from coldstart.index import Point, VectorIndex
from coldstart.telemetry import Telemetry
from coldstart.vectors import Vector
from workers.beside import Beside
from workers.encoding import BatchEncoder, Content
from workers.isolation import isolate, retry_delay
from workers.pace import Pace

_log = logging.getLogger(__name__)
# That an index is away is no item's fault: it costs no attempt, so there is nothing to wait longer and longer by.
_AWAY_S = 2.0
_PATIENCE_S = 5.0
_GIVEN_BACK = "its worker ended before its turn"


@dataclass(frozen=True, slots=True)
class _Batch:
    """Claimed items, read or not yet; they are ours ``until`` then, and more are due where it is ``full``."""

    claims: Sequence[Claim]
    until: float
    full: bool
    contents: Sequence[Content] = ()


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
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store, self._index, self._encoder, self._telemetry = store, index, encoder, telemetry
        self._batch, self._lease_s, self._max_attempts, self._clock = batch, lease_s, max_attempts, clock
        self._ahead: Beside[_Batch] = Beside("coldstart-ahead")
        self._behind: Beside[None] = Beside("coldstart-behind")
        self._pace = Pace(most=batch)

    def encode_due(self) -> int:
        """Encode a batch and, where the index is ours, make it retrievable.

        In a backlog the next batch is claimed and read, and the one before is written, while this one is encoded. A
        lone item waits for neither. Once nothing is due, all is written.
        """
        # Before the claim: models that cannot be opened must not use up the items' attempts.
        self._encoder.open()
        batch = self._ahead.result()
        if batch is None or batch.until < self._clock():
            batch = self._take()
        if batch.full:
            self._ahead.start(self._take_ahead)
        if not batch.claims:
            self._behind.result()
            return 0
        began = time.perf_counter()
        claims, contents = batch.claims, self._read(batch).contents
        with self._telemetry.step("encode"):
            outcomes = isolate(self._encoder.encode, contents)
        if batch.full and self._index is not None:
            try:
                self._behind.result()
            finally:
                self._behind.start(lambda: self._finish(claims, contents, outcomes))
        else:
            self._finish(claims, contents, outcomes)
        self._pace.took(len(claims), time.perf_counter() - began)
        return len(claims)

    def close(self) -> None:
        """Finish what is being written, and give back what was claimed ahead; else their leases run out."""
        with suppress(Unavailable, TimeoutError):
            self._behind.result(_PATIENCE_S)
        with suppress(Unavailable, TimeoutError):
            if batch := self._ahead.result(_PATIENCE_S):
                self._store.fail(_versions(batch.claims), _GIVEN_BACK, retry_in_s=0.0, max_attempts=None)

    def _take(self) -> _Batch:
        until = self._clock() + self._lease_s
        claims = self._claim(Stage.ENCODE, background=self._pace.items)
        return _Batch(claims, until, full=len(claims) == self._batch)

    def _take_ahead(self) -> _Batch:
        batch = self._take()
        # What may have killed a worker before is read when it is alone.
        return self._read(batch) if all(claim.attempts == 1 for claim in batch.claims) else batch

    def _read(self, batch: _Batch) -> _Batch:
        if len(batch.contents) == len(batch.claims):
            return batch
        with self._telemetry.step("read"):
            return replace(batch, contents=self._encoder.read(batch.claims))

    def _finish(
        self, claims: Sequence[Claim], contents: Sequence[Content], outcomes: Sequence[Encoded | Exception]
    ) -> None:
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
            vectors = {outcome.item_id: outcome for outcome in encoded if outcome.item_id in current}
            self._write(
                self._index,
                [
                    (claim, _point(claim, outcome.vector, cold=outcome.cold, gates=outcome.gates))
                    for claim in claims
                    if (outcome := vectors.get(_id(claim))) is not None
                ],
            )

    def apply_due(self) -> int:
        """Write a batch of encoded items and of tombstones to the index."""
        if self._index is None:
            raise RuntimeError("this process does not write the index")
        claims = self._claim(Stage.INDEX)
        deleted = [claim for claim in claims if claim.record.status is Status.DELETED]
        live = [claim for claim in claims if claim.record.status is not Status.DELETED]
        version = self._encoder.adapter_version
        self._bury(self._index, deleted)
        self._write(
            self._index,
            [
                (claim, _point(claim, claim.vector, cold=bool(claim.record.cold), gates=claim.record.gates))
                for claim in live
                if claim.vector is not None and claim.record.adapter_version == version
            ],
        )
        if any(claim.record.adapter_version != version for claim in live):
            # Of a worker that still serves another adapter, or retried where it died before this one: another space.
            items = self._store.requeue(Stage.ENCODE, adapter_version=version)
            _log.warning("to be encoded for another adapter", extra={"items": items, "adapter_version": version})
        return len(claims)

    def _claim(self, stage: Stage, *, background: int | None = None) -> list[Claim]:
        claims = self._store.claim(
            stage, limit=self._batch, lease_s=self._lease_s, max_attempts=self._max_attempts, background=background
        )
        if claims:
            self._telemetry.batch_items.labels(stage).observe(len(claims))
        return claims

    def _write(self, index: VectorIndex, points: Sequence[tuple[Claim, Point]]) -> None:
        def upsert(batch: Sequence[Point]) -> Sequence[Point]:
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

    def _bury(self, index: VectorIndex, claims: Sequence[Claim]) -> None:
        if not claims:
            return
        try:
            with self._telemetry.step("index"):
                index.delete(_versions(claims))
        except Unavailable as error:
            self._fail(claims, [error] * len(claims))
        else:
            self._done(claims, outcome="deleted")

    def _done(self, claims: Sequence[Claim], *, outcome: str) -> None:
        if claims:
            with self._telemetry.step("store"):
                self._store.done(_versions(claims))
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
            self._store.fail(_versions(failed), reason, retry_in_s=delay, max_attempts=limit)
            self._count(failed=len(failed))
            _log.warning("not ingested", extra={"item_ids": [_id(claim) for claim in failed][:10], "error": reason})

    def _count(self, **outcomes: int) -> None:
        for outcome, items in outcomes.items():
            self._telemetry.items.labels(outcome).inc(items)


def _id(claim: Claim) -> ExternalId:
    return claim.record.item.item_id


def _versions(claims: Sequence[Claim]) -> dict[ExternalId, int]:
    return {_id(claim): claim.record.version for claim in claims}


def _point(claim: Claim, vector: Vector, *, cold: bool, gates: Mapping[str, float]) -> Point:
    payload: dict[str, Any] = {
        "cold": cold,
        "attributes": dict(claim.record.item.attributes),
        "accepted_at": claim.record.accepted_at,
        "gates": {modality: round(gate, 4) for modality, gate in gates.items()},
        **window(claim.record.item),
    }
    return Point(_id(claim), claim.record.version, vector, payload)


def _reason(error: Exception) -> str:
    """The message of our own errors; the kind too of those that nobody foresaw."""
    return str(error) if isinstance(error, ColdstartError) else f"{type(error).__name__}: {error}"
