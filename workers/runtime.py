"""Everything a running process holds, opened in order and closed in reverse."""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

from celery import Celery
from celery.signals import worker_process_shutdown

from adapters.serving import ServedAdapter
from coldstart.bulkhead import Bulkhead
from coldstart.catalog import ItemStore, Stage, Status, open_item_store
from coldstart.catalog.experiments import ExperimentStore
from coldstart.catalog.users import Merged, UserStore
from coldstart.dataset import Dataset
from coldstart.encoders.fetch import Fetcher
from coldstart.entities import ExternalId
from coldstart.errors import InvalidInput, Unavailable
from coldstart.experiments.design import Experiment
from coldstart.index import IndexStore, VectorIndex, index_store_of
from coldstart.recommend import Behaviour, LiveBehaviour, Recommender, log_of
from coldstart.recommend.arms import Arms, Served
from coldstart.recommend.floor import Floor
from coldstart.recommend.newcomers import Quota
from coldstart.recommend.policy import Policy
from coldstart.settings import Settings
from coldstart.telemetry import Telemetry
from coldstart.users.erasure import Erased, Place, StatePlace, erase
from coldstart.users.readers import Readers
from coldstart.users.state import UserState
from workers.app import ENCODE, INDEX, QUEUES, is_in_process, make_app
from workers.backlog import Backlog
from workers.consuming import ConsumerThread
from workers.drift import watch_drift
from workers.embedded import EmbeddedWorker
from workers.encoding import BatchEncoder
from workers.events import EventConsumer
from workers.graduation import graduate_clicked
from workers.ingest import Ingestor
from workers.isolation import Lazy
from workers.models import Models, models_of
from workers.periodic import Periodic
from workers.pictures import PictureReader
from workers.reconcile import bury, log, reconcile
from workers.recording import Recorder
from workers.relay import Relay
from workers.seeding import Seeded, seed
from workers.steps import Steps
from workers.tasks import register, wake
from workers.users import open_state

_log = logging.getLogger(__name__)
# As many as requests may read at once: only readers that hang keep others from reading.
READ_THREADS = 16
DRIFT_SECONDS = 60.0
_STAGES = {ENCODE: Stage.ENCODE, INDEX: Stage.INDEX}


@dataclass(frozen=True)
class Runtime:
    """A service process: it answers requests, owns the embedded index and, by default, encodes."""

    settings: Settings
    telemetry: Telemetry
    store: ItemStore
    users: UserStore
    readers: Readers
    places: Mapping[str, Place]
    behaviour: Behaviour
    state: UserState
    recorder: Recorder
    models: Models
    adapter: ServedAdapter
    encoder: BatchEncoder
    index: VectorIndex
    policy: Policy
    recommender: Recommender
    experiments: ExperimentStore
    arms: Arms
    ingestor: Ingestor
    backlog: Backlog
    relay: Relay
    worker: EmbeddedWorker
    steps: Steps

    def wake(self) -> None:
        """Say that something was accepted; returns at once and never raises."""
        self.relay.wake(ENCODE)

    def wake_index(self) -> None:
        """Say that something was deleted; returns at once and never raises."""
        self.relay.wake(INDEX)

    def start_experiment(self, experiment_id: ExternalId) -> Experiment:
        """Let a draft run that this service can serve, at once in this process and within a second in others."""
        self.arms.served.require(self.experiments.get(experiment_id))
        started = self.experiments.start(experiment_id)
        _tell(self.arms)
        return started

    def stop_experiment(self, experiment_id: ExternalId) -> Experiment:
        """End an experiment, likewise."""
        stopped = self.experiments.stop(experiment_id)
        _tell(self.arms)
        return stopped

    def seed(self, dataset: Dataset | None = None, *, stopping: Callable[[], bool] = lambda: False) -> Seeded:
        """Bring in the items of the backbone and the data set (`workers.seeding.seed`); they are retrievable soon."""
        seeded = seed(self.store, self.adapter, dataset, stopping=stopping)
        self.wake_index()
        self.wake()
        return seeded

    def merge(self, source: ExternalId, *, into: ExternalId) -> Merged:
        """Make two users one (`UserStore.merge`); lists know at once."""
        merged = self.users.merge(source, into=into)
        with suppress(Unavailable):  # then the state lets go of them by itself, as soon as it can
            self.state.forget([source, merged.user_id])
        return merged

    def erase(self, user_id: ExternalId) -> Erased:
        """Erase every trace of a person (`coldstart.users.erasure.erase`), and look afterwards."""
        erased = erase(user_id, self.users, self.places)
        self.readers.look()
        return erased

    def warm_up(self) -> None:
        """Encode, adapt and query once, whatever that loads; raises what would keep a request from being answered."""
        vectors = self.encoder.warm_up()
        self.index.query(vectors, 1)


@contextmanager
def open_runtime(settings: Settings) -> Iterator[Runtime]:
    """The service process on these settings, its worker and relay running.

    Raises
    ------
    NotFound
        Where there is no adapter yet.
    Conflict
        Where another process owns the data folder, or the adapter does not fit its backbone.
    InvalidInput
        Where neither this process nor any other could encode.
    """
    if is_in_process(settings.broker_url) and not settings.embedded_worker:
        raise InvalidInput(
            "nobody would encode: this process is not to, and no other can reach its broker", subject="embedded_worker",
            remedy="Set COLDSTART_BROKER_URL to redis://... or amqp://... for service and workers",
        )  # fmt: skip
    telemetry = Telemetry()
    with ExitStack() as stack:
        adapter = ServedAdapter.load(settings.adapter_dir, backbone=settings.backbone)
        indexes = _open_indexes(stack, settings)
        index = indexes.create(adapter.version, adapter.dim)
        store = _open_store(stack, settings)
        _recover(settings, store, indexes, index, adapter.version)
        models = models_of(adapter, settings)
        encoder = BatchEncoder(adapter, models, _pictures(settings))
        ingestor = _ingestor(settings, store, index, encoder, telemetry)
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
        bulkhead = _bulkhead(settings)
        state = open_state(stack, settings, log_of(store, bulkhead))
        behaviour = LiveBehaviour(state, store, bulkhead)
        users = UserStore(settings.catalog_url)
        stack.callback(users.close)
        # Half as long: where the store hangs, what is asked for next may be had without it.
        readers = Readers(users, encoder=adapter.text_fingerprint, bulkhead=_bulkhead(settings, share=0.5))

        def compare(stopping: Callable[[], bool]) -> None:
            log(reconcile(store, index, adapter_version=adapter.version, stopping=stopping))

        def move(stopping: Callable[[], bool]) -> None:
            if graduate_clicked(store, adapter, telemetry, stopping=stopping):
                relay.wake(INDEX)

        recorder = Recorder(store, state, telemetry)
        if settings.kafka_brokers is not None and settings.embedded_consumer:
            consumer = ConsumerThread(EventConsumer(settings, recorder, telemetry))
            consumer.start()
            stack.callback(consumer.stop)
        floor = Floor(store, index, _quota(settings))
        floor.refresh()
        stack.callback(_tell, floor)
        for periodic in (
            *_graduation(move, settings),
            Periodic("reconcile", compare, every_s=settings.reconcile_seconds),
            Periodic("floor", lambda _: telemetry.owed.set(floor.refresh()), every_s=settings.relay_seconds),
            Periodic("drift", lambda _: watch_drift(store, adapter, telemetry), every_s=DRIFT_SECONDS),
        ):
            periodic.start()
            stack.callback(periodic.stop)
        policy = Policy(cold_share=settings.cold_share, diversity=settings.diversity)
        recommender = Recommender(
            index=index,
            users=adapter,
            store=behaviour,
            reader_of=readers.reader_of,
            encode_preferences=models.embed_sentence,
            trained_clicks=adapter.clicks_by_item,
            adapter_version=adapter.version,
            telemetry=telemetry,
            floor=floor,
            policy=policy,
            half_life_s=settings.half_life_days * 86_400.0,
        )
        experiments = ExperimentStore(settings.catalog_url)
        stack.callback(experiments.close)
        served = Served(adapter.version, adapter.backbone.kind, policy)
        arms = Arms(recommender, experiments, served, telemetry)
        arms.refresh()
        stack.callback(_tell, arms)
        following = Periodic("experiments", lambda _: arms.refresh(), every_s=settings.relay_seconds)
        following.start()
        stack.callback(following.stop)
        yield Runtime(
            settings=settings, telemetry=telemetry, store=store, users=users, readers=readers,
            places={"state": StatePlace(state)}, behaviour=behaviour, state=state, recorder=recorder, models=models,
            adapter=adapter, encoder=encoder, index=index, policy=policy, recommender=recommender,
            experiments=experiments, arms=arms, ingestor=ingestor, backlog=backlog, relay=relay, worker=worker,
            steps=steps,
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


def _open_ingestor(settings: Settings, adapter: ServedAdapter) -> Ingestor:
    """What a worker's child holds until it ends."""
    stack = ExitStack()
    index = None
    if settings.qdrant_url:
        index = _open_indexes(stack, settings).create(adapter.version, adapter.dim)
    store = _open_store(stack, settings)
    worker_process_shutdown.connect(lambda **_: stack.close(), weak=False)
    encoder = BatchEncoder(adapter, models_of(adapter, settings), _pictures(settings))
    return _ingestor(settings, store, index, encoder, Telemetry())


def _open_indexes(stack: ExitStack, settings: Settings) -> IndexStore:
    indexes = index_store_of(settings)
    stack.callback(indexes.close)
    return indexes


def _open_store(stack: ExitStack, settings: Settings) -> ItemStore:
    store = open_item_store(settings.catalog_url)
    stack.callback(store.close)
    return store


def _bulkhead(settings: Settings, *, share: float = 1.0) -> Bulkhead | None:
    """Between recommendations and their store: over a network, not at any price in time."""
    if settings.embeds_catalog:
        return None
    threads = READ_THREADS + 1  # and the one request at a time that brings a sentence
    return Bulkhead("database", threads=threads, deadline_s=share * settings.read_deadline_seconds)


def _recover(settings: Settings, store: ItemStore, indexes: IndexStore, index: VectorIndex, version: str) -> None:
    """Put right what a killed process, a new adapter or a lost index left behind."""
    owns_index = settings.qdrant_url is None  # then no other service runs on this catalogue
    alone_at = {Stage.INDEX: owns_index, Stage.ENCODE: owns_index and is_in_process(settings.broker_url)}
    for stage in (stage for stage, alone in alone_at.items() if alone):
        if leases := store.expire_leases(stage):
            _log.warning("taken over from a process that died", extra={"stage": stage, "items": leases})
    if items := store.requeue(Stage.ENCODE, adapter_version=version):
        _log.warning("to be encoded for another adapter", extra={"items": items, "adapter_version": version})
    # In this order: other processes may be at work, and what they make retrievable is in the index before.
    retrievable = store.counts()[Status.RETRIEVABLE]
    if indexes.live() != version and index.count():
        # A collection from before another adapter was served still holds what has been deleted since.
        bury(store, index, adapter_version=version)
    if indexes.live() != version or index.count() < retrievable:
        if items := store.requeue(Stage.INDEX, adapter_version=version):
            _log.warning("to be written again to an index that missed or lost it", extra={"items": items})
        indexes.promote(version)


def _graduation(move: Callable[[Callable[[], bool]], None], settings: Settings) -> list[Periodic]:
    if settings.graduation_seconds == 0:
        return []
    return [Periodic("graduation", move, every_s=settings.graduation_seconds)]


def _tell(shown: Floor | Arms) -> None:
    """What was shown last; where that cannot be told any more, new items are shown a few times more."""
    with suppress(Unavailable):
        shown.refresh()


def _quota(settings: Settings) -> Quota:
    return Quota(impressions=settings.newcomer_impressions, window_s=settings.newcomer_days * 86_400)


def _pictures(settings: Settings) -> PictureReader:
    fetcher = Fetcher(settings.image_hosts, max_bytes=settings.max_image_bytes)
    return PictureReader(fetcher, max_bytes=settings.max_image_bytes, max_pixels=settings.max_image_pixels)


def _ingestor(
    settings: Settings, store: ItemStore, index: VectorIndex | None, encoder: BatchEncoder, telemetry: Telemetry
) -> Ingestor:
    return Ingestor(
        store=store,
        index=index,
        encoder=encoder,
        telemetry=telemetry,
        batch=settings.claim_batch,
        lease_s=settings.lease_seconds,
        max_attempts=settings.max_attempts,
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
