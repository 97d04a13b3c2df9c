"""Events doubled, shuffled, of skewed clocks, and a consumer that is killed: whether the state is as if all went well.

``python -m benchmarks.event_faults`` delivers 100,000 events one to five times each in random order, a twentieth of
them ahead of the server's clock, and compares the state of every user, in memory and in Redis, with that of one
delivery in order. Then ``coldstart consume`` is killed with SIGKILL 100 times while it takes events from a broker of
the Kafka protocol; what the log, the counts of popularity and the state in Redis hold in the end is compared with what
was sent. Ends with one JSON line.
"""

import random
import sqlite3
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks import command, kafka, processes, traffic
from coldstart.catalog import ItemStore
from coldstart.catalog.statements import chunks
from coldstart.catalog.store import SqlItemStore
from coldstart.entities import Event, ExternalId
from coldstart.kinds import POPULAR
from coldstart.recommend import log_of
from coldstart.settings import Settings
from coldstart.telemetry import Telemetry
from coldstart.users.memory import MemoryState
from coldstart.users.shared import RedisState, open_redis
from coldstart.users.state import LogState, UserState, digest
from workers.recording import Recorder

SKEW_S, AHEAD = 3600.0, 0.05
PER_KILL = 600
SESSION_S = 0.3
PATIENCE_S = 60.0
TOPIC = "events"
KINDS = ("click", "view", "purchase", "dislike", "impression", "of one's own")


@dataclass(frozen=True)
class Figures:
    """What became of the events.

    ``lost``: sent to the broker and not in the log. ``double``: counted more often than once in popularity.
    ``unfinished``: on the broker and not in the log when the consumer was killed, summed over the kills.
    """

    events: int
    deliveries: int
    memory_equal: bool
    redis_equal: bool
    kills: int
    sent: int
    unfinished: int
    lost: int
    double: int
    state_equal: bool
    seconds: float


def main() -> None:
    """Run and print."""
    parser = command.parser(__doc__, quick="5,000 events and 5 kills")
    parser.add_argument("--events", type=int, default=100_000, help="events to shuffle (100,000)")
    parser.add_argument("--kills", type=int, default=100, help="how often the consumer is killed (100)")
    parser.add_argument("--seed", type=int, default=0, help="of events, order and moments (0)")
    options = parser.parse_args()
    processes.end_on_sigterm()
    events, kills = (5_000, 5) if options.quick else (options.events, options.kills)
    with tempfile.TemporaryDirectory(prefix="coldstart-events-") as folder:
        command.tell(run(Path(folder), events=events, kills=kills, seed=options.seed))


def run(folder: Path, *, events: int, kills: int, seed: int) -> Figures:
    """Both parts, with servers of their own."""
    started = time.perf_counter()
    now = time.time()
    happened = history(events, now=now, seed=seed)
    order = np.random.default_rng(seed).permutation(
        np.repeat(np.arange(events), np.random.default_rng(seed + 1).integers(1, 6, events))
    )
    with processes.redis_server() as redis:
        clean = _states(folder / "clean", redis.url(), happened, now=now)
        shuffled = _states(folder / "shuffled", redis.url(), [happened[row] for row in order], now=now)
    with ExitStack() as stack:
        broker, redis = stack.enter_context(kafka.kafka_server()), stack.enter_context(processes.redis_server())
        broker.create(**{TOPIC: 3, f"{TOPIC}_dead": 1})
        settings = Settings(data_dir=folder / "killed", redis_url=redis.url(), kafka_brokers=broker.brokers)
        sent = history((kills + 1) * PER_KILL, now=now - 2 * SKEW_S, seed=seed + 2)
        unfinished, lost, double, state_equal = _killed(stack, settings, sent, kills=kills, seed=seed)
    return Figures(
        events=events,
        deliveries=len(order),
        memory_equal=clean[0] == shuffled[0] == shuffled[2],
        redis_equal=clean[1] == shuffled[1] == shuffled[2],
        kills=kills,
        sent=len(sent),
        unfinished=unfinished,
        lost=lost,
        double=double,
        state_equal=state_equal,
        seconds=round(time.perf_counter() - started, 1),
    )


def history(number: int, *, now: float, seed: int) -> list[Event]:
    """Events in the order in which they happened, by clocks up to an hour wrong; some say a time after ``now``."""
    rng = np.random.default_rng(seed)
    times = now - SKEW_S - np.sort(rng.random(number))[::-1] * 30 * 86_400 + rng.uniform(-SKEW_S, SKEW_S, number)
    times = np.where(rng.random(number) < AHEAD, now + rng.random(number) * SKEW_S, times)
    users, items = rng.integers(0, max(number // 50, 1), number), rng.zipf(1.3, number) % 1000
    return [
        Event(f"{rng.integers(1 << 60):x}", f"user-{user}", f"item-{item}", float(at), KINDS[kind])
        for user, item, at, kind in zip(users, items, times, rng.integers(0, len(KINDS), number), strict=True)
    ]


def _states(folder: Path, redis_url: str, deliveries: Sequence[Event], *, now: float) -> tuple[str, str, str]:
    """Digests of the states in memory and in Redis after the deliveries, every user at hand before, and of the log."""
    users = {event.user_id for event in deliveries}
    clock = lambda: now  # noqa: E731
    with (
        closing(SqlItemStore(f"sqlite:///{folder}/catalog.sqlite3", clock=clock)) as store,
        open_redis(redis_url) as redis,
    ):
        redis.flushall()
        states: list[UserState] = [MemoryState(log_of(store), max_events=1 << 60), RedisState(redis, log_of(store))]
        for state in states:
            digest(state, users)
        recorder = Recorder(store, _Both(states), Telemetry())
        for part in chunks(deliveries):
            recorder.record(part)
        memory, shared, log = (digest(state, users) for state in (*states, LogState(log_of(store))))
        return memory, shared, log


class _Both:
    """Several states that are told the same."""

    def __init__(self, states: Sequence[UserState]) -> None:
        self._states = states

    def apply(self, events: Sequence[Event]) -> None:
        for state in self._states:
            state.apply(events)

    def recent(self, user_id: ExternalId, *, limit: int) -> list[Event]:
        return self._states[0].recent(user_id, limit=limit)

    def forget(self, user_ids: Sequence[ExternalId]) -> None:
        for state in self._states:
            state.forget(user_ids)

    def held(self, user_ids: Sequence[ExternalId]) -> int:
        """See `UserState.held`."""
        return self._states[0].held(user_ids)


def _killed(
    stack: ExitStack, settings: Settings, sent: Sequence[Event], *, kills: int, seed: int
) -> tuple[int, int, int, bool]:
    """Events unfinished at the kills, lost, counted twice; and whether the state in Redis is that of what was sent."""
    moments, users = random.Random(seed), {event.user_id for event in sent}
    store = stack.enter_context(closing(SqlItemStore(settings.catalog_url)))
    state = RedisState(stack.enter_context(open_redis(settings.redis_url or "")), log_of(store))
    digest(state, users)
    flags = [
        "--data-dir", str(settings.data_dir), "--redis-url", settings.redis_url or "",
        "--kafka-brokers", settings.kafka_brokers or "", "--kafka-topic", TOPIC,
        "--kafka-dead-letter-topic", f"{TOPIC}-dead", "--kafka-session-seconds", str(SESSION_S),
    ]  # fmt: skip
    unfinished = 0
    file = stack.enter_context(closing(sqlite3.connect(settings.data_dir / "catalog.sqlite3")))

    def logged() -> int:
        return int(file.execute("SELECT count(*) FROM events").fetchone()[0])

    with traffic.Producer(settings.kafka_brokers or "", TOPIC) as producer:
        for life in range(kills + 1):
            producer.send(sent[life * PER_KILL : (life + 1) * PER_KILL])
            before = logged()
            with processes.consumer(flags, settings.data_dir / f"consumer-{life}.log") as consumer:
                if life < kills:
                    consumer.wait_until(partial(_exceeds, logged, before), seconds=PATIENCE_S, what="an event")
                    time.sleep(moments.random() * 0.05)
                    consumer.kill()
                    unfinished += (life + 1) * PER_KILL - logged()
                else:
                    consumer.wait_until(lambda: logged() == len(sent), seconds=PATIENCE_S, what="every event")
    counted, expected = dict(store.popular(limit=1 << 30)), Counter(e.item_id for e in sent if e.kind in POPULAR)
    double = sum(max(0, times - expected[item]) for item, times in counted.items())
    return unfinished, len(sent) - _known(store, sent), double, digest(state, users) == digest(_Told(sent), users)


def _exceeds(count: Callable[[], int], before: int) -> bool:
    return count() > before


def _known(store: ItemStore, sent: Sequence[Event]) -> int:
    """How many of the events are in the log, each as it was sent."""
    found: dict[str, list[Event]] = defaultdict(list)
    for event in sent:
        found[event.user_id].append(event)
    return sum(len(set(store.recent_events(user_id, limit=1 << 30)) & set(events)) for user_id, events in found.items())


class _Told(LogState):
    """The state of the events as they were sent: sorted, and nothing else."""

    def __init__(self, events: Sequence[Event]) -> None:
        from coldstart.users.state import STATE_EVENTS, personal, place

        histories: dict[ExternalId, list[Event]] = defaultdict(list)
        for event in personal(events):
            histories[event.user_id].append(event)
        super().__init__(lambda user_id: sorted(histories[user_id], key=place)[: -STATE_EVENTS - 1 : -1])


if __name__ == "__main__":
    main()
