"""What a service does now and then for the items that it has."""

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack

from adapters.serving import ServedAdapter
from coldstart.catalog import ItemStore
from coldstart.index import IndexStore, VectorIndex
from coldstart.settings import Settings
from coldstart.telemetry import Telemetry
from workers.drift import watch_drift
from workers.graduation import graduate_clicked
from workers.periodic import Periodic
from workers.reconcile import log, reconcile

DRIFT_SECONDS = 60.0
GRAPH_SECONDS = 30.0
_log = logging.getLogger(__name__)


def start_upkeep(
    stack: ExitStack,
    settings: Settings,
    store: ItemStore,
    indexes: IndexStore,
    index: VectorIndex,
    adapter: ServedAdapter,
    telemetry: Telemetry,
    *,
    wake_index: Callable[[], None],
) -> None:
    """Compare catalogue and index, move items by clicks, keep a search graph, watch for drift; ends with the stack."""

    def compare(stopping: Callable[[], bool]) -> None:
        log(reconcile(store, index, adapter_version=adapter.version, stopping=stopping))

    def move(stopping: Callable[[], bool]) -> None:
        if graduate_clicked(store, adapter, telemetry, stopping=stopping):
            wake_index()

    def connect(stopping: Callable[[], bool]) -> None:
        if indexes.optimize_beside(adapter.version, unindexed=settings.graph_points, stopping=stopping):
            _log.info("the index has a new search graph", extra={"collection": adapter.version})

    def rounds() -> Iterator[Periodic]:
        if settings.graduation_seconds:
            yield Periodic("graduation", move, every_s=settings.graduation_seconds)
        if settings.graph_points:
            yield Periodic("graph", connect, every_s=GRAPH_SECONDS)
        yield Periodic("reconcile", compare, every_s=settings.reconcile_seconds)
        yield Periodic("drift", lambda _: watch_drift(store, adapter, telemetry), every_s=DRIFT_SECONDS)

    for each in rounds():
        each.start()
        stack.callback(each.stop)
