"""The side of a service that answers readers: what they did and said, and what makes their lists."""

from contextlib import ExitStack, suppress
from dataclasses import dataclass

from adapters.serving import ServedAdapter
from coldstart.bulkhead import Bulkhead
from coldstart.catalog import ItemStore
from coldstart.catalog.experiments import ExperimentStore
from coldstart.catalog.users import UserStore
from coldstart.errors import Unavailable
from coldstart.index import VectorIndex
from coldstart.recommend import Behaviour, LiveBehaviour, Recommender, log_of
from coldstart.recommend.arms import Arms, Served
from coldstart.recommend.floor import Floor
from coldstart.recommend.newcomers import Quota
from coldstart.recommend.policy import Policy
from coldstart.settings import Settings
from coldstart.telemetry import Telemetry
from coldstart.users.readers import Readers
from coldstart.users.state import UserState
from workers.consuming import ConsumerThread
from workers.events import EventConsumer
from workers.models import Models
from workers.periodic import Periodic
from workers.recording import Recorder
from workers.users import at_hand_of, is_alone, open_state

# As many as requests may read at once: only readers that hang keep others from reading.
READ_THREADS = 16


@dataclass(frozen=True)
class Reading:
    """What answers readers within a service process, and takes in what they do."""

    users: UserStore
    readers: Readers
    behaviour: Behaviour
    state: UserState
    recorder: Recorder
    policy: Policy
    recommender: Recommender
    experiments: ExperimentStore
    arms: Arms


def open_reading(
    stack: ExitStack,
    settings: Settings,
    store: ItemStore,
    index: VectorIndex,
    adapter: ServedAdapter,
    models: Models,
    telemetry: Telemetry,
) -> Reading:
    """Open what answers readers, until the stack is closed."""
    bulkhead = _bulkhead(settings)
    state = open_state(stack, settings, log_of(store, bulkhead))
    behaviour = LiveBehaviour(state, store, bulkhead)
    users = UserStore(settings.catalog_url)
    stack.callback(users.close)
    # Half as long: where the store hangs, what is asked for next may be had without it.
    readers = Readers(
        users, encoder=adapter.text_fingerprint, bulkhead=_bulkhead(settings, share=0.5), alone=is_alone(settings)
    )
    recorder = Recorder(store, state, telemetry)
    _consume(stack, settings, recorder, telemetry)
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
        floor=_open_floor(stack, settings, store, index, telemetry),
        policy=policy,
        half_life_s=settings.half_life_days * 86_400.0,
        at_hand=at_hand_of(readers, state),
    )
    experiments = ExperimentStore(settings.catalog_url)
    stack.callback(experiments.close)
    arms = Arms(recommender, experiments, Served(adapter.version, adapter.backbone.kind, policy), telemetry)
    arms.refresh()
    stack.callback(tell, arms)
    following = Periodic("experiments", lambda _: arms.refresh(), every_s=settings.relay_seconds)
    following.start()
    stack.callback(following.stop)
    return Reading(users, readers, behaviour, state, recorder, policy, recommender, experiments, arms)


def tell(shown: Floor | Arms) -> None:
    """What was shown last; where that cannot be told any more, new items are shown a few times more."""
    with suppress(Unavailable):
        shown.refresh()


def _bulkhead(settings: Settings, *, share: float = 1.0) -> Bulkhead | None:
    """Between recommendations and their store: over a network, not at any price in time."""
    if settings.embeds_catalog:
        return None
    threads = READ_THREADS + 1  # and the one request at a time that brings a sentence
    return Bulkhead("database", threads=threads, deadline_s=share * settings.read_deadline_seconds)


def _consume(stack: ExitStack, settings: Settings, recorder: Recorder, telemetry: Telemetry) -> None:
    if settings.kafka_brokers is not None and settings.embedded_consumer:
        consumer = ConsumerThread(EventConsumer(settings, recorder, telemetry))
        consumer.start()
        stack.callback(consumer.stop)


def _open_floor(
    stack: ExitStack, settings: Settings, store: ItemStore, index: VectorIndex, telemetry: Telemetry
) -> Floor:
    quota = Quota(impressions=settings.newcomer_impressions, window_s=settings.newcomer_days * 86_400)
    floor = Floor(store, index, quota)
    floor.refresh()
    stack.callback(tell, floor)
    refresh = Periodic("floor", lambda _: telemetry.owed.set(floor.refresh()), every_s=settings.relay_seconds)
    refresh.start()
    stack.callback(refresh.stop)
    return floor
