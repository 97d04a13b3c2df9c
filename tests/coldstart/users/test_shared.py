"""State in a real Redis, when it is away and when it is back."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from benchmarks import processes
from benchmarks.proxy import Proxy, proxied
from coldstart.catalog import ItemStore, open_item_store
from coldstart.entities import Event
from coldstart.errors import Unavailable
from coldstart.recommend import log_of
from coldstart.users import shared
from coldstart.users.shared import KEPT_S, PREFIX, RedisState, open_redis
from tests import servers
from tests.workers.toy import wait_until


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    with servers.redis() as url:
        yield url


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    """A client that goes past the proxy, to an empty server."""
    with Redis.from_url(redis_url) as client:
        client.flushall()
        yield client


@pytest.fixture
def proxy(redis_url: str, redis: Redis) -> Iterator[Proxy]:
    with proxied(int(redis_url.rpartition(":")[2].partition("/")[0])) as proxy:
        yield proxy


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ItemStore]:
    store = open_item_store(f"sqlite:///{tmp_path}/catalog.sqlite3")
    yield store
    store.close()


@pytest.fixture
def state(proxy: Proxy, store: ItemStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[RedisState]:
    monkeypatch.setattr(shared, "PAUSE_S", 0.05)
    client = open_redis(f"redis://127.0.0.1:{proxy.port}/0")
    yield RedisState(client, log_of(store))
    client.close()


def record(store: ItemStore, state: RedisState, *events: Event) -> None:
    state.apply(store.record_events(events).events)


def ids(state: RedisState, user_id: str = "u") -> list[str]:
    return [event.event_id for event in state.recent(user_id, limit=9)]


def test_a_user_is_read_from_the_log_once_and_again_after_an_hour(
    state: RedisState, store: ItemStore, redis: Redis
) -> None:
    record(store, state, Event("e1", "u", "a", 1.0))
    assert redis.keys() == []  # nobody has asked for them
    assert ids(state) == ["e1"]
    store.record_events([Event("behind its back", "u", "a", 2.0)])
    record(store, state, Event("e3", "u", "a", 3.0))
    assert ids(state) == ["e3", "e1"]
    assert 0 < redis.pttl(PREFIX + "u") <= KEPT_S * 1000
    redis.pexpire(PREFIX + "u", 1)
    wait_until(lambda: redis.keys() == [], what="the end of the hour")
    assert ids(state) == ["e3", "behind its back", "e1"]


def test_without_redis_the_log_answers_and_what_redis_missed_is_there_when_it_is_back(
    state: RedisState, store: ItemStore, proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    record(store, state, Event("e1", "u", "a", 1.0))
    assert ids(state) == ["e1"]
    with caplog.at_level(logging.WARNING):
        proxy.blackhole()
        record(store, state, Event("e2", "u", "a", 2.0))
        assert ids(state) == ["e2", "e1"]
        record(store, state, Event("e3", "u", "a", 3.0))
    assert "u" not in [value for entry in caplog.records for value in entry.__dict__.values()]
    proxy.restore()
    other = RedisState(open_redis(f"redis://127.0.0.1:{proxy.port}/0"), log_of(store))
    wait_until(lambda: ids(other) == ["e3", "e2", "e1"], what="the state put right for every process")
    assert ids(state) == ["e3", "e2", "e1"]


def test_more_users_than_it_can_remember_are_all_put_right(
    state: RedisState, store: ItemStore, proxy: Proxy, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared, "MAX_OWED", 3)
    users = [f"u{n}" for n in range(9)]
    redis.set("somebody else's", "kept")
    for user_id in users:
        assert ids(state, user_id) == []
    proxy.blackhole()
    record(store, state, *(Event(f"e-{user_id}", user_id, "a", 1.0) for user_id in users))
    assert ids(state, "u8") == ["e-u8"]
    proxy.restore()
    other = RedisState(open_redis(f"redis://127.0.0.1:{proxy.port}/0"), log_of(store))
    wait_until(lambda: all(ids(other, user_id) for user_id in users), what="every user put right")
    assert redis.get("somebody else's") == b"kept"


def test_forgetting_without_redis_is_refused_and_done_when_it_is_back(
    state: RedisState, store: ItemStore, proxy: Proxy, redis: Redis
) -> None:
    assert ids(state) == []
    proxy.blackhole()
    with pytest.raises(Unavailable, match="not forgotten yet"):
        state.forget(["u"])
    proxy.restore()
    wait_until(lambda: redis.keys() == [], what="the user forgotten")


def test_a_redis_that_lost_everything_is_filled_again(store: ItemStore) -> None:
    with processes.redis_server() as server:
        client = open_redis(server.url())
        state = RedisState(client, log_of(store))
        record(store, state, Event("e1", "u", "a", 1.0))
        assert ids(state) == ["e1"]
        with Redis.from_url(server.url()) as other:
            other.flushall()
        record(store, state, Event("e2", "u", "a", 2.0))
        assert ids(state) == ["e2", "e1"]
        client.close()
