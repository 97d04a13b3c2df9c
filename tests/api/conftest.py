"""One real service for the whole folder: real SQLite, Edge, worker thread and encoders, on a port of its own."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from api.access import Guard
from api.app import create_app
from api.cli.serve import listen
from api.keyring import Keyring
from coldstart.access import Scope
from coldstart.catalog.keys import KeyStore
from coldstart.settings import Settings
from tests.toyshop import Shop, make_shop
from tests.workers.toy import wait_until
from workers.runtime import Runtime

MAX_BODY, MAX_IMAGE = 400_000, 200_000


@dataclass(frozen=True)
class Running:
    """The service under test, from outside and from inside."""

    url: str
    app: FastAPI

    @property
    def runtime(self) -> Runtime:
        """What it holds."""
        opened: Runtime = self.app.state.service.runtime
        return opened


@pytest.fixture(scope="session")
def shop(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A data set and its adapter, which no test changes."""
    return make_shop(tmp_path_factory.mktemp("shop"), cache=cache)


@pytest.fixture(scope="package")
def service(shop: Shop, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The service on the toy shop, ready, its items retrievable."""
    settings = Settings(
        data_dir=tmp_path_factory.mktemp("data"),
        adapter=shop.artifact,
        max_body_bytes=MAX_BODY,
        max_image_bytes=MAX_IMAGE,
        max_attempts=1,
        graduation_seconds=0,  # items move when a test says so
        cache_dir=cache,
    )
    app = create_app(settings)
    with listen("127.0.0.1", 0) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=2))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        wait_until(lambda: server.started or not thread.is_alive(), what="the start")
        running = Running(f"http://127.0.0.1:{listener.getsockname()[1]}", app)
        try:
            running.runtime.seed(shop.dataset)
            wait_until(lambda: _is_ready(running, len(shop.dataset.items)), seconds=60, what="readiness")
            yield running
        finally:
            server.should_exit = True
            thread.join(20)
    assert not thread.is_alive()


@pytest.fixture(scope="package")
def service_url(service: Running) -> str:
    """Where the service listens."""
    return service.url


@pytest.fixture(scope="package")
def http(service: Running) -> Iterator[httpx.Client]:
    """A client of the service."""
    with httpx.Client(base_url=service.url, timeout=20) as client:
        yield client


@pytest.fixture
def put(http: httpx.Client) -> Callable[..., dict[str, Any]]:
    """Posts an item and follows it to a status; returns it as it stands then."""

    def put_and_follow(address: str, status: str = "retrievable", **body: Any) -> dict[str, Any]:
        accepted = http.put(f"/items/{address}", json=body)
        assert accepted.status_code == 202, accepted.text
        return follow(http, address, status)

    return put_and_follow


@pytest.fixture
def store(tmp_path: Path) -> Iterator[KeyStore]:
    """Keys in a database of their own."""
    store = KeyStore(f"sqlite:///{tmp_path}/keys.sqlite3")
    yield store
    store.close()


@pytest.fixture
def keyring(service: Running, store: KeyStore) -> Iterator[Keyring]:
    """The running service asks for these keys; it knows them after a `refreshed`."""
    before, keyring = service.app.state.guard, Keyring(store.list_keys)
    service.app.state.guard = Guard(keyring)
    yield keyring
    service.app.state.guard = before


@pytest.fixture
def key(store: KeyStore, keyring: Keyring) -> Callable[[Scope], dict[str, str]]:
    """Makes a key; the headers that carry it."""

    def make(scope: Scope) -> dict[str, str]:
        _, token = store.create(scope)
        keyring.refresh()
        return {"Authorization": f"Bearer {token}"}

    return make


def follow(http: httpx.Client, address: str, status: str) -> dict[str, Any]:
    """The item once it stands there."""
    found: dict[str, Any] = {}

    def arrived() -> bool:
        found.update(http.get(f"/items/{address}").json())
        return found.get("status") == status

    wait_until(arrived, what=f"{address} {status}")
    return found


def _is_ready(running: Running, items: int) -> bool:
    ready = httpx.get(f"{running.url}/health/ready").status_code == 200
    return ready and running.runtime.index.count() == items
