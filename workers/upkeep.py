"""What a service does now and then for the items that it has."""

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack

from coldstart.catalog import ItemStore
from coldstart.index import IndexStore
from coldstart.settings import Settings
from coldstart.telemetry import Telemetry
from workers.drift import watch_drift
from workers.generation import Kept
from workers.graduation import graduate_clicked
from workers.holding import Holder
from workers.periodic import Periodic, keep_up
from workers.reconcile import log, reconcile

DRIFT_SECONDS = 60.0
GRAPH_SECONDS = 30.0
_log = logging.getLogger(__name__)


def start_upkeep(
    stack: ExitStack,
    settings: Settings,
    store: ItemStore,
    indexes: IndexStore,
    kept: Holder[Kept],
    telemetry: Telemetry,
    *,
    wake_index: Callable[[], None],
    mine: Callable[[], bool],
) -> None:
    """Compare catalogue and index, move items by clicks, keep a search graph, watch for drift; ends with the stack.

    Each for the version that is live when it begins, and while it is this process' duty.
    """

    def by_one(work: Callable[[Callable[[], bool]], None]) -> Callable[[Callable[[], bool]], None]:
        return lambda stopping: work(stopping) if mine() else None

    def compare(stopping: Callable[[], bool]) -> None:
        with kept.use() as now:
            log(reconcile(store, now.live.index, adapter_version=now.live.version, stopping=stopping))

    def move(stopping: Callable[[], bool]) -> None:
        with kept.use() as now:
            moved = graduate_clicked(store, now.live.adapter, telemetry, stopping=stopping)
        if moved:
            wake_index()

    def watch(_: Callable[[], bool]) -> None:
        with kept.use() as now:
            watch_drift(store, now.live.adapter, telemetry)

    def connect(stopping: Callable[[], bool]) -> None:
        version = kept.value.live.version  # not held meanwhile: it may take longer than the version is live
        if indexes.optimize_beside(version, unindexed=settings.graph_points, stopping=stopping):
            _log.info("the index has a new search graph", extra={"collection": version})

    def rounds() -> Iterator[Periodic]:
        if settings.graduation_seconds:
            yield Periodic("graduation", by_one(move), every_s=settings.graduation_seconds)
        if settings.graph_points:
            yield Periodic("graph", by_one(connect), every_s=GRAPH_SECONDS)
        yield Periodic("reconcile", by_one(compare), every_s=settings.reconcile_seconds)
        yield Periodic("drift", by_one(watch), every_s=DRIFT_SECONDS)

    keep_up(stack, rounds())
