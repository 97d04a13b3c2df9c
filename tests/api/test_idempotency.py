"""A request with a key may be sent again: it is done once, and answered as the first time."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from api.idempotency import read_key
from coldstart.access import Scope
from coldstart.catalog import Stage
from coldstart.errors import InvalidInput
from tests.api.conftest import Running
from tests.workers.toy import wait_until

REQUESTS, TIMES = 200, 3


def keyed(value: str) -> dict[str, str]:
    return {"Idempotency-Key": f'"{value}"'}


def test_the_same_put_again_is_the_first_answer_again(http: httpx.Client) -> None:
    first, again = (http.put("/items/once", json={"title": "Once"}, headers=keyed("put-1")) for _ in range(2))
    assert first.status_code == again.status_code == 202 and again.json() == first.json()
    assert http.get("/items/once").json()["version"] == 1
    assert http.put("/items/once", json={"title": "Once"}).json()["version"] == 2  # without a key, as ever


def test_the_same_batch_again_is_the_first_answer_again(http: httpx.Client) -> None:
    body = {"items": [{"item_id": "one-of-two", "title": "Of two"}, {"item_id": "two-of-two"}]}
    first, again = (http.post("/items/batch", json=body, headers=keyed("batch-1")) for _ in range(2))
    assert first.status_code == 207 and (first.json()["accepted"], first.json()["refused"]) == (1, 1)
    assert again.json() == first.json() and http.get("/items/one-of-two").json()["version"] == 1


def test_a_delete_again_leaves_what_came_after_it(http: httpx.Client) -> None:
    http.put("/items/withdrawn", json={"title": "Withdrawn"})
    first = http.delete("/items/withdrawn", headers=keyed("delete-1"))
    http.put("/items/withdrawn", json={"title": "Back"})
    assert http.delete("/items/withdrawn", headers=keyed("delete-1")).json() == first.json()
    assert http.get("/items/withdrawn").json()["title"] == "Back"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/items/keyed", {"title": "Another"}),
        ("PUT", "/items/keyed-2", {"title": "Keyed"}),
        ("DELETE", "/items/keyed", None),
        ("POST", "/items/batch", {"items": [{"item_id": "keyed", "title": "Another"}]}),
    ],
)
def test_another_request_with_a_key_is_refused(http: httpx.Client, method: str, path: str, body: Any) -> None:
    assert http.put("/items/keyed", json={"title": "Keyed"}, headers=keyed("taken")).status_code == 202
    answer = http.request(method, path, json=body, headers=keyed("taken"))
    assert answer.status_code == 422 and answer.json()["subject"] == "taken" and "new key" in answer.json()["remedy"]
    assert (http.get("/items/keyed").json()["title"], http.get("/items/keyed").json()["version"]) == ("Keyed", 1)


def test_while_the_first_is_being_answered_the_key_is_refused(service: Running, http: httpx.Client) -> None:
    """The first waits for a database whose one writer is held up here."""
    database = service.runtime.store._database  # type: ignore[attr-defined]
    in_flight: set[tuple[str | None, str]] = service.app.state.service.in_flight
    with ThreadPoolExecutor(1) as pool:
        with database.write():
            first = pool.submit(http.put, "/items/slow", json={"title": "Slow"}, headers=keyed("slow-1"))
            pause = threading.Event()
            while (None, "slow-1") not in in_flight and not first.done():
                pause.wait(0.01)
            second = httpx.put(f"{service.url}/items/slow", json={"title": "Slow"}, headers=keyed("slow-1"))
            assert second.status_code == 409 and second.json()["type"] == "urn:coldstart:in-flight"
            assert second.headers["retry-after"] == "1"
        assert first.result().status_code == 202
    assert http.put("/items/slow", json={"title": "Slow"}, headers=keyed("slow-1")).json() == first.result().json()


def test_a_key_is_nothing_to_another_caller(http: httpx.Client, key: Callable[[Scope], dict[str, str]]) -> None:
    ours, theirs = key(Scope.WRITE), key(Scope.WRITE)
    first = http.put("/items/ours", json={"title": "Ours"}, headers=ours | keyed("shared"))
    other = http.put("/items/theirs", json={"title": "Theirs"}, headers=theirs | keyed("shared"))
    assert first.status_code == other.status_code == 202 and other.json()["item_id"] == "theirs"
    assert http.put("/items/ours", json={"title": "Ours"}, headers=theirs | keyed("shared")).status_code == 422
    again = http.put("/items/ours", json={"title": "Ours"}, headers=ours | keyed("shared"))
    assert again.json() == first.json()


def test_a_key_in_flight_holds_up_no_other_caller(
    service: Running, http: httpx.Client, key: Callable[[Scope], dict[str, str]]
) -> None:
    ours, theirs = key(Scope.WRITE), key(Scope.WRITE)
    caller = ours["Authorization"].split("_")[1]
    in_flight: set[tuple[str | None, str]] = service.app.state.service.in_flight
    in_flight.add((caller, "busy"))
    try:
        assert http.delete("/items/unknown", headers=ours | keyed("busy")).status_code == 409
        assert http.delete("/items/unknown", headers=theirs | keyed("busy")).status_code == 404
    finally:
        in_flight.discard((caller, "busy"))


def test_every_request_sent_three_times_at_once_takes_effect_once(service: Running) -> None:
    async def send(client: httpx.AsyncClient, n: int) -> tuple[int, int]:
        while True:
            answer = await client.put(f"/items/thrice-{n}", json={"title": f"Number {n}"}, headers=keyed(f"thrice-{n}"))
            if answer.status_code == 202:
                return n, answer.json()["version"]
            assert (answer.status_code, answer.headers["retry-after"]) == (409, "1")

    async def send_all() -> list[tuple[int, int]]:
        limits = httpx.Limits(max_connections=12)
        async with httpx.AsyncClient(base_url=service.url, timeout=60, limits=limits) as client:
            return await asyncio.gather(*(send(client, n) for n in range(REQUESTS) for _ in range(TIMES)))

    answers = asyncio.run(send_all())
    assert len(answers) == REQUESTS * TIMES and {version for _, version in answers} == {1}
    stored = service.runtime.store.get_many([f"thrice-{n}" for n in range(REQUESTS)])
    assert {record.version for record in stored.values()} == {1} and len(stored) == REQUESTS
    for item_id in stored:  # other tests share the service, and would find its lists full of these
        service.runtime.store.delete(item_id)
    service.runtime.wake_index()
    wait_until(lambda: not service.runtime.index.fetch(list(stored)) and service.runtime.store.due(Stage.INDEX) == 0)


@pytest.mark.parametrize("header", ["", '""', '"open', '"a" "b"', "x" * 256, "né", "tab\there"])
def test_what_is_no_key_is_refused(header: str) -> None:
    with pytest.raises(InvalidInput, match="Idempotency-Key"):
        read_key(header)


@pytest.mark.parametrize(("header", "value"), [("a-b_c", "a-b_c"), (' "a" ', "a"), (r'"a\"b\\c"', r'a"b\c')])
def test_a_key_is_a_structured_string_or_bare(header: str, value: str) -> None:
    assert read_key(header) == value


def test_an_unusable_header_is_a_problem_document(http: httpx.Client) -> None:
    answer = http.put("/items/no-key", json={"title": "No key"}, headers={"Idempotency-Key": '"open'})
    assert answer.status_code == 422 and answer.json()["subject"] == "Idempotency-Key"
    assert http.get("/items/no-key").status_code == 404


def test_the_reference_documents_the_header(http: httpx.Client) -> None:
    paths = http.get("/openapi.json").json()["paths"]
    for path, method in (("/items/{item_id}", "put"), ("/items/batch", "post"), ("/items/{item_id}", "delete")):
        operation = paths[path][method]
        header = next(each for each in operation["parameters"] if each["in"] == "header")
        assert header["name"] == "Idempotency-Key" and not header["required"] and "409" in operation["responses"]
