"""Everything a running process holds, opened in order and closed in reverse."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from threadpoolctl import threadpool_limits

from adapters.serving import ServedAdapter
from coldstart.catalog import ItemStore
from coldstart.catalog.adapters import AdapterRecord, AdapterStore
from coldstart.catalog.backfills import BackfillStore
from coldstart.catalog.experiments import ExperimentStore
from coldstart.catalog.users import Merged, UserStore
from coldstart.dataset import Dataset
from coldstart.entities import ExternalId, Recommendation
from coldstart.errors import Unavailable
from coldstart.experiments.design import Experiment
from coldstart.index import VectorIndex
from coldstart.recommend import Behaviour, RecommendationList, Recommender, Request
from coldstart.recommend.arms import Arms, Assignment
from coldstart.recommend.policy import Policy
from coldstart.settings import Settings
from coldstart.telemetry import Telemetry
from coldstart.users.erasure import Erased, Place, StatePlace, erase
from coldstart.users.profile import Profile
from coldstart.users.readers import Readers
from coldstart.users.state import UserState
from workers.ahead import Ahead
from workers.app import ENCODE, INDEX
from workers.backlog import Backlog
from workers.choosing import identify, open_adapter
from workers.duty import Duty, open_duty
from workers.embedded import EmbeddedWorker
from workers.encoding import BatchEncoder
from workers.generation import Kept, Workshop, keep_fresh, tell
from workers.holding import Holder
from workers.ingestion import Ingestion, open_indexes, open_ingestion, open_store, require_encoders
from workers.lifecycle import Lifecycle
from workers.models import Models, models_of
from workers.periodic import Periodic, keep_up
from workers.reading import open_reading
from workers.recording import Recorder
from workers.recovery import recover
from workers.relay import Relay
from workers.seeding import Seeded, seed
from workers.steps import Steps
from workers.upkeep import start_upkeep


@dataclass(frozen=True)
class Runtime:
    """A service process: it answers requests, owns the embedded index and, by default, encodes.

    What belongs to an adapter version is that of the live one at the moment that it is asked for. A request asks once:
    `recommend` and `similar` answer by one version, whatever is promoted meanwhile.
    """

    settings: Settings
    telemetry: Telemetry
    store: ItemStore
    backfills: BackfillStore
    users: UserStore
    readers: Readers
    places: Mapping[str, Place]
    behaviour: Behaviour
    state: UserState
    recorder: Recorder
    models: Models
    policy: Policy
    experiments: ExperimentStore
    backlog: Backlog
    relay: Relay
    worker: EmbeddedWorker
    steps: Steps
    adapters: AdapterStore
    kept: Holder[Kept]
    lifecycle: Lifecycle
    duty: Duty

    @property
    def adapter(self) -> ServedAdapter:
        """The live version's."""
        return self.kept.value.live.adapter

    @property
    def encoder(self) -> BatchEncoder:
        """The live version's."""
        return self.kept.value.live.encoder

    @property
    def index(self) -> VectorIndex:
        """The live version's."""
        return self.kept.value.live.index

    @property
    def recommender(self) -> Recommender:
        """The live version's."""
        return self.kept.value.live.recommender

    @property
    def arms(self) -> Arms:
        """The live version's."""
        return self.kept.value.live.arms

    def recommend(
        self, request: Request, *, unit: ExternalId | None = None, at_hand: bool = False
    ) -> tuple[RecommendationList, tuple[Assignment, ...]]:
        """`Arms.recommend` of the live version."""
        with self.kept.use() as now:
            return now.live.arms.recommend(request, unit=unit, at_hand=at_hand)

    def similar(self, item_id: ExternalId, limit: int) -> tuple[list[Recommendation], str]:
        """`Recommender.similar` of the live version, and which that is."""
        with self.kept.use() as now:
            return now.live.recommender.similar(item_id, limit), now.live.version

    def register(self, folder: Path) -> AdapterRecord:
        """Take in the adapter of a folder; it is projected in the background, and then ready to be promoted."""
        adapter = ServedAdapter.load(folder, backbone=self.settings.backbone)
        registered = self.adapters.register(identify(adapter, folder))
        self.lifecycle.follow()
        return registered

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
        tell(self.arms)
        return started

    def stop_experiment(self, experiment_id: ExternalId) -> Experiment:
        """End an experiment, likewise."""
        stopped = self.experiments.stop(experiment_id)
        tell(self.arms)
        return stopped

    def seed(self, dataset: Dataset | None = None, *, stopping: Callable[[], bool] = lambda: False) -> Seeded:
        """Bring in the items of the backbone and the data set (`workers.seeding.seed`); they are retrievable soon."""
        seeded = seed(self.store, self.adapter, dataset, stopping=stopping)
        self.wake_index()
        self.wake()
        return seeded

    def put_profile(self, user_id: ExternalId, profile: Profile) -> float:
        """Store what a user says (`UserStore.put`); lists know at once."""
        stored_at = self.users.put(user_id, profile)
        self.readers.forget([user_id])
        return stored_at

    def merge(self, source: ExternalId, *, into: ExternalId) -> Merged:
        """Make two users one (`UserStore.merge`); lists know at once."""
        merged = self.users.merge(source, into=into)
        self.readers.forget([source, merged.user_id])
        with suppress(Unavailable):  # then the state lets go of them by itself, as soon as it can
            self.state.forget([source, merged.user_id])
        return merged

    def erase(self, user_id: ExternalId) -> Erased:
        """Erase every trace of a person (`coldstart.users.erasure.erase`), and look afterwards."""
        try:
            erased = erase(user_id, self.users, self.places)
        finally:  # also of an erasure that is broken off and will be taken up again
            self.readers.forget([user_id])
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
    require_encoders(settings)
    telemetry = Telemetry()
    with ExitStack() as stack:
        # BLAS' other threads go on looking for work after each product, and so take a processor from everybody else.
        stack.enter_context(threadpool_limits(settings.threads, "blas"))
        registry = AdapterStore(settings.catalog_url)
        stack.callback(registry.close)
        chosen = open_adapter(settings, registry)
        adapter = chosen.adapter
        indexes = open_indexes(stack, settings)
        index = indexes.create(adapter.version, adapter.dim)
        store = open_store(stack, settings)
        recover(settings, store, indexes, index, adapter.version, chosen.readable, missed_nothing=chosen.kept)
        models = models_of(adapter, settings, telemetry)
        reading = open_reading(stack, settings, store, telemetry, text_encoder=adapter.text_fingerprint)
        ahead = Ahead()
        stack.callback(ahead.give_back, store)
        duty = open_duty(stack, settings)
        workshop = Workshop(settings, store, indexes, models, reading, telemetry, ahead)
        kept = Holder(Kept(workshop.make(adapter), readable=chosen.readable))
        lifecycle = Lifecycle(
            registry=registry, indexes=indexes, store=store, kept=kept, make=workshop.make, telemetry=telemetry,
            backbone=settings.backbone, graph_points=settings.graph_points, settle_s=2 * settings.relay_seconds,
            mine=duty.mine,
        )  # fmt: skip
        lifecycle.follow()  # before anything is taken in: what is kept beside is to miss nothing
        ingestion = _open_ingestion(stack, settings, store, kept, telemetry)
        backfills = BackfillStore(settings.catalog_url)
        stack.callback(backfills.close)
        keep_fresh(stack, settings, kept, telemetry)
        runtime = Runtime(
            settings=settings, telemetry=telemetry, store=store, backfills=backfills, models=models, adapters=registry,
            kept=kept, lifecycle=lifecycle, duty=duty, places={"state": StatePlace(reading.state)}, **vars(reading),
            **vars(ingestion),
        )  # fmt: skip
        start_upkeep(stack, settings, store, indexes, kept, telemetry, wake_index=runtime.wake_index, mine=duty.mine)
        _follow(stack, settings, lifecycle)
        yield runtime


def _open_ingestion(
    stack: ExitStack, settings: Settings, store: ItemStore, kept: Holder[Kept], telemetry: Telemetry
) -> Ingestion:
    """A batch is taken in for the versions that are kept when it begins."""

    def encode_due() -> int:
        with kept.use() as now:
            return now.live.ingestor.encode_due(now.spaces)

    def apply_due() -> int:
        with kept.use() as now:
            return now.live.ingestor.apply_due(now.spaces, now.readable)

    return open_ingestion(
        stack, settings, store, telemetry,
        open_encoder=lambda: kept.value.live.encoder.open(), encode_due=encode_due, apply_due=apply_due,
    )  # fmt: skip


def _follow(stack: ExitStack, settings: Settings, lifecycle: Lifecycle) -> None:
    """Follow what is said of adapters; what takes time has a thread of its own."""
    following = Periodic("adapters", lambda _: lifecycle.follow(), every_s=settings.relay_seconds)
    projecting = Periodic("projecting", lifecycle.work, every_s=settings.relay_seconds)
    keep_up(stack, [following, projecting])
