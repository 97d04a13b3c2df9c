"""PostgreSQL, a broker, a service that owns the index and workers that encode for it, each a process of its own."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.cli.arrivals import item_body, lists_of
from benchmarks import processes
from tests import servers
from tests.toyshop import Shop, make_shop

ITEMS, BATCH = 64, 16


@pytest.fixture(scope="module")
def shop(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return make_shop(tmp_path_factory.mktemp("shop"), cache=cache)


@pytest.fixture(params=["redis", "rabbitmq"])
def broker_url(request: pytest.FixtureRequest) -> Iterator[str]:
    with servers.redis() if request.param == "redis" else servers.rabbitmq() as url:
        yield url


@pytest.fixture
def flags(broker_url: str, shop: Shop, cache: Path, tmp_path: Path) -> Iterator[list[str]]:
    """Of the service and of the workers alike: what they share, and a patience that suits a test."""
    with servers.postgresql() as database_url:
        yield [
            "--data-dir", str(tmp_path / "state"), "--adapter", str(shop.artifact), "--cache-dir", str(cache),
            "--database-url", database_url, "--broker-url", broker_url, "--no-embedded-worker",
            "--claim-batch", str(BATCH), "--lease-seconds", "2", "--relay-seconds", "0.2",
        ]  # fmt: skip


def test_a_child_that_dies_before_the_broker_is_there_is_replaced(shop: Shop, cache: Path, tmp_path: Path) -> None:
    with servers.or_skip(processes.redis_server()) as broker:
        broker.stop()
        flags = [
            "--data-dir", str(tmp_path / "state"), "--adapter", str(shop.artifact), "--cache-dir", str(cache),
            "--broker-url", broker.url(),
        ]  # fmt: skip
        with processes.worker(flags, tmp_path / "worker.log") as worker:
            worker.wait_until(lambda: len(worker.children()) == 1, seconds=60, what="a child")
            [child] = worker.children()
            os.kill(child, signal.SIGKILL)
            broker.start()
            worker.wait_until(lambda: set(worker.children()) - {child} != set(), seconds=60, what="another child")


def test_what_a_killed_worker_held_is_encoded_by_another(flags: list[str], shop: Shop, tmp_path: Path) -> None:
    known = len(shop.dataset.items)
    items = [{"item_id": f"new-{n}", **item_body(shop.dataset, n % known)} for n in range(ITEMS)]
    with processes.service(flags, tmp_path / "service.log") as service:
        with processes.worker(flags, tmp_path / "first.log") as first:
            answer = service.client.post("/items/batch", json={"items": items})
            assert answer.json()["accepted"] == ITEMS
            first.wait_until(lambda: service.counts()["encoding"] > 0, seconds=60, what="a claim")
            first.freeze()
            counts = service.counts()
            first.kill()
        assert counts["encoding"] > 0 and counts["pending"] > 0  # killed in the middle of a batch, with more to come
        with processes.worker(flags, tmp_path / "second.log") as second:
            second.wait_until(
                lambda: service.counts()["retrievable"] == known + ITEMS, seconds=60, what="every item in the index"
            )
        listed = lists_of(service.client, ["tea-user-0"], limit=100, only_cold=True)["tea-user-0"]
        assert sorted(listed) == sorted(str(item["item_id"]) for item in items)
