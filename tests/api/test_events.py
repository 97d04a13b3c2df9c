"""Events over HTTP: committed all or none, and once."""

import time
from typing import Any

import httpx
import pytest

EVENT = {"event_id": "e-1", "user_id": "somebody", "item_id": "tea-1", "timestamp": 1764000000.5, "kind": "view"}


def test_a_repeated_delivery_changes_nothing(http: httpx.Client) -> None:
    first = http.post("/events", json={"events": [EVENT, {**EVENT, "event_id": "e-2"}]})
    assert first.status_code == 202 and first.json() == {"recorded": 2, "duplicates": 0, "unknown_items": 0}
    again = http.post("/events", json={"events": [EVENT, {**EVENT, "event_id": "e-3"}]})
    assert again.json() == {"recorded": 1, "duplicates": 1, "unknown_items": 0}


def test_events_on_items_that_are_unknown_are_kept_and_counted(http: httpx.Client, service: Any) -> None:
    events = [{**EVENT, "event_id": f"odd-{n}", "user_id": "odd", "item_id": f"no-such-{n}"} for n in range(2)]
    answer = http.post("/events", json={"events": [*events, {**EVENT, "event_id": "odd", "user_id": "odd"}]})
    assert answer.json() == {"recorded": 3, "duplicates": 0, "unknown_items": 2}
    assert len(service.runtime.store.recent_events("odd", limit=5)) == 3


def test_a_timestamp_ahead_of_the_server_becomes_its_time(http: httpx.Client, service: Any) -> None:
    before = time.time()
    http.post("/events", json={"events": [{**EVENT, "event_id": "ahead", "user_id": "ahead", "timestamp": 9e10}]})
    [stored] = service.runtime.store.recent_events("ahead", limit=5)
    assert before <= stored.timestamp <= time.time()


def test_events_are_stored_as_they_were_sent(http: httpx.Client, service: Any) -> None:
    http.post("/events", json={"events": [{**EVENT, "event_id": "stored", "user_id": "né/1"}]})
    [stored] = service.runtime.store.recent_events("né/1", limit=5)
    assert (stored.event_id, stored.item_id, stored.timestamp, stored.kind) == ("stored", "tea-1", 1764000000.5, "view")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"event_id": ""}, "body.events.1.event_id"),
        ({"event_id": None}, "body.events.1.event_id"),
        ({"user_id": "a\0b"}, "body.events.1.user_id"),
        ({"timestamp": "2026-01-01"}, "body.events.1.timestamp"),
        ({"timestamp": True}, "body.events.1.timestamp"),
        ({"timestamp": -1}, "body.events.1.timestamp"),
        ({"timestamp": 1e12}, "body.events.1.timestamp"),
        ({"kind": ""}, "body.events.1.kind"),
        ({"extra": 1}, "body.events.1.extra"),
    ],
)
def test_one_bad_event_refuses_the_batch_by_its_place(http: httpx.Client, change: Any, field: str) -> None:
    bad = {**EVENT, "event_id": "bad", "user_id": "careful"} | change
    answer = http.post("/events", json={"events": [{**EVENT, "event_id": "good", "user_id": "careful"}, bad]})
    assert answer.status_code == 422 and [error["field"] for error in answer.json()["errors"]] == [field]
    assert http.get("/users/careful/recommendations").json()["strategy"] == "popular"


def test_a_kind_that_no_database_takes_is_refused(http: httpx.Client) -> None:
    answer = http.post("/events", json={"events": [{**EVENT, "event_id": "nul", "kind": "cl\0ck"}]})
    assert answer.status_code == 422 and answer.json()["subject"] == "nul"


def test_a_batch_is_bounded(http: httpx.Client) -> None:
    assert http.post("/events", json={"events": []}).status_code == 422
    assert http.post("/events", json={"events": [EVENT] * 1001}).status_code == 422
