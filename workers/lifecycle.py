"""Brings a service in line with what is said of adapter versions: opens, fills, checks, swaps and drops them.

What is said is in the database (`coldstart.catalog.adapters`), and this only follows it, so that a process that is
killed anywhere goes on where it was, and every process of a deployment comes to serve the same.
"""

import logging
import math
import threading
from collections.abc import Callable
from pathlib import Path
from time import monotonic

from adapters.serving import ServedAdapter
from coldstart.catalog import ItemStore
from coldstart.catalog.adapters import KEPT, AdapterRecord, AdapterStatus, AdapterStore
from coldstart.errors import ColdstartError, Conflict, Unavailable
from coldstart.index import IndexStore
from coldstart.telemetry import Telemetry
from workers.choosing import readable
from workers.generation import Generation, Kept
from workers.holding import Holder
from workers.projecting import check, fill, restate

_log = logging.getLogger(__name__)

DRAIN_S = 60.0
"""How long what was replaced may still be used: longer than any request and any batch takes."""


class Lifecycle:
    """Follows the adapter versions of a deployment within one service.

    Parameters
    ----------
    registry : AdapterStore
    kept : Holder of Kept
        What requests and the worker use.
    make : callable
        A generation for an adapter.
    backbone : Path, optional
        Where the backbone is, if not where the adapters say.
    graph_points : int
        Points without a search graph from which on a candidate gets one before it may be promoted; 0: never.
    settle_s : float
        How long a version has to be live before rows are brought to tell of it: one may be rolled back at once.
    mine : callable
        Whether this process is the one that fills and drops collections and restates rows.
    """

    def __init__(
        self,
        *,
        registry: AdapterStore,
        indexes: IndexStore,
        store: ItemStore,
        kept: Holder[Kept],
        make: Callable[[ServedAdapter], Generation],
        telemetry: Telemetry,
        backbone: Path | None = None,
        graph_points: int = 0,
        settle_s: float = 2.0,
        mine: Callable[[], bool] = lambda: True,
    ) -> None:
        self._registry, self._indexes, self._store, self._kept = registry, indexes, store, kept
        self._mine = mine
        self._make, self._telemetry, self._backbone = make, telemetry, backbone
        self._following, self._changing = threading.Lock(), threading.Lock()
        self._untold: list[Generation] = []
        self._restated: str | None = None
        self._graph_points, self._settle_s, self._live_since = graph_points, settle_s, -math.inf

    def promote(self, version: str) -> AdapterRecord:
        """Serve a ready version from now on; `Conflict` where it is none, or another change is under way."""
        return self._change(lambda: self._registry.promote(version))

    def rollback(self) -> AdapterRecord:
        """Serve again what was served before; `Conflict` where there is nothing, or another change is under way."""
        return self._change(self._registry.rollback)

    def retire(self, version: str) -> AdapterRecord:
        """Keep a version no longer; `Conflict` for the live one, and where another change is under way."""
        return self._change(lambda: self._registry.retire(version))

    def follow(self) -> None:
        """Open what is to be kept, and serve what is to be live. No request waits for it, nor notices it."""
        with self._following:
            records = self._registry.list_adapters()
            before = self._kept.value
            generations = {each.version: each for each in before.every}
            for record in records:
                if record.status in KEPT and record.version not in generations:
                    self._open(record, generations)
            kept = _kept(records, generations, before)
            if kept.live is not before.live:
                kept.live.refresh()
            if (kept.every, kept.readable) != (before.every, before.readable):
                self._kept.replace(kept)
            if self._indexes.live() != kept.live.version:
                self._indexes.promote(kept.live.version)
            if kept.live is not before.live:
                self._untold.append(before.live)
                self._restated, self._live_since = None, monotonic()
                self._telemetry.swaps.inc()
                _log.warning("another adapter is served", extra={"adapter_version": kept.live.version})
            self._telemetry.tell_adapters({each.version: each.status for each in records})

    def work(self, stopping: Callable[[], bool]) -> None:
        """What takes time: fill and check a candidate, let rows tell of what is served, drop what is kept no longer."""
        if self._mine():
            self._fill_and_restate(stopping)
        self._clear()

    def _fill_and_restate(self, stopping: Callable[[], bool]) -> None:
        kept = self._kept.value
        if self._restated != kept.live.version and monotonic() - self._live_since >= self._settle_s:
            live = kept.live
            restate(
                self._store, live.adapter, live.index, stopping=lambda: stopping() or self._kept.value.live is not live
            )
            if not stopping() and self._kept.value.live is live:
                self._restated = live.version
        for record in self._registry.list_adapters():
            candidate = next((each for each in kept.others if each.version == record.version), None)
            if candidate is not None and record.status in (AdapterStatus.REGISTERED, AdapterStatus.PROJECTING):
                self._fill(candidate, stopping)

    def _change(self, change: Callable[[], AdapterRecord]) -> AdapterRecord:
        if not self._changing.acquire(blocking=False):
            raise Conflict(
                "another version is being promoted, rolled back or retired", subject="adapters",
                remedy="See GET /adapters, and try again",
            )  # fmt: skip
        try:
            changed = change()
            self.follow()
            return changed
        finally:
            self._changing.release()

    def _open(self, record: AdapterRecord, generations: dict[str, Generation]) -> None:
        """Load a version; one that cannot be loaded fails, and is served by nobody."""
        try:
            adapter = ServedAdapter.load(Path(record.identity.folder), backbone=self._backbone)
            if adapter.version != record.version:
                raise Conflict(f"the folder holds the version {adapter.version} by now", subject=record.identity.folder)
            if record.status is AdapterStatus.REGISTERED and record.version in self._indexes.collections():
                self._indexes.drop(record.version)  # of another time, when it was served: it knows nothing of since
            generations[record.version] = self._make(adapter)
        except Unavailable:
            raise  # of the index, not of the version
        except ColdstartError as error:
            _log.warning("the adapter cannot be kept", extra={"adapter_version": record.version, "error": str(error)})
            self._registry.fail(record.version, str(error))

    def _fill(self, candidate: Generation, stopping: Callable[[], bool]) -> None:
        version, registry = candidate.version, self._registry

        def given_up() -> bool:
            return stopping() or candidate not in self._kept.value.others

        def progress(done: int, total: int) -> None:
            registry.projecting(version, projected=done, total=total)
            self._telemetry.projected.set(done / total if total else 1.0)

        # What was taken in by those who did not know of it yet is settled, or will be written to it.
        while not self._kept.drained(timeout_s=1.0):
            if given_up():
                return
        try:
            registry.projecting(version, projected=0, total=0)
            done = fill(self._store, candidate.adapter, candidate.index, stopping=given_up, on_progress=progress)
            if done and self._graph_points:
                self._indexes.optimize_beside(version, unindexed=self._graph_points, stopping=given_up)
            if done and not given_up():
                registry.ready(version, items=check(self._store, candidate.adapter, candidate.index))
        except Conflict as error:
            _log.warning("the adapter is not ready", extra={"adapter_version": version, "error": str(error)})
            registry.fail(version, str(error))

    def _clear(self) -> None:
        """Note what replaced generations have shown, and drop collections that nobody keeps or uses."""
        kept = {each.version for each in self._kept.value.every}
        gone = [
            record.version
            for record in self._registry.list_adapters()
            if record.status in (AdapterStatus.RETIRED, AdapterStatus.FAILED) and record.version not in kept
        ]
        gone = [version for version in gone if version in self._indexes.collections()] if self._mine() else []
        if not (gone or self._untold) or not self._kept.drained(timeout_s=DRAIN_S):
            return
        with self._following:
            while self._untold:
                self._untold.pop().tell()
            for version in gone:
                if version not in {each.version for each in self._kept.value.every}:
                    self._indexes.drop(version)


def _kept(records: list[AdapterRecord], generations: dict[str, Generation], before: Kept) -> Kept:
    """What the records say, of what could be opened; what is live stays where the one to be live could not."""
    status = {each.version: each.status for each in records}
    live = next((g for v, g in generations.items() if status.get(v) is AdapterStatus.LIVE), before.live)
    others = tuple(g for v, g in generations.items() if status.get(v) in KEPT and g is not live)
    identity = next((each.identity for each in records if each.version == live.version), None)
    return Kept(live, others, before.readable if identity is None else readable(records, identity))
