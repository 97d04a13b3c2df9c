"""Every error is a problem document, says what to do, and gives nothing away."""

import http.client
import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi.testclient import TestClient
from pydantic import ValidationError

from api.access import Guard
from api.app import create_app
from api.dependencies import Service
from api.headers import SECURITY
from api.problems import problem_of
from api.schemas.requests import MAX_WANTED, ItemBody, RecommendationsBody
from coldstart.bodies import Body
from coldstart.errors import Conflict, InvalidInput, MissingExtra, NotFound, Unavailable
from coldstart.settings import Settings
from tests.api.conftest import MAX_BODY, Running

JSON = {"Content-Type": "application/json"}


def raw(service: Running, method: str, path: str, body: bytes, headers: dict[str, str]) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection(urlsplit(service.url).netloc, timeout=20)
    connection.request(method, path, body, headers)
    return connection.getresponse()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("GET", "/items/", 404),
        ("GET", "/items/unknown", 404),
        ("GET", "/items/%FF", 422),
        ("GET", "/items/%20", 422),
        ("PATCH", "/items/x", 405),
        ("PUT", "/items/x", 415),
    ],
)
def test_errors_are_problem_documents(http: httpx.Client, method: str, path: str, status: int) -> None:
    answer = http.request(method, path)
    problem = answer.json()
    assert answer.status_code == problem["status"] == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert re.fullmatch(r"urn:coldstart:[a-z-]+", problem["type"]) and problem["title"] and problem["detail"]


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/items/x", {"GET", "PUT", "DELETE"}),
        ("/items/batch", {"GET", "PUT", "DELETE", "POST"}),
        ("/items", {"GET"}),
        ("/events", {"POST"}),
        ("/health/live", {"GET"}),
        ("/dead-letters/x/retry", {"POST"}),
    ],
)
def test_405_names_every_method_there_is(http: httpx.Client, path: str, allowed: set[str]) -> None:
    answer = http.request("PATCH", path)
    assert answer.status_code == 405 and set(answer.headers["allow"].split(", ")) == allowed
    assert all(method in answer.json()["remedy"] for method in allowed)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"title": NaN}',
        b'{"title": "x", "attributes": {"a": Infinity}}',
        b'{"title": "x", "attributes": {"a": 1e999}}',
        rb'{"title": "\ud800"}',
        b'{"title": "\xff"}',
        b'{"title": "x", "attributes": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"a":' * 1000 + b"1" + b"}" * 1000,
        b"null",
        b'"text"',
        b'{"title": "x", "source_version": ' + b"9" * 5000 + b"}",
    ],
)
def test_a_body_that_is_not_sound_json_is_refused(http: httpx.Client, body: bytes) -> None:
    answer = http.put("/items/unsound", content=body, headers=JSON)
    assert answer.status_code == 422 and answer.json()["errors"][0]["field"].startswith("body"), answer.text
    assert http.get("/items/unsound").status_code == 404


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", None])
def test_other_media_types_are_415(http: httpx.Client, media_type: str | None) -> None:
    headers = {"Content-Type": media_type} if media_type else {}
    answer = http.post("/recommendations", content=b"{}", headers=headers)
    assert answer.status_code == 415 and "application/json" in answer.json()["detail"]


def test_encoded_bodies_are_415(http: httpx.Client) -> None:
    answer = http.post("/recommendations", content=b"{}", headers={**JSON, "Content-Encoding": "gzip"})
    assert answer.status_code == 415 and "gzip" in answer.json()["detail"]


def test_json_by_another_name_is_taken(http: httpx.Client) -> None:
    for media_type in ("application/json; charset=utf-8", "application/vnd.shop+json"):
        answer = http.post("/recommendations", content=b"{}", headers={"Content-Type": media_type})
        assert answer.status_code == 200


def test_a_declared_body_over_the_cap_is_413_before_it_is_sent(service: Running) -> None:
    connection = http.client.HTTPConnection(urlsplit(service.url).netloc, timeout=20)
    connection.putrequest("PUT", "/items/large")
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", str(MAX_BODY + 1))
    connection.endheaders()
    answer = connection.getresponse()
    problem = json.loads(answer.read())
    assert answer.status == problem["status"] == 413 and str(MAX_BODY) in problem["detail"]
    assert answer.getheader("Content-Type") == "application/problem+json"
    connection.close()


def test_a_chunked_body_is_cut_off_at_the_cap(service: Running) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        yield b'{"title": "'
        for _ in range(10_000):
            sent += 65_536
            yield b"x" * 65_536

    try:
        answer = httpx.put(f"{service.url}/items/large", content=endless(), headers=JSON, timeout=20)
    except httpx.WriteError:  # the service hung up on what it would not read
        pass
    else:
        assert answer.status_code == 413 and answer.json()["status"] == 413 and "smaller" in answer.json()["remedy"]
    assert sent < 100_000_000
    assert httpx.get(f"{service.url}/items/large").status_code == 404


def test_a_body_at_the_cap_is_taken(http: httpx.Client) -> None:
    body = b'{"title": "Just so"' + b" " * (MAX_BODY - 20) + b"}"
    assert len(body) == MAX_BODY
    assert http.put("/items/at-the-cap", content=body, headers=JSON).status_code == 202


def test_every_answer_carries_the_security_headers(http: httpx.Client) -> None:
    for path in ("/health/live", "/items/unknown", "/nowhere", "/openapi.json"):
        answer = http.get(path)
        assert {name: answer.headers[name] for name in SECURITY} == SECURITY
    page = http.get("/docs").headers
    assert "default-src 'none'" in page["content-security-policy"] and "unsafe" not in page["content-security-policy"]


@contextmanager
def failing(error: Exception) -> Iterator[TestClient]:
    """A client of an application whose store fails with this error; no lifespan, so nothing is opened or closed."""
    app = create_app(Settings())

    class Failing:
        def get(self, _: str) -> None:
            raise error

    class Runtime:
        store, settings = Failing(), Settings()

    app.state.guard = Guard()
    app.state.service = Service.of(Runtime())  # type: ignore[arg-type]
    yield TestClient(app, raise_server_exceptions=False)


def test_an_unforeseen_error_is_a_500_that_gives_nothing_away() -> None:
    with failing(RuntimeError("password=hunter2")) as client:
        answer = client.get("/items/x")
    assert answer.status_code == 500 and answer.headers["content-type"] == "application/problem+json"
    assert "hunter2" not in answer.text and "RuntimeError" not in answer.text and answer.json()["remedy"]
    assert answer.headers["content-security-policy"] == SECURITY["Content-Security-Policy"]


def test_an_unavailable_part_is_a_503_with_a_time_to_come_back() -> None:
    with failing(Unavailable("the database does not answer")) as client:
        answer = client.get("/items/x")
    assert answer.status_code == 503 and int(answer.headers["retry-after"]) >= 1


@pytest.mark.parametrize(
    ("error", "kind", "status"),
    [
        (InvalidInput("x"), "invalid-input", 422),
        (NotFound("x"), "not-found", 404),
        (Conflict("x"), "conflict", 409),
        (MissingExtra("torch", extra="train", purpose="Encoding"), "missing-extra", 501),
    ],
)
def test_our_errors_keep_their_status_and_name(error: InvalidInput, kind: str, status: int) -> None:
    problem = problem_of(error)
    assert (problem.type, problem.status) == (f"urn:coldstart:{kind}", status)


@pytest.mark.parametrize(("body", "field"), [(ItemBody, "title"), (RecommendationsBody, "preferences")])
def test_a_text_is_measured_before_it_is_read(body: type[Body], field: str) -> None:
    """Cleaning takes seconds for what a body may hold, on the event loop that everybody shares."""
    started = time.process_time()
    with pytest.raises(ValidationError, match="at most"):
        body.model_validate({field: "é" * 10_000_000})
    assert time.process_time() - started < 0.5


def test_a_condition_names_few_values(http: httpx.Client) -> None:
    def asked(values: int) -> httpx.Response:
        return http.post("/recommendations", json={"filter": {"attributes.price": [*range(values)]}})

    assert asked(MAX_WANTED).status_code == 200
    assert asked(MAX_WANTED + 1).status_code == 422 and "at most 1,000" in asked(MAX_WANTED + 1).json()["detail"]


@pytest.mark.parametrize(
    ("path", "wrap"),
    [
        ("/recommendations", lambda many: many),
        ("/recommendations", lambda many: {"filter": many}),
        ("/events", lambda many: {"events": [many]}),
    ],
)
def test_what_is_wrong_a_thousand_times_is_one_error(
    http: httpx.Client, path: str, wrap: Callable[[dict[str, int]], dict[str, Any]]
) -> None:
    problem = http.post(path, json=wrap({f"f{n}": n for n in range(10_000)})).json()
    assert problem["status"] == 422 and len(problem["errors"]) == 1, problem
