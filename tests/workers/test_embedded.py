"""The worker in a thread: it runs tasks at once, and it ends when told, whatever it is doing."""

import pickle
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from celery import Celery

from tests import servers
from tests.coldstart.encoders.toys import Canary
from tests.workers.toy import wait_until
from workers.app import ENCODE, INDEX, MEMORY, QUEUES, make_app
from workers.embedded import EmbeddedWorker
from workers.tasks import register, wake


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    with servers.redis() as url:
        yield url


@pytest.fixture(params=["memory", "redis"])
def broker(request: pytest.FixtureRequest) -> str:
    return MEMORY if request.param == "memory" else str(request.getfixturevalue("redis_url"))


def nothing() -> int:
    return 0


@pytest.fixture
def start(broker: str) -> Iterator[Callable[..., tuple[Celery, EmbeddedWorker]]]:
    started: list[EmbeddedWorker] = []

    def make(
        encode: Callable[[], int] = nothing, apply: Callable[[], int] = nothing, queues: tuple[str, ...] = QUEUES
    ) -> tuple[Celery, EmbeddedWorker]:
        app = make_app(broker)
        register(app, encode_due=encode, apply_due=apply)
        started.append(EmbeddedWorker(app, queues))
        started[-1].start()
        return app, started[-1]

    yield make
    for worker in started:
        assert worker.stop()


def test_each_queue_wakes_its_task(start: Callable[..., tuple[Celery, EmbeddedWorker]]) -> None:
    encoded, applied = threading.Event(), threading.Event()
    app, _ = start(lambda: encoded.set() or 0, lambda: applied.set() or 0)
    assert wake(app, ENCODE)
    assert encoded.wait(10)
    assert not applied.is_set()
    assert wake(app, INDEX)
    assert applied.wait(10)


def test_a_task_repeats_until_nothing_is_due(start: Callable[..., tuple[Celery, EmbeddedWorker]]) -> None:
    batches, drained = [2, 1], threading.Event()

    def step() -> int:
        if batches:
            return batches.pop()
        drained.set()
        return 0

    app, _ = start(step)
    wake(app, ENCODE)
    assert drained.wait(10)
    assert batches == []


def test_a_task_that_raises_does_not_end_the_worker(start: Callable[..., tuple[Celery, EmbeddedWorker]]) -> None:
    calls = threading.Semaphore(0)

    def step() -> int:
        calls.release()
        raise RuntimeError("the database is away")

    app, worker = start(step)
    for _ in range(2):
        wake(app, ENCODE)
        assert calls.acquire(timeout=10)
    assert worker.alive


def test_a_pickle_in_the_queue_is_refused_unread_and_the_worker_goes_on(redis_url: str, tmp_path: Path) -> None:
    called, app = threading.Event(), make_app(redis_url)
    register(app, encode_due=lambda: called.set() or 0, apply_due=nothing)
    worker = EmbeddedWorker(app, QUEUES)
    worker.start()
    queue = app.amqp.queues[ENCODE]
    with app.connection_for_write() as connection, connection.Producer() as producer:
        for kind in ("application/x-python-serialize", "application/x-yaml"):
            producer.publish(
                pickle.dumps(Canary(tmp_path / "executed")), exchange=queue.exchange, routing_key=queue.routing_key,
                declare=[queue], content_type=kind, content_encoding="binary",
                headers={"task": "coldstart.encode_due", "id": "1", "lang": "py"},
            )  # fmt: skip
    assert wake(app, ENCODE)  # behind them in the queue
    assert called.wait(10)
    assert worker.alive and worker.stop()
    assert not (tmp_path / "executed").exists()


def test_no_task_leaves_anything_in_the_broker(redis_url: str) -> None:
    calls = threading.Semaphore(0)
    app = make_app(redis_url)
    register(app, encode_due=lambda: calls.release() or 0, apply_due=nothing)
    worker = EmbeddedWorker(app, QUEUES)
    worker.start()
    with redis.Redis.from_url(redis_url) as client:

        def keys_after(tasks: int) -> set[bytes]:
            for _ in range(tasks):
                assert wake(app, ENCODE) and calls.acquire(timeout=10)
            wait_until(lambda: not client.exists("unacked"), what="the last acknowledgement")
            return set(client.keys())

        before, after = keys_after(5), keys_after(100)
    assert worker.stop()
    assert before == after and not any(b"result" in key or b"task-meta" in key for key in after)


def test_an_idle_worker_stops_at_once(start: Callable[..., tuple[Celery, EmbeddedWorker]]) -> None:
    _, worker = start()
    begin = time.monotonic()
    assert worker.stop()
    assert time.monotonic() - begin < 3.0


def test_a_running_task_is_finished_before_the_end(start: Callable[..., tuple[Celery, EmbeddedWorker]]) -> None:
    running, release, finished = threading.Event(), threading.Event(), threading.Event()

    def step() -> int:
        running.set()
        release.wait(10)
        finished.set()
        return 0

    app, worker = start(step)
    wake(app, ENCODE)
    assert running.wait(10)
    threading.Timer(0.3, release.set).start()
    begin = time.monotonic()
    assert worker.stop()
    assert finished.is_set()
    assert time.monotonic() - begin < 3.0


def test_a_task_that_never_runs_dry_leaves_the_other_queue_its_turn_and_ends_when_told(
    start: Callable[..., tuple[Celery, EmbeddedWorker]],
) -> None:
    encoding, applied, pause = threading.Event(), threading.Event(), threading.Event()
    begin = time.monotonic()

    def endless() -> int:
        encoding.set()
        pause.wait(0.01)
        return int(time.monotonic() - begin < 60)

    app, worker = start(endless, lambda: applied.set() or 0)
    wake(app, ENCODE)
    assert encoding.wait(10)
    wake(app, INDEX)
    assert applied.wait(5)
    applied.clear()
    encoding.clear()
    assert encoding.wait(5)  # it goes on without being woken again
    begin = time.monotonic()
    assert worker.stop()
    assert time.monotonic() - begin < 3.0


def test_a_worker_can_follow_another(start: Callable[..., tuple[Celery, EmbeddedWorker]]) -> None:
    _, first = start()
    assert first.stop()
    done = threading.Event()
    app, _ = start(lambda: done.set() or 0)
    wake(app, ENCODE)
    assert done.wait(10)


def test_only_the_given_queues_are_consumed(start: Callable[..., tuple[Celery, EmbeddedWorker]]) -> None:
    applied, encoded = threading.Event(), threading.Event()
    app, _ = start(lambda: encoded.set() or 0, lambda: applied.set() or 0, queues=(INDEX,))
    wake(app, ENCODE)
    wake(app, INDEX)
    assert applied.wait(10)
    assert not encoded.is_set()


def test_a_worker_whose_broker_is_away_starts_later_and_stops_now() -> None:
    app = make_app(f"redis://127.0.0.1:{servers.free_port()}/0")
    register(app, encode_due=nothing, apply_due=nothing)
    worker = EmbeddedWorker(app, QUEUES)
    worker.start(wait=False)
    wait_until(lambda: worker.alive)
    begin = time.monotonic()
    assert worker.stop()
    assert time.monotonic() - begin < 6.0
