"""Everything a running process holds, opened in order and closed in reverse."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

from adapters.serving import ServedAdapter
from coldstart.catalog import ItemStore
from coldstart.catalog.backfills import BackfillStore
from coldstart.catalog.experiments import ExperimentStore
from coldstart.catalog.users import Merged, UserStore
from coldstart.dataset import Dataset
from coldstart.entities import ExternalId
from coldstart.errors import Unavailable
from coldstart.experiments.design import Experiment
from coldstart.index import VectorIndex
from coldstart.recommend import Behaviour, Recommender
from coldstart.recommend.arms import Arms
from coldstart.recommend.policy import Policy
from coldstart.settings import Settings
from coldstart.telemetry import Telemetry
from coldstart.users.erasure import Erased, Place, StatePlace, erase
from coldstart.users.profile import Profile
from coldstart.users.readers import Readers
from coldstart.users.state import UserState
from workers.app import ENCODE, INDEX
from workers.backlog import Backlog
from workers.embedded import EmbeddedWorker
from workers.encoding import BatchEncoder
from workers.ingest import Ingestor
from workers.ingestion import open_indexes, open_ingestion, open_store, require_encoders
from workers.models import Models, models_of
from workers.reading import open_reading, tell
from workers.recording import Recorder
from workers.recovery import recover
from workers.relay import Relay
from workers.seeding import Seeded, seed
from workers.steps import Steps
from workers.upkeep import start_upkeep


@dataclass(frozen=True)
class Runtime:
    """A service process: it answers requests, owns the embedded index and, by default, encodes."""

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
        adapter = ServedAdapter.load(settings.adapter_dir, backbone=settings.backbone)
        indexes = open_indexes(stack, settings)
        index = indexes.create(adapter.version, adapter.dim)
        store = open_store(stack, settings)
        recover(settings, store, indexes, index, adapter.version)
        models = models_of(adapter, settings)
        ingestion = open_ingestion(stack, settings, store, index, adapter, models, telemetry)
        reading = open_reading(stack, settings, store, index, adapter, models, telemetry)
        backfills = BackfillStore(settings.catalog_url)
        stack.callback(backfills.close)
        runtime = Runtime(
            settings=settings, telemetry=telemetry, store=store, backfills=backfills, models=models, adapter=adapter,
            index=index, places={"state": StatePlace(reading.state)}, **vars(reading), **vars(ingestion),
        )  # fmt: skip
        start_upkeep(stack, settings, store, indexes, index, adapter, telemetry, wake_index=runtime.wake_index)
        yield runtime
