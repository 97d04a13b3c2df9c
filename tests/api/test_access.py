"""Who may call what: every route, every scope, and whatever clients send as a key."""

import http.client
import logging
import re
from asyncio import Runner
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import anyio
import httpx
import pytest
from fastapi import APIRouter
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.routing import BaseRoute, Mount
from starlette.types import Message

from api import keyring as keyrings
from api.access import GuardedRoute
from api.keyring import Keyring
from coldstart.access import ApiKey, Scope
from coldstart.catalog.keys import KeyStore
from coldstart.errors import Unavailable
from tests.api.conftest import Running
from tests.workers.toy import wait_until

READ, WRITE, ADMIN = Scope
ACCESS = {
    "GET /": None,
    "GET /docs": None,
    "GET /openapi.json": None,
    "GET /health/live": None,
    "GET /health/ready": None,
    "GET /metrics": READ,
    "GET /status": READ,
    "GET /items": READ,
    "GET /items/{item_id:id}": READ,
    "GET /items/{item_id:id}/image": READ,
    "GET /items/{item_id:id}/similar": READ,
    "GET /users/{user_id:id}/recommendations": READ,
    "POST /recommendations": READ,
    "GET /users/{user_id:id}": READ,
    "PUT /users/{user_id:id}": WRITE,
    "DELETE /users/{user_id:id}": WRITE,
    "POST /users/{user_id:id}/merge": WRITE,
    "PUT /items/{item_id:id}": WRITE,
    "DELETE /items/{item_id:id}": WRITE,
    "POST /items/batch": WRITE,
    "POST /events": WRITE,
    "POST /experiments": ADMIN,
    "GET /experiments": READ,
    "GET /experiments/{experiment_id:id}": READ,
    "PUT /experiments/{experiment_id:id}": ADMIN,
    "GET /experiments/{experiment_id:id}/report": READ,
    "POST /experiments/{experiment_id:id}/start": ADMIN,
    "POST /experiments/{experiment_id:id}/stop": ADMIN,
    "GET /backfills": READ,
    "GET /backfills/{backfill_id:id}": READ,
    "GET /backfills/{backfill_id:id}/problems": READ,
    "POST /backfills/{backfill_id:id}/pause": ADMIN,
    "GET /adapters": READ,
    "POST /adapters": ADMIN,
    "GET /adapters/{version}": READ,
    "POST /adapters/{version}/promote": ADMIN,
    "POST /adapters/rollback": ADMIN,
    "DELETE /adapters/{version}": ADMIN,
    "GET /dead-letters": READ,
    "POST /dead-letters/{item_id:id}/retry": ADMIN,
}


def routes_of(routes: list[BaseRoute]) -> Iterator[BaseRoute]:
    """The routes, those of included routers among them."""
    for route in routes:
        included = getattr(route, "original_router", None)
        yield from [route] if included is None else routes_of(included.routes)


def test_every_route_says_what_it_needs(service: Running) -> None:
    found: dict[str, Scope | None] = {}
    for route in routes_of(service.app.routes):
        if isinstance(route, Mount):
            assert route.path == "/static"
            continue
        assert isinstance(route, GuardedRoute), f"{route} asks no guard"
        found |= {f"{method} {route.path}": route.access for method in route.methods or ()}
    assert found == ACCESS


def test_a_route_that_does_not_say_cannot_be_made() -> None:
    router = APIRouter(route_class=GuardedRoute)

    async def endpoint() -> None: ...

    with pytest.raises(TypeError, match="endpoint"):
        router.get("/")(endpoint)


def test_each_scope_opens_its_routes_and_no_others(http: httpx.Client, key: Callable[[Scope], dict[str, str]]) -> None:
    callers: dict[Scope | None, dict[str, str]] = {None: {}} | {scope: key(scope) for scope in Scope}
    for route, needed in ACCESS.items():
        method, _, path = route.partition(" ")
        path = re.sub("{[a-z_]+(:id)?}", "unknown", path)
        for scope, headers in callers.items():
            answer = http.request(method, path, headers=headers)
            if needed is None or (scope is not None and scope.allows(needed)):
                assert answer.status_code not in (401, 403), f"{route} with {scope}"
            elif scope is None:
                assert answer.status_code == 401 and answer.headers["www-authenticate"].startswith("Bearer")
            else:
                assert answer.status_code == 403 and f"needs {needed}" in answer.json()["detail"]
                assert f"--scope {needed}" in answer.json()["remedy"] and "scope" in answer.headers["www-authenticate"]


def test_refusals_are_problem_documents(http: httpx.Client, key: Callable[[Scope], dict[str, str]]) -> None:
    for headers, status, kind in (({}, 401, "unauthorized"), (key(READ), 403, "forbidden")):
        answer = http.delete("/items/x", headers=headers)
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.status_code == answer.json()["status"] == status
        assert answer.json()["type"] == f"urn:coldstart:{kind}" and answer.json()["remedy"]


def test_nothing_of_a_request_is_read_before_its_key(
    http: httpx.Client, key: Callable[[Scope], dict[str, str]]
) -> None:
    key(ADMIN)
    for content, media_type in ((b"{", "application/json"), (b"x" * 300_000, "text/plain")):
        assert http.put("/items/x", content=content, headers={"Content-Type": media_type}).status_code == 401


def test_a_revoked_key_is_refused_and_does_not_open_the_service(
    http: httpx.Client, store: KeyStore, keyring: Keyring
) -> None:
    assert http.get("/status").status_code == 200  # no key was ever made
    made, token = store.create(READ)
    headers = {"Authorization": f"Bearer {token}"}
    keyring.refresh()
    assert (http.get("/status").status_code, http.get("/status", headers=headers).status_code) == (401, 200)
    store.revoke(made.key_id)
    keyring.refresh()
    assert (http.get("/status").status_code, http.get("/status", headers=headers).status_code) == (401, 401)


def test_the_page_tells_strangers_no_user(http: httpx.Client, key: Callable[[Scope], dict[str, str]]) -> None:
    user = "tea-user-0"
    assert user in http.get("/").text
    key(READ)
    assert user not in http.get("/").text


def header_values(key_id: str) -> st.SearchStrategy[bytes]:
    """From noise to a key whose last part alone is wrong."""
    noise, digits = st.binary(max_size=120), st.text("0123456789abcdef", min_size=64, max_size=64)
    almost = st.builds(lambda secret: f"cs_{key_id}_{secret}".encode(), digits)
    scheme = st.sampled_from([b"Bearer ", b"bearer ", b"Basic ", b"Bearer", b"Bearer  ", b"\xe9 "])
    return st.one_of(noise, st.builds(bytes.__add__, scheme, noise | almost))


def test_whatever_is_sent_as_a_key_is_401(service: Running, store: KeyStore, keyring: Keyring) -> None:
    made, _ = store.create(ADMIN)
    keyring.refresh()
    tried: list[bytes] = []

    async def status_of(value: bytes) -> int:
        sent: list[Message] = []
        scope = {
            "type": "http", "http_version": "1.1", "method": "GET", "scheme": "http", "path": "/items",
            "raw_path": b"/items", "query_string": b"", "root_path": "", "headers": [(b"authorization", value)],
            "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2),
        }  # fmt: skip

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Message) -> None:
            sent.append(message)

        await service.app(scope, receive, send)
        return int(sent[0]["status"])

    with Runner() as runner:

        @settings(max_examples=1000, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(header_values(made.key_id))
        def refused(value: bytes) -> None:
            tried.append(value)
            assert runner.run(status_of(value)) == 401

        refused()
    assert len(tried) >= 1000 and any(made.key_id.encode() in value for value in tried)


def test_odd_headers_on_the_wire_are_401(service: Running, key: Callable[[Scope], dict[str, str]]) -> None:
    valid = key(READ)["Authorization"]
    for values in (["Bearer cl\xe9"], ["\xff\xfe"], [""], [valid, valid], [valid + "\xe9"], ["Bearer"]):
        connection = http.client.HTTPConnection(urlsplit(service.url).netloc, timeout=20)
        connection.putrequest("GET", "/status")
        for value in values:
            connection.putheader("Authorization", value.encode("latin-1"))
        connection.endheaders()
        assert connection.getresponse().status == 401, values
        connection.close()


def test_keys_are_not_logged(
    http: httpx.Client, key: Callable[[Scope], dict[str, str]], caplog: pytest.LogCaptureFixture
) -> None:
    valid = key(READ)
    token = valid["Authorization"].removeprefix("Bearer ")
    caplog.set_level(logging.DEBUG)
    for headers in (valid, {"Authorization": f"Bearer {token}x"}, {"Authorization": f"Basic {token}"}):
        for method, path in (("GET", "/status"), ("GET", "/nowhere"), ("PUT", "/items/x"), ("GET", "/metrics")):
            answer = http.request(method, path, headers=headers)
            assert token.rpartition("_")[2] not in answer.text + str(answer.headers)
    logged = "".join(str(record.__dict__) for record in caplog.records)
    assert logged and token.rpartition("_")[2] not in logged


def test_openapi_tells_what_each_operation_needs(http: httpx.Client) -> None:
    document = http.get("/openapi.json").json()
    assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    told = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            (scope,) = [scope for each in operation.get("security", []) for scope in each["key"]] or [None]
            told[f"{method.upper()} {path}"] = scope
            expected = {None: set(), "read": {"401", "429"}}.get(scope, {"401", "403", "429"})
            assert {"401", "403", "429"} & set(operation["responses"]) == expected
    hidden = {"GET /", "GET /docs", "GET /openapi.json"}
    assert told == {route.replace(":id", ""): access for route, access in ACCESS.items() if route not in hidden}
    assert "Scope of the key: admin" in http.get("/docs").text


def test_a_database_that_is_away_leaves_the_keys_as_they_were(store: KeyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyrings, "REFRESH_S", 0.01)
    first, token = store.create(READ)
    reads: list[int] = []

    def read() -> list[ApiKey]:
        reads.append(len(reads))
        if 1 <= len(reads) - 1 <= 3:
            raise Unavailable("the database does not answer")
        return store.list_keys()

    async def scenario() -> None:
        keyring = Keyring(read)
        keyring.refresh()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(keyring.follow)
            while len(reads) < 4:
                assert keyring.find(token.encode()) == first
                await anyio.sleep(0)
            store.revoke(first.key_id)
            with anyio.fail_after(10):
                while keyring.find(token.encode()) is not None:
                    await anyio.sleep(0)
            assert not keyring.is_empty
            tasks.cancel_scope.cancel()

    anyio.run(scenario)


def test_health_and_page_are_never_asked_for_a_key(http: httpx.Client, key: Callable[[Scope], dict[str, str]]) -> None:
    key(ADMIN)
    wait_until(lambda: http.get("/health/ready").status_code == 200)
    for path in ("/health/live", "/", "/static/app.js", "/docs"):
        assert http.get(path).status_code == 200
