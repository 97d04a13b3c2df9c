"""The side of a process that takes items in: what encodes, what writes the index, and what wakes them."""

import logging
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from celery import Celery
from celery.signals import worker_process_shutdown
from threadpoolctl import threadpool_limits

from adapters.serving import ServedAdapter
from coldstart.catalog import ItemStore, Stage, open_item_store
from coldstart.catalog.adapters import AdapterStore
from coldstart.errors import InvalidInput, Unavailable
from coldstart.index import IndexStore, VectorIndex, index_store_of
from coldstart.settings import Settings
from coldstart.telemetry import Telemetry
from workers.ahead import Ahead
from workers.app import ENCODE, INDEX, QUEUES, is_in_process, make_app
from workers.backlog import Backlog
from workers.choosing import served_adapter
from workers.embedded import EmbeddedWorker
from workers.encoding import BatchEncoder, encoder_of
from workers.ingest import Ingestor
from workers.isolation import Lazy
from workers.models import models_of
from workers.relay import Relay
from workers.steps import Steps
from workers.tasks import register, wake

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ingestion:
    """What takes items in within a service process: the worker consumes in a thread, and the relay wakes it."""

    backlog: Backlog
    relay: Relay
    worker: EmbeddedWorker
    steps: Steps


def open_ingestion(
    stack: ExitStack,
    settings: Settings,
    store: ItemStore,
    telemetry: Telemetry,
    *,
    open_encoder: Callable[[], None],
    encode_due: Callable[[], int],
    apply_due: Callable[[], int],
) -> Ingestion:
    """Start to take items in, until the stack is closed."""
    app = make_app(settings.broker_url, lease_s=settings.lease_seconds)
    steps = Steps(lease_s=settings.lease_seconds)

    def encode() -> int:
        open_encoder()  # not timed: at a first start it exports the models, which may take minutes
        return steps.take(encode_due)

    register(app, encode_due=encode, apply_due=lambda: steps.take(apply_due))
    backlog = Backlog(store.backlog, mark=settings.max_backlog)
    backlog.look()  # before the first request
    relay = _start_relay(stack, settings, app, store, backlog, telemetry)
    worker = EmbeddedWorker(app, QUEUES if settings.embedded_worker else [INDEX])
    # A broker that is away must not keep the service from starting; the worker goes on looking for it.
    worker.start(wait=is_in_process(settings.broker_url))
    stack.callback(worker.stop)
    return Ingestion(backlog, relay, worker, steps)


def require_encoders(settings: Settings) -> None:
    """Raise `InvalidInput` where neither the service process nor any other could encode."""
    if is_in_process(settings.broker_url) and not settings.embedded_worker:
        raise InvalidInput(
            "nobody would encode: this process is not to, and no other can reach its broker", subject="embedded_worker",
            remedy="Set COLDSTART_BROKER_URL to redis://... or amqp://... for service and workers",
        )  # fmt: skip


def make_worker(settings: Settings) -> tuple[Celery, tuple[str, ...]]:
    """The Celery application of a process that only ingests, and the queues it should consume.

    Its tasks run in child processes that are forked, so nothing here starts a thread, opens a connection or loads a
    model: each child does that for itself at its first task (`Lazy`). The adapter is read before, once for all of them.

    It writes what it encoded to a Qdrant server itself while its own adapter version is the only one that is kept. Else
    that is for the service, which knows them all and owns the embedded index: the worker encodes, and wakes it.

    Raises
    ------
    InvalidInput
        Where the settings name no broker and database that processes can share.
    """
    if is_in_process(settings.broker_url):
        raise InvalidInput(
            "a separate worker needs a broker", subject="broker_url",
            remedy="Set COLDSTART_BROKER_URL to redis://... or amqp://... for service and workers",
        )  # fmt: skip
    adapter = _adapter(settings)
    app = make_app(settings.broker_url, lease_s=settings.lease_seconds, memory_mb=settings.worker_memory_mb)
    ingestor_now = Lazy(lambda: _open_ingestors(settings, adapter))

    def encode_due() -> int:
        ingestor = ingestor_now.get()()
        items = ingestor.encode_due()
        if items and not ingestor.writes_index:
            wake(app, INDEX)
        return items

    register(app, encode_due=encode_due, apply_due=lambda: 0)
    return app, (ENCODE,)


def open_indexes(stack: ExitStack, settings: Settings) -> IndexStore:
    """The collections, until the stack is closed."""
    indexes = index_store_of(settings)
    stack.callback(indexes.close)
    return indexes


def open_store(stack: ExitStack, settings: Settings) -> ItemStore:
    """The catalogue, until the stack is closed."""
    store = open_item_store(settings.catalog_url)
    stack.callback(store.close)
    return store


def _adapter(settings: Settings) -> ServedAdapter:
    """The configured one where the database is away, as the service places anew what others encoded."""
    try:
        return served_adapter(settings)
    except Unavailable as error:
        _log.warning("what was promoted is not known", extra={"error": str(error)})
        return ServedAdapter.load(settings.adapter_dir, backbone=settings.backbone)


def _open_ingestors(settings: Settings, adapter: ServedAdapter) -> Callable[[], Ingestor]:
    """What a worker's child holds until it ends: called before each batch, it says what takes it in."""
    stack = ExitStack()
    worker_process_shutdown.connect(lambda **_: stack.close(), weak=False)
    stack.enter_context(threadpool_limits(settings.threads, "blas"))
    store, telemetry = open_store(stack, settings), Telemetry()
    encoder = encoder_of(adapter, models_of(adapter, settings, telemetry), settings)
    ahead = Ahead()
    stack.callback(ahead.give_back, store)
    passes_on = make_ingestor(settings, store, None, encoder, telemetry, ahead=ahead)
    if settings.qdrant_url is None:
        return lambda: passes_on
    index = open_indexes(stack, settings).create(adapter.version, adapter.dim)
    writes = make_ingestor(settings, store, index, encoder, telemetry, ahead=ahead)
    registry = AdapterStore(settings.catalog_url)
    stack.callback(registry.close)
    return lambda: writes if registry.keeps_only(adapter.version) else passes_on


def make_ingestor(
    settings: Settings,
    store: ItemStore,
    index: VectorIndex | None,
    encoder: BatchEncoder,
    telemetry: Telemetry,
    *,
    ahead: Ahead,
) -> Ingestor:
    """What takes items in for one adapter version."""
    return Ingestor(
        store=store,
        index=index,
        encoder=encoder,
        telemetry=telemetry,
        batch=settings.claim_batch,
        lease_s=settings.lease_seconds,
        max_attempts=settings.max_attempts,
        ahead=ahead,
    )


def _start_relay(
    stack: ExitStack, settings: Settings, app: Celery, store: ItemStore, backlog: Backlog, telemetry: Telemetry
) -> Relay:
    def due(stage: Stage) -> int:
        items = store.due(stage)
        telemetry.due.labels(stage).set(items)
        return items

    def encode_due() -> int:
        telemetry.backlog.set(backlog.look())
        return due(Stage.ENCODE)

    looks: dict[str, Callable[[], int]] = {
        ENCODE: encode_due,
        INDEX: lambda: due(Stage.INDEX),
    }
    relay = Relay(looks, lambda queue: wake(app, queue), every_s=settings.relay_seconds)
    relay.start()
    stack.callback(relay.stop)
    return relay
