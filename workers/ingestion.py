"""The side of a process that takes items in: what encodes, what writes the index, and what wakes them."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from celery import Celery
from celery.signals import worker_process_shutdown

from adapters.serving import ServedAdapter
from coldstart.catalog import ItemStore, Stage, open_item_store
from coldstart.encoders.fetch import Fetcher
from coldstart.errors import InvalidInput
from coldstart.index import IndexStore, VectorIndex, index_store_of
from coldstart.settings import Settings
from coldstart.telemetry import Telemetry
from workers.app import ENCODE, INDEX, QUEUES, is_in_process, make_app
from workers.backlog import Backlog
from workers.embedded import EmbeddedWorker
from workers.encoding import BatchEncoder
from workers.ingest import Ingestor
from workers.isolation import Lazy
from workers.models import Models, models_of
from workers.pictures import PictureReader
from workers.relay import Relay
from workers.steps import Steps
from workers.tasks import register, wake


@dataclass(frozen=True)
class Ingestion:
    """What takes items in within a service process: the worker consumes in a thread, and the relay wakes it."""

    encoder: BatchEncoder
    ingestor: Ingestor
    backlog: Backlog
    relay: Relay
    worker: EmbeddedWorker
    steps: Steps


def open_ingestion(
    stack: ExitStack,
    settings: Settings,
    store: ItemStore,
    index: VectorIndex,
    adapter: ServedAdapter,
    models: Models,
    telemetry: Telemetry,
) -> Ingestion:
    """Start to take items in, until the stack is closed."""
    encoder = BatchEncoder(adapter, models, _pictures(settings))
    ingestor = _ingestor(stack, settings, store, index, encoder, telemetry)
    app = make_app(settings.broker_url, lease_s=settings.lease_seconds)
    steps = Steps(lease_s=settings.lease_seconds)

    def encode_due() -> int:
        encoder.open()  # not timed: at a first start it exports the models, which may take minutes
        return steps.take(ingestor.encode_due)

    register(app, encode_due=encode_due, apply_due=lambda: steps.take(ingestor.apply_due))
    backlog = Backlog(store.backlog, mark=settings.max_backlog)
    backlog.look()  # before the first request
    relay = _start_relay(stack, settings, app, store, backlog, telemetry)
    worker = EmbeddedWorker(app, QUEUES if settings.embedded_worker else [INDEX])
    # A broker that is away must not keep the service from starting; the worker goes on looking for it.
    worker.start(wait=is_in_process(settings.broker_url))
    stack.callback(worker.stop)
    return Ingestion(encoder, ingestor, backlog, relay, worker, steps)


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

    Without a Qdrant server the index belongs to the service: the worker encodes, and wakes the service to apply.

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
    adapter = ServedAdapter.load(settings.adapter_dir, backbone=settings.backbone)
    app = make_app(settings.broker_url, lease_s=settings.lease_seconds, memory_mb=settings.worker_memory_mb)
    ingestor = Lazy(lambda: _open_ingestor(settings, adapter))
    writes_index = settings.qdrant_url is not None

    def encode_due() -> int:
        items = ingestor.get().encode_due()
        if items and not writes_index:
            wake(app, INDEX)
        return items

    register(app, encode_due=encode_due, apply_due=lambda: ingestor.get().apply_due())
    return app, QUEUES if writes_index else (ENCODE,)


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


def _open_ingestor(settings: Settings, adapter: ServedAdapter) -> Ingestor:
    """What a worker's child holds until it ends."""
    stack = ExitStack()
    index = None
    if settings.qdrant_url:
        index = open_indexes(stack, settings).create(adapter.version, adapter.dim)
    store = open_store(stack, settings)
    worker_process_shutdown.connect(lambda **_: stack.close(), weak=False)
    telemetry = Telemetry()
    encoder = BatchEncoder(adapter, models_of(adapter, settings, telemetry), _pictures(settings))
    return _ingestor(stack, settings, store, index, encoder, telemetry)


def _ingestor(
    stack: ExitStack,
    settings: Settings,
    store: ItemStore,
    index: VectorIndex | None,
    encoder: BatchEncoder,
    telemetry: Telemetry,
) -> Ingestor:
    ingestor = Ingestor(
        store=store,
        index=index,
        encoder=encoder,
        telemetry=telemetry,
        batch=settings.claim_batch,
        lease_s=settings.lease_seconds,
        max_attempts=settings.max_attempts,
    )
    stack.callback(ingestor.close)
    return ingestor


def _pictures(settings: Settings) -> PictureReader:
    fetcher = Fetcher(settings.image_hosts, max_bytes=settings.max_image_bytes)
    return PictureReader(fetcher, max_bytes=settings.max_image_bytes, max_pixels=settings.max_image_pixels)


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
