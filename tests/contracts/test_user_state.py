"""What every user state promises: in this process, in a real Redis, and straight from the log of a real store."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from redis import Redis

from coldstart.catalog import ItemStore, open_item_store
from coldstart.entities import Event, ExternalId
from coldstart.errors import Unavailable
from coldstart.recommend import log_of
from coldstart.users.erasure import StatePlace
from coldstart.users.memory import MemoryState
from coldstart.users.shared import RedisState, open_redis
from coldstart.users.state import STATE_EVENTS, Load, LogState, UserState, digest
from tests import servers

Opener = Callable[[Load], UserState]


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    with servers.redis() as url:
        yield url


@pytest.fixture(params=["memory", "redis", "log"])
def opened(request: pytest.FixtureRequest) -> Iterator[Opener]:
    """Makes a state, as in a process of its own; those in Redis share one that is empty at first."""
    with ExitStack() as stack:

        def in_redis(load: Load) -> UserState:
            redis = open_redis(request.getfixturevalue("redis_url"))
            stack.callback(redis.close)
            return RedisState(redis, load)

        match request.param:
            case "memory":
                yield MemoryState
            case "redis":
                with Redis.from_url(request.getfixturevalue("redis_url")) as redis:
                    redis.flushall()
                yield in_redis
            case _:
                yield LogState


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ItemStore]:
    store = open_item_store(f"sqlite:///{tmp_path}/catalog.sqlite3")
    yield store
    store.close()


@pytest.fixture
def state(opened: Opener, store: ItemStore) -> UserState:
    return opened(log_of(store))


def record(store: ItemStore, state: UserState, *events: Event) -> None:
    state.apply(store.record_events(events).events)


def ids(events: Sequence[Event]) -> list[str]:
    return [event.event_id for event in events]


def history(number: int, *, users: int = 1, seed: int = 0) -> list[Event]:
    """Events in the order in which they happened; many at the same time."""
    rng = np.random.default_rng(seed)
    kinds = ["click", "view", "purchase", "dislike", "impression", "a kind of one's own"]
    times = np.sort(rng.integers(0, max(number // 4, 1), number)) + rng.choice([0.0, 0.1, 1 / 3], number)
    return [
        Event(f"{rng.integers(1 << 40)}-{n}", f"u{n % users}", f"i{n % 97}", float(time), str(rng.choice(kinds)))
        for n, time in enumerate(times)
    ]


def test_the_latest_events_come_newest_first(state: UserState, store: ItemStore) -> None:
    events = [Event(f"e{n}", "u", f"i{n}", float(n), "purchase") for n in range(5)]
    assert state.recent("u", limit=9) == []
    record(store, state, *events, Event("other", "somebody else", "i", 9.0))
    assert state.recent("u", limit=9) == events[::-1]
    assert state.recent("u", limit=2) == events[:2:-1]
    assert state.recent("nobody", limit=9) == []


def test_late_events_take_their_place_and_repeated_ones_change_nothing(state: UserState, store: ItemStore) -> None:
    early, late, new = Event("z", "u", "a", 1.0), Event("b", "u", "a", 2.0), Event("a", "u", "a", 3.0)
    state.recent("u", limit=1)
    for event in (new, early, late, early, new):
        record(store, state, event)
    assert ids(state.recent("u", limit=9)) == ["a", "b", "z"]


def test_events_of_one_time_are_in_the_order_of_the_bytes_of_their_ids(state: UserState, store: ItemStore) -> None:
    names = ["a", "B", "_", "é", "z", "\U0001f600", "a-b", "ab", " ", "\x01"]
    state.recent("u", limit=1)
    record(store, state, *(Event(name, "u", "ü/\U0001f600 \n", 1.0, "né") for name in names if name.strip()))
    expected = sorted((name for name in names if name.strip()), key=str.encode, reverse=True)
    assert ids(state.recent("u", limit=99)) == expected
    assert {(event.item_id, event.kind) for event in state.recent("u", limit=99)} == {("ü/\U0001f600 \n", "né")}


def test_of_too_many_the_oldest_go_whatever_the_order_of_arrival(state: UserState, store: ItemStore) -> None:
    events = [Event(f"{n}", "u", "i", float(n)) for n in range(STATE_EVENTS + 50)]
    state.recent("u", limit=1)
    record(store, state, *events[100:])
    record(store, state, *events[:100])
    kept = state.recent("u", limit=2 * STATE_EVENTS)
    assert kept == events[: -STATE_EVENTS - 1 : -1]


def test_what_says_nothing_of_a_user_takes_no_room(state: UserState, store: ItemStore) -> None:
    state.recent("u", limit=1)
    shown = [Event(f"s{n}", "u", "i", 5.0 + n, "impression") for n in range(30)]
    record(store, state, Event("c", "u", "i", 1.0), *shown)
    assert ids(state.recent("u", limit=9)) == ["c"]


def test_a_state_that_begins_anew_knows_what_the_log_knows(state: UserState, opened: Opener, store: ItemStore) -> None:
    events = history(300, users=7)
    users = {event.user_id for event in events}
    record(store, state, *events)
    assert digest(opened(log_of(store)), users) == digest(state, users)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_repeated_and_shuffled_deliveries_end_in_the_state_of_a_clean_run(
    opened: Opener, tmp_path: Path, seed: int
) -> None:
    events, users, rng = history(2500, users=11, seed=seed), [f"u{n}" for n in range(11)], np.random.default_rng(seed)
    deliveries = rng.permutation(np.repeat(np.arange(len(events)), rng.integers(1, 6, len(events))))
    digests = []
    for name, order in (("clean", np.arange(len(events))), ("shuffled", deliveries)):
        store = open_item_store(f"sqlite:///{tmp_path}/{name}.sqlite3")
        state = opened(log_of(store))
        state.forget(users)
        digest(state, users)  # at hand from the first event on
        for part in np.array_split(order, 40):
            record(store, state, *(events[row] for row in part))
        digests.append(digest(state, users))
        store.close()
    assert digests[0] == digests[1]


def test_an_event_that_is_committed_while_its_user_is_read_is_not_missed(opened: Opener, store: ItemStore) -> None:
    record(store, LogState(log_of(store)), Event("e1", "u", "a", 1.0))

    def slow(user_id: ExternalId) -> Sequence[Event]:
        found = log_of(store)(user_id)
        record(store, others[0], Event("e2", "u", "a", 2.0))
        return found

    others = [opened(slow)]
    others[0].recent("u", limit=9)
    if not isinstance(others[0], LogState):
        assert ids(others[0].recent("u", limit=9)) == ["e2", "e1"]


def test_a_forgotten_user_is_read_from_the_log_again(state: UserState, store: ItemStore) -> None:
    record(store, state, Event("e1", "u", "a", 1.0), Event("e2", "v", "a", 1.0))
    assert ids(state.recent("u", limit=9)) == ["e1"]
    store.record_events([Event("behind its back", "u", "a", 2.0), Event("too", "v", "a", 2.0)])
    state.recent("v", limit=9)
    held = state.held(["u", "u", "somebody else"])
    assert held == (not isinstance(state, LogState)) and state.held([]) == 0
    assert StatePlace(state).erase(["u", "somebody else"]) == held
    assert StatePlace(state).traces(["u", "somebody else"]) == 0
    state.forget([])
    assert ids(state.recent("u", limit=9)) == ["behind its back", "e1"]


def test_a_user_who_is_forgotten_while_being_read_leaves_nothing(opened: Opener) -> None:
    log = [Event("e1", "u", "a", 1.0)]

    def erased_meanwhile(user_id: ExternalId) -> Sequence[Event]:
        found = list(log)
        if log:
            log.clear()
            erased.forget([user_id])
        return found

    erased = opened(erased_meanwhile)
    erased.recent("u", limit=9)
    assert erased.recent("u", limit=9) == []


def test_a_log_that_does_not_answer_is_said_and_asked_again(opened: Opener) -> None:
    answers: list[list[Event] | None] = [None, [Event("e1", "u", "a", 1.0)]]

    def load(_: ExternalId) -> Sequence[Event]:
        if (answer := answers.pop(0)) is None:
            raise Unavailable("the database does not answer")
        return answer

    state = opened(load)
    with pytest.raises(Unavailable):
        state.recent("u", limit=9)
    assert ids(state.recent("u", limit=9)) == ["e1"]


def test_readers_and_writers_at_once_miss_nothing(opened: Opener, store: ItemStore) -> None:
    """Two states, as of two processes where they share one, and users forgotten all the while."""
    events, users = history(800, users=5), [f"u{n}" for n in range(5)]
    first = opened(log_of(store))
    states = [first, opened(log_of(store)) if isinstance(first, RedisState) else first]

    def write(seed: int) -> None:
        rows = np.random.default_rng(seed).permutation(len(events))
        for part in np.array_split(rows, 20):
            record(store, states[seed % 2], *(events[row] for row in part))

    def read(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for _ in range(60):
            user_id = str(rng.choice(users))
            states[seed % 2].recent(user_id, limit=50)
            if rng.random() < 0.2:
                states[seed % 2].forget([user_id])

    with ThreadPoolExecutor(4) as pool:
        for task in [pool.submit(write, 0), pool.submit(write, 1), pool.submit(read, 2), pool.submit(read, 3)]:
            task.result()
    expected = digest(LogState(log_of(store)), users)
    assert [digest(state, users) for state in states] == [expected, expected]
