"""What a service does now and then for the items that it has."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

from adapters.serving import ServedAdapter
from coldstart.catalog import ItemStore
from coldstart.index import VectorIndex
from coldstart.settings import Settings
from coldstart.telemetry import Telemetry
from workers.drift import watch_drift
from workers.graduation import graduate_clicked
from workers.periodic import Periodic
from workers.reconcile import log, reconcile

DRIFT_SECONDS = 60.0


def start_upkeep(
    stack: ExitStack,
    settings: Settings,
    store: ItemStore,
    index: VectorIndex,
    adapter: ServedAdapter,
    telemetry: Telemetry,
    *,
    wake_index: Callable[[], None],
) -> None:
    """Compare catalogue and index, move items by their clicks and watch for drift, until the stack is closed."""

    def compare(stopping: Callable[[], bool]) -> None:
        log(reconcile(store, index, adapter_version=adapter.version, stopping=stopping))

    def move(stopping: Callable[[], bool]) -> None:
        if graduate_clicked(store, adapter, telemetry, stopping=stopping):
            wake_index()

    def rounds() -> Iterator[Periodic]:
        if settings.graduation_seconds:
            yield Periodic("graduation", move, every_s=settings.graduation_seconds)
        yield Periodic("reconcile", compare, every_s=settings.reconcile_seconds)
        yield Periodic("drift", lambda _: watch_drift(store, adapter, telemetry), every_s=DRIFT_SECONDS)

    for each in rounds():
        each.start()
        stack.callback(each.stop)
