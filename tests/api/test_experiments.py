"""An experiment over HTTP: drafted, started, met by requests, reported on, stopped; and what is refused."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.api.conftest import Running
from tests.workers.toy import wait_until

ARMS = [{"name": "old", "weight": 0.5}, {"name": "warm", "weight": 0.5, "pipeline": {"adapter": False}}]


@pytest.fixture
def drafted(http: httpx.Client) -> Iterator[str]:
    """A draft in a layer of its own, stopped at the end if it was started."""
    name = f"exp/{uuid4().hex[:8]}"
    body = {"experiment_id": name, "arms": ARMS, "primary": "clicks", "layer": name, "expected_units": 100}
    answer = http.post("/experiments", json=body)
    assert answer.status_code == 201, answer.text
    yield name
    http.post(f"/experiments/{name}/stop")


def started(http: httpx.Client, name: str) -> dict[str, Any]:
    answer = http.post(f"/experiments/{name}/start")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_a_draft_is_shown_as_it_was_sent_with_defaults(http: httpx.Client, drafted: str) -> None:
    found = http.get(f"/experiments/{drafted}").json()
    assert (found["status"], found["kind"], found["salt"], found["share"]) == ("draft", "ab", drafted, 1.0)
    assert found["arms"] == [
        {"name": "old", "weight": 0.5, "pipeline": {}},
        {"name": "warm", "weight": 0.5, "pipeline": {"adapter": False}},
    ]
    assert found["buckets"] == [] and found["started_at"] is None
    assert found in http.get("/experiments").json()["experiments"]


def test_requests_meet_their_arm_and_say_so(http: httpx.Client, drafted: str, service: Running) -> None:
    assert http.get("/users/tea-user-1/recommendations").json()["assignments"] == []
    assert started(http, drafted)["buckets"] == [[0, 10_000]]
    met = {}
    for n in range(40):
        answer = http.post("/recommendations", json={"session_id": f"s{n}", "limit": 3})
        [assignment] = answer.json()["assignments"]
        assert assignment["experiment"] == drafted
        met[f"s{n}"] = assignment["arm"]
        assert assignment["arm"] == "old" or not any(row["cold"] for row in answer.json()["rows"])
    assert set(met.values()) == {"old", "warm"}
    again = http.get("/users/s7/recommendations").json()["assignments"]
    assert again == [{"experiment": drafted, "arm": met["s7"]}]  # a session and a user of one id are one unit
    for anonymous in ({}, {"clicked": ["tea-1"]}, {"session_id": "s1", "diversity": 0.5}):
        assert http.post("/recommendations", json=anonymous).json()["assignments"] == []
    items = {}
    for unit in ("s1", "s2", "s3"):
        items[unit] = http.post("/recommendations", json={"session_id": unit}).json()["rows"][0]["item_id"]
    clicks = [{"event_id": f"{drafted}-{u}", "user_id": u, "item_id": item} for u, item in items.items()]
    assert http.post("/events", json={"events": clicks}).status_code == 202
    report = http.get(f"/experiments/{drafted}/report").json()
    assert report["lists"] == 44 and sum(report["split"]["units"]) == 40 and report["parity"]["reasons"] == []
    [found] = report["comparisons"]
    assert report["verdict"]["decision"] == "open" and found["lift"]["units"] == 40
    clicked = [met[unit] for unit in items].count("old"), [met[unit] for unit in items].count("warm")
    assert found["lift"]["control"] * list(met.values()).count("old") == pytest.approx(clicked[0])
    assert found["lift"]["treatment"] * list(met.values()).count("warm") == pytest.approx(clicked[1])
    assert report["parity"]["inputs"][0]["sources"] == ["events of the catalogue"]
    metrics = http.get("/metrics").text
    assert 'coldstart_exposures_total{outcome="logged"}' in metrics


def test_what_was_shown_is_written_without_a_report(http: httpx.Client, drafted: str, service: Running) -> None:
    started(http, drafted)
    http.post("/recommendations", json={"session_id": "s1"})
    wait_until(lambda: service.runtime.experiments.report(drafted).lists == 1, what="the exposure in the database")


def test_lists_can_be_interleaved(http: httpx.Client) -> None:
    name = f"mix-{uuid4().hex[:8]}"
    body = {"experiment_id": name, "arms": ARMS, "primary": "clicks", "kind": "interleaving", "layer": name}
    assert http.post("/experiments", json=body).status_code == 201
    started(http, name)
    try:
        answer = http.post("/recommendations", json={"session_id": "s1", "limit": 4}).json()
        assert answer["assignments"] == [{"experiment": name, "arm": "interleaved"}] and len(answer["rows"]) == 4
        report = http.get(f"/experiments/{name}/report").json()
        assert report["preference"]["lists"] == 1 and report["comparisons"] == []
    finally:
        assert http.post(f"/experiments/{name}/stop").json()["status"] == "stopped"


def test_what_runs_cannot_be_edited_and_nothing_goes_back(http: httpx.Client, drafted: str) -> None:
    edit = {"arms": ARMS, "primary": "click_through", "layer": drafted}
    assert http.put(f"/experiments/{drafted}", json=edit).json()["primary"] == "click_through"
    started(http, drafted)
    for status in ("running", "stopped"):
        refused = http.put(f"/experiments/{drafted}", json=edit)
        assert refused.status_code == 409 and f"is {status} and cannot be edited" in refused.json()["detail"]
        assert refused.json()["subject"] == drafted and refused.json()["remedy"]
        assert http.post(f"/experiments/{drafted}/start").status_code == 409
        assert http.post(f"/experiments/{drafted}/stop").status_code == (200 if status == "running" else 409)


def test_weights_that_do_not_sum_are_refused_with_the_sum(http: httpx.Client) -> None:
    arms = [{"name": "a", "weight": 0.5}, {"name": "b", "weight": 0.4}]
    answer = http.post("/experiments", json={"experiment_id": "odd", "arms": arms, "primary": "clicks"})
    assert answer.status_code == 422 and "the arms' weights sum to 0.9, not to 1" in answer.json()["detail"]
    assert http.get("/experiments/odd").status_code == 404


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"arms": ARMS[:1]}, "body.arms"),
        ({"arms": [{"name": "a", "weight": "half"}, ARMS[1]]}, "body.arms.0.weight"),
        ({"arms": [{**ARMS[0], "pipeline": {"magic": 1}}, ARMS[1]]}, "body.arms.0.pipeline.magic"),
        ({"kind": "bandit"}, "body.kind"),
        ({"share": 0}, "body.share"),
        ({"guardrails": [{"metric": "clicks", "margin": 2}]}, "body.guardrails.0.margin"),
    ],
)
def test_a_field_that_cannot_be_is_named(http: httpx.Client, change: dict[str, Any], field: str) -> None:
    answer = http.post("/experiments", json={"experiment_id": "odd", "arms": ARMS, "primary": "clicks", **change})
    assert answer.status_code == 422 and field in {each["field"] for each in answer.json()["errors"]}


def test_an_arm_that_the_service_cannot_serve_does_not_start(http: httpx.Client, drafted: str) -> None:
    arms = [ARMS[0], {"name": "next", "weight": 0.5, "pipeline": {"adapter": "not-this-one"}}]
    assert http.put(f"/experiments/{drafted}", json={"arms": arms, "primary": "clicks"}).status_code == 200
    refused = http.post(f"/experiments/{drafted}/start")
    assert refused.status_code == 422 and "wants the adapter not-this-one" in refused.json()["detail"]
    assert http.get(f"/experiments/{drafted}").json()["status"] == "draft"


def test_a_share_that_is_not_free_is_refused(http: httpx.Client, drafted: str) -> None:
    started(http, drafted)
    body = {"experiment_id": f"{drafted}-2", "arms": ARMS, "primary": "clicks", "layer": drafted, "share": 0.1}
    assert http.post("/experiments", json=body).status_code == 201
    refused = http.post(f"/experiments/{drafted}-2/start")
    assert refused.status_code == 409 and "of the layer's traffic are wanted" in refused.json()["detail"]


def test_an_id_is_taken_once_and_an_unknown_one_is_not_found(http: httpx.Client, drafted: str) -> None:
    body = {"experiment_id": drafted, "arms": ARMS, "primary": "clicks"}
    assert http.post("/experiments", json=body).status_code == 409
    for method, path in (("GET", ""), ("GET", "/report"), ("POST", "/start"), ("POST", "/stop")):
        assert http.request(method, f"/experiments/never-heard-of{path}").status_code == 404
