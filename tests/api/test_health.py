"""Liveness, readiness, status, metrics, dead letters, and the reference."""

import re

import anyio
import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from api.readiness import Readiness
from coldstart.catalog import Draft
from coldstart.entities import Item
from coldstart.errors import Unavailable
from tests.api.conftest import Running, follow
from tests.workers.toy import wait_until
from workers.embedded import EmbeddedWorker


def test_alive_and_ready(http: httpx.Client) -> None:
    assert http.get("/health/live").json() == {"status": "alive"}
    assert http.get("/health/ready").json() == {"status": "ready"}


def test_not_ready_without_its_worker(http: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EmbeddedWorker, "alive", False)
    answer = http.get("/health/ready")
    assert answer.status_code == 503 and "the worker has ended" in answer.json()["detail"]


def test_alive_though_the_database_is_away(
    http: httpx.Client, service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(**_: object) -> None:
        raise Unavailable("the database does not answer")

    monkeypatch.setattr(service.runtime.behaviour, "list_items", away)
    assert http.get("/health/ready").status_code == 503
    assert http.get("/health/live").json() == {"status": "alive"}


def test_not_ready_until_every_step_was_taken() -> None:
    readiness, taken = Readiness(), []
    with pytest.raises(Unavailable, match="being loaded"):
        readiness.require()
    anyio.run(readiness.warm_up, lambda: taken.append(1), lambda: taken.append(2))
    readiness.require()
    assert taken == [1, 2]


def test_a_step_that_fails_is_told_and_taken_again(monkeypatch: pytest.MonkeyPatch) -> None:
    readiness = Readiness()
    told: list[str] = []

    def step() -> None:
        if not told:
            raise RuntimeError("no weights")

    async def instead_of_waiting(_: float) -> None:
        with pytest.raises(Unavailable) as error:
            readiness.require()
        told.append(error.value.what)

    monkeypatch.setattr("api.readiness.sleep", instead_of_waiting)
    anyio.run(readiness.warm_up, step)
    assert told == ["not ready: no weights"]
    readiness.require()


def test_status_counts_items_and_times(http: httpx.Client, service: Running) -> None:
    http.put("/items/counted", json={"title": "Counted"})
    follow(http, "counted", "retrievable")
    # The shop's own 16 items come in behind the posted one.
    wait_until(lambda: http.get("/status").json()["counts"]["retrievable"] >= 17)
    status = http.get("/status").json()
    assert set(status["counts"]) == {"pending", "encoding", "retrievable", "dead", "deleted"}
    assert status["adapter_version"] == service.runtime.adapter.version and status["backbone"] == "external"
    times = status["time_to_recommendable"]
    assert times["items"] >= 1 and 0 < times["p50_ms"] <= times["p95_ms"]


def test_metrics_are_prometheus_and_count_requests_by_route(http: httpx.Client) -> None:
    http.get("/items/some-id")
    answer = http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    families = {family.name: family for family in text_string_to_metric_families(answer.text)}
    assert "coldstart_time_to_recommendable_seconds" in families
    routes = {sample.labels["route"] for sample in families["coldstart_request_seconds"].samples}
    assert "/items/{item_id:id}" in routes and not any("some-id" in route for route in routes)


def test_an_item_that_cannot_be_encoded_is_a_dead_letter_and_can_be_tried_again(
    http: httpx.Client, service: Running
) -> None:
    service.runtime.store.accept([Draft(Item("empty/1", ""))])
    service.runtime.wake()
    dead = follow(http, "empty%2F1", "dead")
    assert "neither a text nor" in dead["error"]
    assert "empty/1" in [item["item_id"] for item in http.get("/dead-letters").json()["items"]]
    again = http.post("/dead-letters/empty%2F1/retry")
    assert again.status_code == 202 and again.json()["item_id"] == "empty/1"
    follow(http, "empty%2F1", "dead")
    assert http.post("/dead-letters/tea-1/retry").status_code == 404
    assert http.put("/items/empty%2F1", json={"title": "Mended"}).status_code == 202
    follow(http, "empty%2F1", "retrievable")
    assert "empty/1" not in [item["item_id"] for item in http.get("/dead-letters").json()["items"]]


def test_openapi_documents_every_operation_with_its_problems(http: httpx.Client) -> None:
    openapi = http.get("/openapi.json").json()
    operations = [
        (f"{method} {path}", operation) for path, methods in openapi["paths"].items() for method, operation in
        methods.items()
    ]  # fmt: skip
    assert len(operations) >= 16
    for name, operation in operations:
        assert operation["summary"] and operation["tags"] and operation["description"], name
        if "requestBody" in operation:
            assert {"413", "415", "422"} <= set(operation["responses"]), name
            reference = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
            assert openapi["components"]["schemas"][reference.rpartition("/")[2]]["description"], name
        for status, answer in operation["responses"].items():
            assert int(status) < 400 or list(answer["content"]) == ["application/problem+json"], name
    assert "HTTPValidationError" not in openapi["components"]["schemas"]
    assert {"Problem", "BatchItem"} <= set(openapi["components"]["schemas"])


def test_the_reference_names_every_operation_and_loads_nothing_from_elsewhere(http: httpx.Client) -> None:
    page = http.get("/docs").text
    for path, methods in http.get("/openapi.json").json()["paths"].items():
        for method in methods:
            assert f"{method.upper()} {path}" in page
    assert not re.search(r"(src|href)=.?(https?:)?//", page) and "<script" not in page
