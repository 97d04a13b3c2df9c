"""Rates: a burst, then so many a second, by one process or by several together; and what holds when Redis is away."""

import asyncio
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api import rates
from api.access import Guard
from api.keyring import Keyring
from api.rates import Buckets, LocalBuckets, Rate, SharedBuckets, open_buckets
from coldstart.access import Scope
from coldstart.catalog.keys import KeyStore
from coldstart.settings import Settings
from tests import servers
from tests.api.conftest import Running

PROCESSES, SECONDS, RATE = 4, 3, Rate(200.0, 50)
HAMMER = f"""
import asyncio, sys, time
from api.rates import open_buckets
from coldstart.settings import Settings

async def hammer():
    settings = Settings(redis_url=sys.argv[1], rate_limit={RATE.per_second}, rate_burst={RATE.burst})
    async with open_buckets(settings) as buckets:
        await buckets.take("warm up")
        print("ready", flush=True)
        sys.stdin.readline()
        admitted, start = 0, time.time()
        while (end := time.time()) < start + {SECONDS}:
            admitted += await buckets.take("one key") == 0
        print(admitted, start, end, flush=True)

asyncio.run(hammer())
"""


class Clock:
    """Time that passes only when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def admitted(buckets: Buckets, requests: int, name: str = "x") -> int:
    """How many of so many requests at once are let in."""

    async def ask() -> int:
        return sum([await buckets.take(name) == 0 for _ in range(requests)])

    return asyncio.run(ask())


def test_a_burst_is_let_in_and_then_as_many_as_come_back() -> None:
    clock = Clock()
    buckets = LocalBuckets(Rate(10.0, 5), clock=clock)
    assert admitted(buckets, 8) == 5 and admitted(buckets, 8, "another") == 5
    assert asyncio.run(buckets.take("x")) == pytest.approx(0.1)
    clock.now += 0.3
    assert admitted(buckets, 8) == 3
    clock.now += 60
    assert admitted(buckets, 8) == 5


@given(st.lists(st.floats(0, 2), min_size=1, max_size=200), st.floats(0.1, 1000), st.integers(1, 20))
def test_no_stretch_of_time_holds_more_than_was_promised(pauses: list[float], per_second: float, burst: int) -> None:
    clock = Clock()
    buckets, times = LocalBuckets(Rate(per_second, burst), clock=clock), []
    for pause in pauses:
        clock.now += pause
        if admitted(buckets, 1):
            times.append(clock.now)
    for first in range(len(times)):
        for last in range(first, len(times)):
            assert last - first + 1 <= burst + per_second * (times[last] - times[first]) + 1e-3


def test_callers_that_are_gone_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "MAX_BUCKETS", 10)
    clock = Clock()
    buckets = LocalBuckets(Rate(1.0, 1), clock=clock)
    for n in range(10):
        assert admitted(buckets, 1, f"caller {n}") == 1
    clock.now += 5
    admitted(buckets, 1, "active")
    clock.now += 0.5
    for n in range(30):
        admitted(buckets, 1, f"other {n}")
        assert len(buckets._full_at) <= 10


@pytest.fixture
def redis_url() -> Iterator[str]:
    with servers.redis() as url:
        yield url


def test_redis_gives_the_answers_of_a_process(redis_url: str) -> None:
    async def ask() -> tuple[int, int, float]:
        async with open_buckets(Settings(redis_url=redis_url, rate_limit=0.01, rate_burst=5)) as buckets:
            assert isinstance(buckets, SharedBuckets)
            one = [await buckets.take("one") for _ in range(8)]
            other = [await buckets.take("other") for _ in range(8)]
        return one.count(0), other.count(0), one[-1]

    one, other, wait = asyncio.run(ask())
    assert one == other == 5 and 90 < wait <= 100


def test_processes_together_stay_within_the_limit(redis_url: str, tmp_path: Path) -> None:
    with ExitStack() as stack:
        processes = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", HAMMER, redis_url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
                )
            )
            for _ in range(PROCESSES)
        ]
        for process in processes:
            assert process.stdout is not None and process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        answers = [process.communicate(timeout=60)[0].split() for process in processes]
    counts = [int(answer[0]) for answer in answers]
    stretch = max(float(answer[2]) for answer in answers) - min(float(answer[1]) for answer in answers)
    allowed = RATE.burst + RATE.per_second * stretch
    print(f"{PROCESSES} processes in {stretch:.2f} s: {counts}, together {sum(counts)} of {allowed:.0f}")
    assert sum(counts) <= 1.02 * allowed
    assert stretch < 1.5 * SECONDS and min(counts) > 0  # they did ask at the same time
    assert sum(counts) >= 0.9 * (RATE.burst + RATE.per_second * SECONDS)  # or the test says nothing


def test_without_redis_each_process_keeps_the_limit_itself(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rates, "PAUSE_S", 0.0)

    async def ask() -> None:
        with ExitStack() as server:
            url = server.enter_context(servers.redis())
            async with open_buckets(Settings(broker_url=url, rate_limit=0.01, rate_burst=3)) as buckets:
                assert buckets is not None
                assert [await buckets.take("x") for _ in range(3)] == [0, 0, 0] and await buckets.take("x") > 0
                await asyncio.to_thread(server.close)
                assert not caplog.records
                assert [await buckets.take("x") for _ in range(3)] == [0, 0, 0] and await buckets.take("x") > 0

    with caplog.at_level(logging.WARNING, logger="api.rates"):
        asyncio.run(ask())
    assert "counted by this process alone" in caplog.text


def test_a_redis_that_failed_is_left_alone_for_a_while(caplog: pytest.LogCaptureFixture) -> None:
    settings = Settings(redis_url=f"redis://127.0.0.1:{servers.free_port()}/0", rate_limit=1.0)

    async def ask() -> list[float]:
        async with open_buckets(settings) as buckets:
            assert buckets is not None
            return [await buckets.take("x") for _ in range(settings.rate_burst)]

    with caplog.at_level(logging.WARNING, logger="api.rates"):
        assert set(asyncio.run(ask())) == {0.0}
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    ("chosen", "kind"),
    [
        ({}, None),
        ({"redis_url": "redis://127.0.0.1:1/0"}, None),
        ({"rate_limit": 5.0}, LocalBuckets),
        ({"rate_limit": 5.0, "broker_url": "amqp://127.0.0.1:1//"}, LocalBuckets),
        ({"rate_limit": 5.0, "broker_url": "redis://127.0.0.1:1/0"}, SharedBuckets),
    ],
)
def test_settings_choose_where_rates_are_counted(chosen: dict[str, str], kind: type | None) -> None:
    async def opened() -> Buckets | None:
        async with open_buckets(Settings(**chosen)) as buckets:
            return buckets

    buckets = asyncio.run(opened())
    assert buckets is None if kind is None else isinstance(buckets, kind)


@pytest.fixture
def limited(service: Running) -> Iterator[Callable[..., None]]:
    """Puts the running service behind a guard of so many requests for each caller, for good."""
    before = service.app.state.guard

    def limit(requests: int, keyring: Keyring | None = None) -> None:
        service.app.state.guard = Guard(keyring, LocalBuckets(Rate(0.01, requests)))

    yield limit
    service.app.state.guard = before


def test_a_caller_beyond_its_rate_is_told_when_to_come_back(http: httpx.Client, limited: Callable[..., None]) -> None:
    limited(2)
    answers = [http.get("/status") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    problem, wait = answers[-1].json(), int(answers[-1].headers["retry-after"])
    assert problem["type"] == "urn:coldstart:rate-limited" and problem["subject"] == "address 127.0.0.1"
    assert 90 < wait <= 100 and http.get("/health/live").status_code == 200


def test_each_key_has_its_own_rate_and_guesses_share_their_address(
    http: httpx.Client, limited: Callable[..., None], tmp_path: Path
) -> None:
    store = KeyStore(f"sqlite:///{tmp_path}/keys.sqlite3")
    tokens = [store.create(Scope.READ)[1] for _ in range(2)]
    keyring = Keyring(store.list_keys)
    keyring.refresh()
    store.close()
    limited(2, keyring)

    def statuses(*sent: str) -> list[int]:
        return [http.get("/status", headers={"Authorization": f"Bearer {each}"}).status_code for each in sent]

    guesses = [f"{tokens[0][:-4]}{n:04}" for n in range(3)]
    assert statuses(*guesses) == [401, 401, 429]
    assert [statuses(token, token, token) for token in tokens] == [[200, 200, 429]] * 2
