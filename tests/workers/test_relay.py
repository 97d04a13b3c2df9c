"""The relay: requests never wait for it, and what was left behind is found."""

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from tests.workers.toy import wait_until
from workers import relay as relay_module
from workers.relay import Relay


@pytest.fixture
def start() -> Iterator[Callable[..., Relay]]:
    started: list[Relay] = []

    def make(**parts: object) -> Relay:
        started.append(Relay(**parts))  # type: ignore[arg-type]
        started[-1].start()
        return started[-1]

    yield make
    for relay in started:
        relay.stop()


def test_a_wake_up_is_sent_at_once(start: Callable[..., Relay]) -> None:
    sent = threading.Event()
    relay = start(due={}, wake=lambda queue: sent.set() or queue == "encode", every_s=60.0)
    relay.wake("encode")
    assert sent.wait(5)


def test_calls_that_come_while_one_is_sent_become_one(start: Callable[..., Relay]) -> None:
    sent: list[str] = []
    sending, release = threading.Event(), threading.Event()

    def send(queue: str) -> bool:
        sent.append(queue)
        sending.set()
        return release.wait(5)

    relay = start(due={}, wake=send, every_s=60.0)
    relay.wake("encode")
    assert sending.wait(5)
    begin = time.monotonic()
    for _ in range(1000):
        relay.wake("encode")
    assert time.monotonic() - begin < 0.5
    release.set()
    wait_until(lambda: len(sent) == 2)
    relay.stop()
    assert sent == ["encode", "encode"]


def test_what_was_left_behind_is_woken_again_and_again(start: Callable[..., Relay]) -> None:
    sent: list[str] = []
    start(due={"encode": lambda: 1, "index": lambda: 0}, wake=lambda queue: sent.append(queue) or True, every_s=0.02)
    wait_until(lambda: len(sent) >= 3)
    assert set(sent) == {"encode"}


def test_a_broker_that_refuses_is_left_alone_for_a_while_and_then_asked_again(
    start: Callable[..., Relay], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_module, "BROKER_PAUSE_S", 0.3)
    tries: list[float] = []

    def send(queue: str) -> bool:
        tries.append(time.monotonic())
        return len(tries) > 1

    relay = start(due={}, wake=send, every_s=60.0)
    relay.wake("encode")
    wait_until(lambda: len(tries) == 2)
    assert tries[1] - tries[0] >= 0.3


def test_a_database_that_is_away_does_not_end_the_relay(start: Callable[..., Relay]) -> None:
    looks = threading.Semaphore(0)

    def due() -> int:
        looks.release()
        raise RuntimeError("the database is away")

    start(due={"encode": due}, wake=lambda queue: True, every_s=0.01)
    assert all(looks.acquire(timeout=5) for _ in range(2))


def test_a_broker_that_fails_in_an_unforeseen_way_does_not_end_the_relay(
    start: Callable[..., Relay], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_module, "BROKER_PAUSE_S", 0.01)
    sent = threading.Event()
    failures = [RuntimeError("406 PRECONDITION_FAILED")]

    def send(queue: str) -> bool:
        if failures:
            raise failures.pop()
        sent.set()
        return True

    relay = start(due={}, wake=send, every_s=60.0)
    relay.wake("encode")
    assert sent.wait(5)
