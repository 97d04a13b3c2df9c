"""Lists for a known user, for clicks, for a sentence, for nobody, and what is not a request."""

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import httpx
import pytest


def kinds(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [row["item_id"].partition("-")[0] for row in answer.json()["rows"]]


def test_a_known_user_gets_the_unseen_of_their_kind_first(http: httpx.Client) -> None:
    for kind in ("tea", "tool"):
        answer = http.get(f"/users/{kind}-user-1/recommendations", params={"limit": 2})
        assert answer.json()["strategy"] == "history" and answer.json()["degraded"] is False
        rows = http.post("/recommendations", json={"user_id": f"{kind}-user-1", "filter": {"cold": False}, "limit": 2})
        assert kinds(rows) == [kind, kind]
        # Everybody clicked six of the eight of their kind.
        assert {row["item_id"] for row in rows.json()["rows"]} == {f"{kind}-3", f"{kind}-7"}


def test_the_answer_says_how_it_was_made(http: httpx.Client, service: Any) -> None:
    answer = http.get("/users/tea-user-0/recommendations", params={"limit": 1}).json()
    assert set(answer) == {"rows", "list_id", "strategy", "adapter_version", "degraded", "ignored", "assignments"}
    assert answer["adapter_version"] == service.runtime.adapter.version
    assert answer["rows"][0]["reason"]


def test_who_has_asked_before_gets_the_list_that_the_framework_would_have_made(
    http: httpx.Client, service: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, asked = "/users/tool-user-3/recommendations", {"limit": 3}
    first = http.get(address, params=asked).json()
    made: list[bool] = []
    recommend = type(service.runtime).recommend

    def watched(self: Any, *args: Any, **options: Any) -> Any:
        answer = recommend(self, *args, **options)
        made.append(options.get("at_hand", False))
        return answer

    monkeypatch.setattr(type(service.runtime), "recommend", watched)
    again = http.get(address, params=asked)
    assert made == [True] and again.headers["content-type"] == "application/json"
    assert again.headers["x-content-type-options"] == "nosniff"
    assert again.json().keys() == first.keys() and again.json()["strategy"] == first["strategy"]
    assert len(again.json()["rows"]) == len(first["rows"]) == 3
    assert http.get(address, params={"limit": 2, "unknown": "x"}).json()["rows"][0].keys() == first["rows"][0].keys()
    for wrong in ("0", "1001", "three", "-1"):
        assert http.get(address, params={"limit": wrong}).status_code == 422


def test_clicked_items_and_a_sentence_each_make_a_query(http: httpx.Client) -> None:
    warm = {"cold": False}
    clicked = http.post("/recommendations", json={"clicked": ["tool-1", "tool-2"], "limit": 3, "filter": warm})
    assert kinds(clicked) == ["tool"] * 3 and clicked.json()["strategy"] == "clicks"
    assert not {"tool-1", "tool-2"} & {row["item_id"] for row in clicked.json()["rows"]}
    sentence = http.post("/recommendations", json={"preferences": "loose leaf tea", "limit": 3, "filter": warm})
    assert kinds(sentence) == ["tea"] * 3 and sentence.json()["strategy"] == "preferences"
    both = http.post("/recommendations", json={"clicked": ["tea-1"], "preferences": "a hammer", "limit": 3}).json()
    assert both["strategy"] == "clicks+preferences"


def test_clicks_on_unknown_items_are_named_and_ignored(http: httpx.Client) -> None:
    answer = http.post("/recommendations", json={"clicked": ["tool-1", "never-heard-of"]}).json()
    assert answer["ignored"] == ["never-heard-of"] and answer["strategy"] == "clicks"


@pytest.mark.parametrize("user_id", ["stranger", "né/🍵", "x/recommendations", "100%"])
def test_nobody_in_particular_gets_what_is_popular(http: httpx.Client, user_id: str) -> None:
    answer = http.get(f"/users/{quote(user_id, safe='')}/recommendations", params={"limit": 3}).json()
    assert answer["strategy"] == "popular" and len(answer["rows"]) == 3
    assert http.post("/recommendations", json={}).json()["strategy"] == "popular"


def test_filters_and_exclusions_hold(http: httpx.Client) -> None:
    wanted = {"attributes.kind": ["tool", "lamp"], "attributes.price": {"gte": 4.5, "lt": 7}}
    rows = http.post("/recommendations", json={"user_id": "tea-user-0", "filter": wanted}).json()["rows"]
    assert {row["item_id"] for row in rows} == {"tool-1", "tool-2", "tool-3"}
    rows = http.post("/recommendations", json={"user_id": "tea-user-0", "filter": wanted, "exclude": ["tool-2"]})
    assert {row["item_id"] for row in rows.json()["rows"]} == {"tool-1", "tool-3"}


def test_reasons_can_be_left_out(http: httpx.Client) -> None:
    rows = http.post("/recommendations", json={"clicked": ["tea-1"], "explain": False}).json()["rows"]
    assert rows and all(row["reason"] is None for row in rows)


def test_a_reported_click_moves_a_newcomer_at_once(http: httpx.Client) -> None:
    assert http.get("/users/newcomer/recommendations").json()["strategy"] == "popular"
    events = [{"event_id": f"newcomer-{n}", "user_id": "newcomer", "item_id": f"tool-{n}"} for n in (0, 1)]
    assert http.post("/events", json={"events": events}).json()["recorded"] == 2
    answer = http.post("/recommendations", json={"user_id": "newcomer", "limit": 3, "filter": {"cold": False}})
    assert answer.json()["strategy"] == "clicks" and kinds(answer) == ["tool"] * 3
    assert not {"tool-0", "tool-1"} & {row["item_id"] for row in answer.json()["rows"]}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"limit": False}, "body.limit"),
        ({"limit": 1.0}, "body.limit"),
        ({"limit": 0}, "body.limit"),
        ({"limit": 1001}, "body.limit"),
        ({"user_id": ""}, "body.user_id"),
        ({"user_id": "x" * 257}, "body.user_id"),
        ({"user_id": 7}, "body.user_id"),
        ({"clicked": "tea-1"}, "body.clicked"),
        ({"clicked": ["tea-1", None]}, "body.clicked.1"),
        ({"preferences": " "}, "body.preferences"),
        ({"diversty": 1}, "body.diversty"),
        ({"filter": {"cold": None}}, "body.filter.cold"),
        ({"filter": {"attributes.price": {"above": 3}}}, "body.filter.attributes.price"),
        ({"filter": {"price": 3}}, "body.filter.price"),
    ],
)
def test_what_is_not_a_request_is_refused_by_field(http: httpx.Client, body: Any, field: str) -> None:
    answer = http.post("/recommendations", json=body)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field], answer.text


def test_a_filter_on_what_no_item_has_says_where_attributes_are(http: httpx.Client) -> None:
    problem = http.post("/recommendations", json={"filter": {"price": {"lt": 3}}}).json()
    assert problem["status"] == 422 and "attributes.price" in problem["remedy"]


@pytest.mark.parametrize(
    "wanted", [{"attributes..kind": "tea"}, {'a"b': 1}, {"attributes.price": {}}, {"attributes.price": {"gt": None}}]
)
def test_a_filter_that_cannot_be_read_is_refused_with_its_path(http: httpx.Client, wanted: Any) -> None:
    answer = http.post("/recommendations", json={"clicked": ["tea-1"], "filter": wanted})
    assert answer.status_code == 422 and next(iter(wanted)) in answer.text.replace('\\"', '"')


@pytest.mark.parametrize("limit", ["0", "1001", "many", "true", "1e2"])
def test_a_bad_limit_is_refused(http: httpx.Client, limit: str) -> None:
    answer = http.get("/users/tea-user-0/recommendations", params={"limit": limit})
    assert answer.status_code == 422 and answer.json()["errors"][0]["field"] == "query.limit"


def test_what_is_not_wanted_can_be_said(http: httpx.Client) -> None:
    wanted = {"attributes.kind": {"not": ["tea"]}, "cold": {"not": True}}
    rows = http.post("/recommendations", json={"user_id": "tea-user-0", "filter": wanted}).json()["rows"]
    assert rows and all(row["item_id"].startswith("tool") and not row["cold"] for row in rows)
    refused = http.post("/recommendations", json={"filter": {"attributes.kind": {"not": {"not": "tea"}}}})
    assert refused.status_code == 422 and "{'not':" in refused.text


def test_lists_can_be_boosted_and_set_apart_and_bring_their_evidence(http: httpx.Client) -> None:
    asked = {"clicked": ["tea-1"], "limit": 4, "diversity": 0.6, "filter": {"cold": False}}
    plain = http.post("/recommendations", json={**asked, "diversity": 0.0}).json()
    apart = http.post("/recommendations", json=asked).json()
    assert {row["item_id"][:3] for row in plain["rows"]} == {"tea"}
    assert "too" in {row["item_id"][:3] for row in apart["rows"]}
    assert plain["list_id"] != apart["list_id"]
    assert all(row["evidence"]["nearest"] == "tea-1" and row["propensity"] == 1.0 for row in plain["rows"])
    boosts = [
        {"filter": {"attributes.kind": "tool"}, "factor": 10},
        {"filter": {"attributes.kind": "tea"}, "factor": 0.1},
    ]
    lifted = http.post("/recommendations", json={**asked, "diversity": 0.0, "boosts": boosts}).json()
    assert lifted["rows"][0]["item_id"].startswith("tool") or lifted["rows"][0]["score"] < plain["rows"][0]["score"]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"diversity": 1.5}, "body.diversity"),
        ({"boosts": [{"filter": {}, "factor": 2}]}, "body.boosts.0.filter"),
        ({"boosts": [{"filter": {"cold": True}, "factor": 0}]}, "body.boosts.0.factor"),
        ({"boosts": [{"filter": {"price": 1}, "factor": 2}]}, "body.boosts.0.filter.price"),
    ],
)
def test_a_boost_that_says_nothing_is_refused(http: httpx.Client, wrong: dict[str, Any], field: str) -> None:
    answer = http.post("/recommendations", json=wrong)
    assert answer.status_code == 422 and answer.json()["errors"][0]["field"] == field


def test_an_item_is_shown_within_its_window(http: httpx.Client, put: Callable[..., dict[str, Any]]) -> None:
    now = time.time()
    put("coming", title="Green tea of spring", attributes={"shelf": "window"}, published_at=now + 3600)
    put("over", title="Green tea of winter", attributes={"shelf": "window"}, expires_at=now - 1)
    shown = put("on-sale", title="Green tea of today", attributes={"shelf": "window"}, expires_at=now + 3600)
    assert shown["expires_at"] and shown["published_at"] is None
    rows = http.post("/recommendations", json={"clicked": ["tea-1"], "filter": {"attributes.shelf": "window"}})
    assert [row["item_id"] for row in rows.json()["rows"]] == ["on-sale"]
    assert rows.json()["rows"][0]["evidence"]["modalities"] == {"text": 1.0, "image": 0.0}
    refused = http.put("/items/never", json={"title": "Never", "published_at": 20, "expires_at": 10})
    assert refused.status_code == 422 and "is not after" in refused.json()["detail"]
