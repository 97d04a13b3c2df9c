"""The side of a service that answers readers: what they did and said, and what makes their lists."""

from contextlib import ExitStack
from dataclasses import dataclass

from coldstart.bulkhead import Bulkhead
from coldstart.catalog import ItemStore
from coldstart.catalog.experiments import ExperimentStore
from coldstart.catalog.users import UserStore
from coldstart.recommend import Behaviour, LiveBehaviour, log_of
from coldstart.recommend.policy import Policy
from coldstart.settings import Settings
from coldstart.telemetry import Telemetry
from coldstart.users.readers import Readers
from coldstart.users.state import UserState
from workers.consuming import ConsumerThread
from workers.events import EventConsumer
from workers.recording import Recorder
from workers.users import is_alone, open_state

# As many as requests may read at once: only readers that hang keep others from reading.
READ_THREADS = 16


@dataclass(frozen=True)
class Reading:
    """What answers readers within a service process whatever adapter is served, and takes in what they do."""

    users: UserStore
    readers: Readers
    behaviour: Behaviour
    state: UserState
    recorder: Recorder
    policy: Policy
    experiments: ExperimentStore


def open_reading(
    stack: ExitStack, settings: Settings, store: ItemStore, telemetry: Telemetry, *, text_encoder: str
) -> Reading:
    """Open what answers readers, until the stack is closed; ``text_encoder`` is the fingerprint of what reads them."""
    bulkhead = _bulkhead(settings)
    state = open_state(stack, settings, log_of(store, bulkhead))
    behaviour = LiveBehaviour(state, store, bulkhead)
    users = UserStore(settings.catalog_url)
    stack.callback(users.close)
    # Half as long: where the store hangs, what is asked for next may be had without it.
    readers = Readers(users, encoder=text_encoder, bulkhead=_bulkhead(settings, share=0.5), alone=is_alone(settings))
    recorder = Recorder(store, state, telemetry)
    _consume(stack, settings, recorder, telemetry)
    policy = Policy(cold_share=settings.cold_share, diversity=settings.diversity)
    experiments = ExperimentStore(settings.catalog_url)
    stack.callback(experiments.close)
    return Reading(users, readers, behaviour, state, recorder, policy, experiments)


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
