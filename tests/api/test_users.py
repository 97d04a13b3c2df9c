"""Users over HTTP: onboarding, merge, erasure, and what is no user."""

import logging
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from coldstart.access import Scope
from coldstart.errors import Unavailable
from coldstart.users.readers import Readers
from tests.api.conftest import Running

WARM = {"cold": False}
ANN = {
    "preferences": "loose leaf tea – ä",
    "liked": ["tea-1"],
    "disliked": ["tea-2"],
    "attributes": {"city": "Bremen", "age": 30, "tags": ["a"]},
}


def put(http: httpx.Client, user_id: str, **body: Any) -> None:
    answer = http.put(f"/users/{quote(user_id, safe='')}", json=body)
    assert answer.status_code == 200 and answer.json()["user_id"] == user_id, answer.text


def click(http: httpx.Client, user_id: str, *item_ids: str, at: float | None = None) -> int:
    events = [
        {"event_id": f"{user_id}/{item_id}/{at}", "user_id": user_id, "item_id": item_id, "timestamp": at}
        for item_id in item_ids
    ]
    answer = http.post("/events", json={"events": events})
    assert answer.status_code == 202, answer.text
    return int(answer.json()["recorded"])


def list_of(http: httpx.Client, user_id: str, limit: int = 16) -> tuple[str, list[str]]:
    answer = http.post("/recommendations", json={"user_id": user_id, "filter": WARM, "limit": limit}).json()
    return answer["strategy"], [row["item_id"] for row in answer["rows"]]


def lost(answer: httpx.Response) -> int:
    """How much an erasure took, but for the empty history of somebody for whom a list was asked."""
    return sum(number for place, number in answer.json()["erased"].items() if place != "state")


def test_a_profile_is_told_as_it_was_put(http: httpx.Client) -> None:
    put(http, "told", **ANN)
    told = http.get("/users/told").json()
    assert ANN.items() <= told.items()
    assert (told["events"], told["trained"], told["merged_into"]) == (0, False, None)
    assert told["strategy"] == "likes+preferences" and told["updated_at"]
    put(http, "told", liked=["tool-1", "tool-1"])
    told = http.get("/users/told").json()
    assert (told["preferences"], told["liked"], told["attributes"]) == (None, ["tool-1"], {})


def test_a_newcomer_is_placed_by_what_they_say(http: httpx.Client) -> None:
    put(http, "said", preferences="a hammer and a saw for the workshop")
    strategy, items = list_of(http, "said", 3)
    assert strategy == "preferences" and all(item.startswith("tool") for item in items)
    put(http, "liked", liked=["tea-1", "tea-3"], disliked=["tea-0"])
    strategy, items = list_of(http, "liked", 5)
    assert strategy == "likes" and all(item.startswith("tea") for item in items)
    assert not {"tea-0", "tea-1", "tea-3"} & set(list_of(http, "liked")[1])


def test_a_stored_sentence_is_embedded_once(
    http: httpx.Client, service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(http, "once", preferences="a hammer and a saw for the workshop")

    def refuse(sentence: str) -> None:
        raise AssertionError(f"{sentence!r} is encoded again")

    monkeypatch.setattr(service.runtime.recommender, "_encode_preferences", refuse)
    assert list_of(http, "once", 1)[0] == "preferences"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"preferences": " "}, "body.preferences"),
        ({"preferences": 7}, "body.preferences"),
        ({"preferences": "x" * 10_001}, "body.preferences"),
        ({"liked": [""]}, "body.liked.0"),
        ({"liked": "tea-1"}, "body.liked"),
        ({"liked": [f"item-{n}" for n in range(1001)]}, "body.liked"),
        ({"disliked": [f"item-{n}" for n in range(1001)]}, "body.disliked"),
        ({"liked": ["tea-1", "tea-2"], "disliked": ["tool-1", "tea-2"]}, "body.disliked"),
        ({"attributes": {"age": None}}, "body.attributes.age"),
        ({"attributes": {str(n): n for n in range(101)}}, "body.attributes"),
        ({"prefrences": "tea"}, "body.prefrences"),
    ],
)
def test_what_is_no_profile_is_refused_by_field(http: httpx.Client, body: Any, field: str) -> None:
    answer = http.put("/users/nobody-yet", json=body)
    assert answer.status_code == 422, answer.text
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert http.get("/users/nobody-yet").status_code == 404


def test_a_user_is_known_by_events_or_by_the_backbone_alone(http: httpx.Client) -> None:
    unknown = http.get("/users/who")
    assert unknown.status_code == 404 and unknown.json()["subject"] == "who"
    click(http, "by-events", "tea-1", "tea-2")
    known = http.get("/users/by-events").json()
    assert (known["events"], known["trained"], known["updated_at"], known["strategy"]) == (2, False, None, "clicks")
    known = http.get("/users/tea-user-3").json()
    assert (known["events"], known["trained"], known["strategy"]) == (0, True, "history")


def test_a_merge_makes_two_users_one(http: httpx.Client) -> None:
    click(http, "anonymous-17", "tool-1", "tool-2")
    put(http, "anonymous-17", disliked=["tool-3"])
    put(http, "account", liked=["tool-4"])
    assert http.post("/users/account/merge", json={"from": "anonymous-17"}).json() == {
        "user_id": "account",
        "events": 2,
    }
    assert click(http, "anonymous-17", "tool-5") == 1  # reported late
    account, alias = http.get("/users/account").json(), http.get("/users/anonymous-17").json()
    assert (account["liked"], account["disliked"], account["events"]) == (["tool-4"], ["tool-3"], 3)
    assert (alias["merged_into"], alias["events"], alias["disliked"]) == ("account", 0, [])
    assert list_of(http, "anonymous-17") == list_of(http, "account")
    strategy, items = list_of(http, "account")
    assert strategy == "clicks+likes" and not {f"tool-{n}" for n in (1, 2, 3, 4, 5)} & set(items)
    again = http.post("/users/account/merge", json={"from": "anonymous-17"})
    assert again.json() == {"user_id": "account", "events": 0}


def test_a_merge_onto_itself_or_in_a_circle_is_refused_with_the_reason(http: httpx.Client) -> None:
    for source, into in (("c1", "c2"), ("c2", "c3")):
        assert http.post(f"/users/{into}/merge", json={"from": source}).status_code == 200
    itself = http.post("/users/c3/merge", json={"from": "c3"})
    assert itself.status_code == 422 and "themselves" in itself.json()["detail"]
    for into in ("c1", "c2"):
        circle = http.post(f"/users/{into}/merge", json={"from": "c3"})
        assert circle.status_code == 409 and "circle" in circle.json()["detail"] and circle.json()["remedy"]
    elsewhere = http.post("/users/c4/merge", json={"from": "c1"})
    assert elsewhere.status_code == 409 and "'c3'" in elsewhere.json()["remedy"]
    for answer in (http.put("/users/c1", json={}), http.delete("/users/c2")):
        assert answer.status_code == 409 and "'c3'" in answer.json()["remedy"]
    chained = http.post("/users/c1/merge", json={"from": "c0"})
    assert chained.json()["user_id"] == "c3"


@pytest.mark.parametrize("body", [{}, {"from": ""}, {"from": 7}, {"source": "x"}, {"from": "x", "into": "y"}])
def test_a_merge_names_its_source(http: httpx.Client, body: Any) -> None:
    assert http.post("/users/somebody/merge", json=body).status_code == 422


def test_an_erasure_takes_everything_and_looks_again(http: httpx.Client, service: Running) -> None:
    before = time.time()
    click(http, "erased-anon", "tool-1", at=before)
    http.post("/users/erased/merge", json={"from": "erased-anon"})
    put(http, "erased", **ANN)
    click(http, "erased", "tool-2", at=before)
    assert list_of(http, "erased")[0] == "clicks+likes+preferences"
    answer = http.delete("/users/erased")
    assert answer.status_code == 200 and answer.json() == {
        "user_id": "erased",
        "erased": {"profiles": 1, "events": 2, "exposures": 0, "state": 1, "names": 1},
        "left": {"profiles": 0, "events": 0, "exposures": 0, "state": 0, "names": 0},
    }
    for name in ("erased", "erased-anon"):
        assert http.get(f"/users/{name}").status_code == 404
        assert list_of(http, name)[0] == "popular"
        # Delivered once more: dropped, as it is from before.
        assert click(http, name, "tool-1", "tool-2", at=before) == 0
    assert lost(http.delete("/users/erased")) == 0
    # Somebody new under the same id has nothing of the old.
    assert click(http, "erased", "tea-1", at=time.time() + 1) == 1
    assert http.get("/users/erased").json()["events"] == 1


def test_what_the_backbone_learnt_of_somebody_erased_is_not_used(http: httpx.Client) -> None:
    assert list_of(http, "tool-user-5", 2)[0] == "history"
    assert "tool-user-5" in http.get("/").text
    assert lost(http.delete("/users/tool-user-5")) == 0
    assert list_of(http, "tool-user-5", 2)[0] == "popular"
    assert http.get("/users/tool-user-5").status_code == 404
    assert "tool-user-5" not in http.get("/").text
    put(http, "tool-user-5", liked=["tea-1"])
    known = http.get("/users/tool-user-5").json()
    assert (known["trained"], known["strategy"]) == (False, "likes")


def test_erasing_a_stranger_succeeds_with_nothing(http: httpx.Client) -> None:
    answer = http.delete("/users/" + quote("never/🍵 seen", safe=""))
    assert answer.status_code == 200 and answer.json()["user_id"] == "never/🍵 seen"
    assert set(answer.json()["erased"].values()) == set(answer.json()["left"].values()) == {0}


def test_an_id_with_a_slash_is_a_user_of_its_own(http: httpx.Client) -> None:
    put(http, "a/merge", liked=["tea-1"])
    assert http.get("/users/a%2Fmerge").json()["user_id"] == "a/merge"
    assert http.post("/users/a%2Fmerge/merge", json={"from": "b"}).json()["user_id"] == "a/merge"


def test_no_user_is_ever_logged(
    http: httpx.Client,
    service: Running,
    key: Callable[[Scope], dict[str, str]],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write, name = key(Scope.WRITE), "known-to-nobody"
    caplog.set_level(logging.DEBUG)

    def away(*_: object, **__: object) -> None:
        raise Unavailable("gone fishing")

    def ask() -> None:
        for method, path, body in (
            ("PUT", f"/users/{name}", ANN),
            ("PUT", f"/users/{name}", {"liked": 7}),
            ("POST", f"/users/{name}/merge", {"from": f"{name}-17"}),
            ("POST", f"/users/{name}/merge", {"from": name}),
            ("POST", "/events", {"events": [{"event_id": name, "user_id": name, "item_id": "tea-1"}]}),
            ("POST", "/recommendations", {"user_id": name, "preferences": "tea"}),
            ("GET", f"/users/{name}", None),
            ("GET", f"/users/{name}/recommendations", None),
            ("DELETE", f"/users/{name}-17", None),
            ("PATCH", f"/users/{name}", None),
        ):
            assert http.request(method, path, json=body, headers=write).status_code != 500
            http.request(method, path, json=body)
        assert http.delete(f"/users/{name}", headers=write).status_code != 500

    ask()
    with monkeypatch.context() as patch:
        patch.setattr(service.runtime.store, "recent_events", away)
        patch.setattr(service.runtime.users, "forget", away)
        ask()
    with monkeypatch.context() as patch:
        patch.setattr(Readers, "_ask", away)
        ask()
    # The first two are this test's client; the third, which `coldstart serve` turns off, pytest turns on again.
    others = ("httpx", "httpcore", "uvicorn.access")
    logged = "\n".join(str(each.__dict__) for each in caplog.records if not each.name.startswith(others))
    assert "gone fishing" in logged and name not in logged
