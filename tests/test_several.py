"""Several service processes on one address: refused where they cannot share, and replaced and counted where they can.

PostgreSQL and Redis are real; Qdrant is `tests.stand_in_qdrant` unless COLDSTART_TEST_QDRANT_URL names a server.
"""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import httpx
import pytest

from api.cli.arrivals import item_body
from benchmarks import processes
from tests import servers
from tests.stand_in_qdrant import qdrant
from tests.toyshop import Shop, make_shop

SERVER_URL = os.environ.get("COLDSTART_TEST_QDRANT_URL")
SHARED = {
    "--qdrant-url": "http://127.0.0.1:1",
    "--database-url": "postgresql://nowhere/db",
    "--broker-url": "redis://127.0.0.1:1/0",
}
ITEMS = 12


@pytest.mark.parametrize(
    ("flag", "why"),
    [
        ("--qdrant-url", "qdrant_url: 2 processes cannot serve together: the embedded index has one owner"),
        ("--database-url", "a SQLite file takes one writer"),
        ("--broker-url", "memory:// is a broker within one process"),
    ],
)
def test_what_is_of_one_process_alone_is_named_with_what_to_do(flag: str, why: str, tmp_path: Path) -> None:
    shared = [word for name, value in SHARED.items() if name != flag for word in (name, value)]
    done = serve("--processes", "2", "--data-dir", str(tmp_path), *shared)
    assert done.returncode == 2
    told = " ".join(done.stderr.split())
    assert why in told and f"with {flag}" in told and "--processes 1" in told
    assert list(tmp_path.iterdir()) == []


def test_a_rate_that_each_would_count_alone_is_refused(tmp_path: Path) -> None:
    shared = [word for name, value in (SHARED | {"--broker-url": "amqp://nowhere"}).items() for word in (name, value)]
    done = serve("--processes", "2", "--data-dir", str(tmp_path), "--rate-limit", "5", *shared)
    assert done.returncode == 2 and "--redis-url" in done.stderr


def serve(*flags: str) -> subprocess.CompletedProcess[str]:
    run = [sys.executable, "-m", "api.cli", "serve", "--port", "0", *flags]
    return subprocess.run(run, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def shop(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return make_shop(tmp_path_factory.mktemp("shop"), cache=cache)


@pytest.fixture
def flags(shop: Shop, cache: Path, tmp_path: Path) -> Iterator[list[str]]:
    index = qdrant() if SERVER_URL is None else nullcontext(SERVER_URL)
    with servers.postgresql() as database_url, servers.redis() as redis_url, index as qdrant_url:
        yield [
            "--data-dir", str(tmp_path / "state"), "--adapter", str(shop.artifact), "--cache-dir", str(cache),
            "--database-url", database_url, "--broker-url", redis_url, "--redis-url", redis_url,
            "--qdrant-url", qdrant_url, "--relay-seconds", "0.2", "--processes", "2", "--drain-seconds", "1",
        ]  # fmt: skip


def test_two_serve_as_one_and_one_that_dies_is_replaced(flags: list[str], shop: Shop, tmp_path: Path) -> None:
    known = len(shop.dataset.items)
    with processes.service(flags, tmp_path / "service.log") as service:
        service.wait_until(lambda: service.counts()["retrievable"] == known, seconds=60, what="the backbone's items")
        first = workers(service)
        assert len(first) == 2
        items = [{"item_id": f"new-{n}", **item_body(shop.dataset, n % known)} for n in range(ITEMS)]
        for item in items:
            put(service.url, item)
        everything = known + ITEMS
        service.wait_until(lambda: service.counts()["retrievable"] == everything, seconds=60, what="every item")
        # Whichever process is asked tells of both: each item was taken in once, whoever had it.
        answers = [figures(service.url) for _ in range(6)]
        assert {answer['coldstart_items_total{outcome="retrievable"}'] for answer in answers} == {float(everything)}
        assert {puts(answer) for answer in answers} == {ITEMS}
        live = [name for name, value in answers[0].items() if "adapter_status" in name and value == 1]
        assert len(live) == 1 and 'status="live"' in live[0]
        for victim in first:
            os.kill(victim, signal.SIGKILL)
            service.wait_until(lambda: len(workers(service)) == 2, seconds=60, what="another process")
            service.wait_until(lambda: answering(service.url), seconds=60, what="an answer")
        assert not set(first) & set(workers(service))
        put(service.url, {"item_id": "afterwards", **item_body(shop.dataset, 0)})
        service.wait_until(lambda: service.counts()["retrievable"] == everything + 1, seconds=60, what="one more item")
        assert puts(figures(service.url)) == ITEMS + 1  # what the dead had counted is not lost
        left = workers(service)
    assert not any(Path(f"/proc/{pid}").exists() for pid in left)
    assert "draining" in service.output


def test_one_that_cannot_start_ends_them_all(flags: list[str], tmp_path: Path) -> None:
    at = flags.index("--adapter") + 1
    done = serve(*flags[:at], str(tmp_path / "nothing"), *flags[at + 1 :])
    assert done.returncode != 0
    assert "a process could not start" in " ".join(done.stderr.split()) and "holds no adapter" in done.stderr


def workers(service: processes.Service) -> list[int]:
    """The processes that serve; beside them multiprocessing has one that looks after its semaphores."""
    return sorted(pid for pid in service.children() if "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text())


def put(url: str, item: dict[str, object]) -> None:
    """Over a connection of its own, which any of them may take."""
    body = {name: value for name, value in item.items() if name != "item_id"}
    httpx.put(f"{url}/items/{item['item_id']}", json=body, timeout=60).raise_for_status()


def answering(url: str) -> bool:
    try:
        return all(httpx.get(f"{url}/health/ready", timeout=60).is_success for _ in range(4))
    except httpx.TransportError:
        return False


def figures(url: str) -> dict[str, float]:
    """Every sample of /metrics."""
    lines = httpx.get(f"{url}/metrics", timeout=60).raise_for_status().text.splitlines()
    samples = (re.fullmatch(r"(\S+) ([-+.\deInfNa]+)", line) for line in lines)
    return {found[1]: float(found[2]) for found in samples if found}


def puts(samples: dict[str, float]) -> float:
    """How many PUT requests were counted."""
    return sum(n for name, n in samples.items() if "request_seconds_count" in name and 'method="PUT"' in name)
