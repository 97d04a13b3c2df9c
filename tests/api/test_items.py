"""Items over HTTP, from accepted to retrievable to deleted."""

import base64
from collections.abc import Callable
from datetime import datetime
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coldstart.clean import clean_text
from tests.api.conftest import MAX_IMAGE, follow
from tests.toyshop import GREY, picture
from tests.workers.toy import wait_until

Put = Callable[..., dict[str, Any]]
ODD_IDS = ["a/b", "x/similar", "similar", "batch", "100% cotton?#1", "né🍵", "a b+c", "%2F", "..%2f..", "q" * 256]


def data_url(content: bytes, media_type: str = "image/png") -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


def test_a_posted_item_becomes_retrievable_and_tells_its_steps(put: Put) -> None:
    item = put("sencha", title="Sencha", text="Green tea, loose leaves.", image=data_url(picture()),
               attributes={"kind": "tea", "price": 4, "tags": ["fresh", "green"], "organic": True})  # fmt: skip
    assert item["cold"] is True and item["version"] == 1 and item["has_image"] is True
    assert item["modalities"] == ["text", "image"] and set(item["gates"]) == {"text", "image"}
    assert item["picture_error"] is None and item["error"] is None and item["image"] is None
    assert item["attributes"] == {"kind": "tea", "price": 4, "tags": ["fresh", "green"], "organic": True}
    times = [datetime.fromisoformat(item[f"{step}_at"]) for step in ("accepted", "claimed", "encoded", "retrievable")]
    assert times == sorted(times) and all(time.tzinfo is not None for time in times)
    since = item["since_accepted_ms"]
    assert 0 <= since["claimed"] <= since["encoded"] <= since["retrievable"] < 20_000
    assert since["retrievable"] == pytest.approx((times[3] - times[0]).total_seconds() * 1000, abs=1)


def test_a_posted_item_is_recommended_to_those_who_like_its_kind(http: httpx.Client, put: Put) -> None:
    put("gyokuro", title="Gyokuro", text="Green tea, loose leaves for a quiet afternoon.", image=data_url(picture()))
    rows = http.get("/users/tea-user-0/recommendations", params={"limit": 5}).json()["rows"]
    assert {"item_id", "score", "cold", "reason", "evidence", "propensity"} == set(rows[0])
    assert "gyokuro" in [row["item_id"] for row in rows if row["cold"]]
    rows = http.get("/users/tool-user-0/recommendations", params={"limit": 2}).json()["rows"]
    assert "gyokuro" not in [row["item_id"] for row in rows]


def test_a_second_put_replaces_the_first(put: Put) -> None:
    assert put("draft", title="Old", attributes={"a": 1})["version"] == 1
    item = put("draft", title="New")
    assert (item["version"], item["title"], item["attributes"]) == (2, "New", {})


def test_a_late_delivery_is_a_conflict(http: httpx.Client) -> None:
    assert http.put("/items/ordered", json={"title": "New", "source_version": 7}).status_code == 202
    answer = http.put("/items/ordered", json={"title": "Late", "source_version": 7})
    assert answer.status_code == 409 and answer.json()["subject"] == "ordered"
    assert http.get("/items/ordered").json()["title"] == "New"


@pytest.mark.parametrize("item_id", ODD_IDS)
def test_ids_are_any_text(http: httpx.Client, item_id: str) -> None:
    address = quote(item_id, safe="")
    assert http.put(f"/items/{address}", json={"title": "Odd"}).json()["item_id"] == item_id
    assert follow(http, address, "retrievable")["item_id"] == item_id
    assert http.get(f"/items/{address}/similar", params={"limit": 2}).status_code == 200
    assert http.delete(f"/items/{address}").json()["item_id"] == item_id


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(item_id=st.text(min_size=1, max_size=40), title=st.text(max_size=40))
def test_any_text_is_accepted_or_refused_and_never_an_error(http: httpx.Client, item_id: str, title: str) -> None:
    address = quote(item_id, safe="", errors="surrogatepass")
    if item_id in (".", ".."):  # clients resolve these before they send them
        return
    body = {"items": [{"item_id": item_id, "title": title}]}
    answer = http.put(f"/items/{address}", json={"title": title})
    single = answer.status_code
    batch = http.post("/items/batch", json=body).json()["answers"][0]["status"]
    assert single == batch and single in (202, 422)
    usable = item_id.strip() and "\0" not in item_id and clean_text(title) and "\0" not in title
    assert single == (202 if usable else 422), answer.text
    if single == 202:
        http.delete(f"/items/{address}")


def test_slashes_may_also_be_sent_as_they_are(http: httpx.Client) -> None:
    assert http.put("/items/shelf/3/left", json={"title": "Shelf"}).json()["item_id"] == "shelf/3/left"
    assert http.get("/items/shelf%2F3/left").json()["title"] == "Shelf"


def test_the_picture_comes_back_as_it_was_sent(http: httpx.Client, put: Put) -> None:
    content = picture(GREY)
    version = put("pictured", title="Pictured", image=data_url(content))["version"]
    answer = http.get("/items/pictured/image", params={"v": version})
    assert answer.content == content and answer.headers["content-type"] == "image/png"
    assert answer.headers["x-content-type-options"] == "nosniff" and "immutable" in answer.headers["cache-control"]
    assert "sandbox" in answer.headers["content-security-policy"]
    plain = http.get("/items/pictured/image", headers={"If-None-Match": answer.headers["etag"]})
    assert plain.status_code == 304 and "immutable" not in plain.headers["cache-control"]


def test_the_media_type_is_that_of_the_bytes(http: httpx.Client, put: Put) -> None:
    put("claimed-html", title="Not a page", image=data_url(picture(), "text/html"))
    assert http.get("/items/claimed-html/image").headers["content-type"] == "image/png"


@pytest.mark.parametrize("content", [b"<script>alert(1)</script>", picture()[:60], b""])
def test_a_broken_picture_leaves_the_item_with_its_text(http: httpx.Client, put: Put, content: bytes) -> None:
    item = put("broken", title="Oolong tea", image=data_url(content))
    assert item["modalities"] == ["text"] and item["picture_error"] and not item["has_image"]


def test_what_is_no_picture_is_never_served(http: httpx.Client, put: Put) -> None:
    put("page", title="Page", image=data_url(b"<script>alert(1)</script>"))
    assert http.get("/items/page/image").status_code == 404
    put("bare", title="Bare")
    assert http.get("/items/bare/image").status_code == 404


def test_an_address_that_may_not_be_fetched_is_a_remark(put: Put) -> None:
    item = put("remote", title="Remote", image="https://127.0.0.1/picture.png")
    assert "COLDSTART_IMAGE_HOSTS" in item["picture_error"] and item["modalities"] == ["text"]
    assert item["image"] == "https://127.0.0.1/picture.png"


@pytest.mark.parametrize(
    ("image", "word"),
    [
        ("data:image/png;base64,!!!!", "base64"),
        ("data:image/png;base64,abc", "base64"),
        ("data:image/svg+xml,<svg/>", "base64"),
        ("data:image/png;base64," + "A" * (MAX_IMAGE * 4 // 3 + 8), str(MAX_IMAGE)),
        ("file:///etc/passwd", "http"),
        ("/etc/passwd", "http"),
        ("http://" + "a" * 3000, "2048"),
    ],
)
def test_an_image_that_cannot_be_one_is_refused(http: httpx.Client, image: str, word: str) -> None:
    answer = http.put("/items/refused", json={"title": "Refused", "image": image})
    assert answer.status_code == 422 and word in answer.json()["detail"]
    assert http.get("/items/refused").status_code == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "body.title"),
        ({"title": " \n"}, "body.title"),
        ({"title": 5}, "body.title"),
        ({"title": "x", "titel": "y"}, "body.titel"),
        ({"title": "x", "text": None}, "body.text"),
        ({"title": "x", "source_version": True}, "body.source_version"),
        ({"title": "x", "source_version": 2**63}, "body.source_version"),
        ({"title": "x", "attributes": {"a": {"b": 1}}}, "body.attributes.a"),
        ({"title": "x", "attributes": {"a": [1]}}, "body.attributes.a"),
        ({"title": "x", "attributes": {"": 1}}, "body.attributes."),
        ({"title": "x", "attributes": {str(n): n for n in range(101)}}, "body.attributes"),
        ([], "body"),
    ],
)
def test_what_is_not_an_item_is_refused_by_field(http: httpx.Client, body: Any, field: str) -> None:
    answer = http.put("/items/refused", json=body)
    problem = answer.json()
    assert answer.status_code == 422 and answer.headers["content-type"] == "application/problem+json"
    assert [error["field"] for error in problem["errors"]] == [field], problem
    assert http.get("/items/refused").status_code == 404


def test_a_batch_accepts_and_refuses_item_by_item(http: httpx.Client) -> None:
    http.put("/items/newer", json={"title": "Newer", "source_version": 9})
    answer = http.post("/items/batch", json={"items": [
        {"item_id": "good/1", "title": "Good", "image": data_url(picture())},
        {"item_id": "bad", "title": 3},
        {"title": "No id"},
        "no item",
        {"item_id": "newer", "title": "Late", "source_version": 3},
        {"item_id": "nul", "title": "N\0L"},
        {"item_id": "far", "title": "Far", "image": "ftp://x"},
        {"item_id": "good-2", "title": "Good too"},
    ]})  # fmt: skip
    assert answer.status_code == 207
    view = answer.json()
    assert [each["status"] for each in view["answers"]] == [202, 422, 422, 422, 409, 422, 422, 202]
    assert (view["accepted"], view["refused"]) == (2, 6)
    assert view["answers"][1]["errors"][0]["field"] == "title" and view["answers"][1]["item_id"] == "bad"
    assert follow(http, "good%2F1", "retrievable")["modalities"] == ["text", "image"]
    assert http.get("/items/nul").status_code == 404


def test_a_batch_is_bounded(http: httpx.Client) -> None:
    item = {"item_id": "x", "title": "x"}
    assert http.post("/items/batch", json={"items": [item] * 1001}).status_code == 422
    assert http.post("/items/batch", json={"items": []}).status_code == 422
    view = http.post("/items/batch", json={"items": [{"item_id": f"many-{n}"} for n in range(1000)]}).json()
    assert (view["accepted"], view["refused"]) == (0, 1000)


def test_a_deleted_item_is_never_recommended_again(http: httpx.Client, put: Put) -> None:
    put("fleeting", title="Fleeting", text="Green tea, loose leaves for a quiet afternoon.")
    assert http.delete("/items/fleeting").status_code == 202
    assert follow(http, "fleeting", "deleted")["retrievable_at"] is None
    wait_until(lambda: http.get("/items/fleeting/similar").status_code == 404)
    rows = http.get("/users/tea-user-0/recommendations", params={"limit": 1000}).json()["rows"]
    assert "fleeting" not in [row["item_id"] for row in rows]


def test_similar_items_are_of_the_same_kind(http: httpx.Client) -> None:
    rows = http.get("/items/tool-3/similar", params={"limit": 1000}).json()["rows"]
    warm = [row["item_id"].partition("-")[0] for row in rows if not row["cold"]]
    assert warm == ["tool"] * 7 + ["tea"] * 8
    assert [row["score"] for row in rows] == sorted((row["score"] for row in rows), reverse=True)


def test_items_are_listed_newest_first_by_page_and_status(http: httpx.Client, put: Put) -> None:
    put("listed-1", title="One")
    put("listed-2", title="Two")
    both = http.get("/items", params={"limit": 2}).json()["items"]
    assert [item["item_id"] for item in both] == ["listed-2", "listed-1"]
    assert http.get("/items", params={"limit": 1, "offset": 1}).json()["items"] == both[1:]
    statuses = {item["status"] for item in http.get("/items", params={"status": "retrievable"}).json()["items"]}
    assert statuses == {"retrievable"}
    for bad in ({"limit": 0}, {"limit": 501}, {"offset": -1}, {"status": "gone"}):
        assert http.get("/items", params=bad).status_code == 422


@pytest.mark.parametrize("address", ["/items/unknown", "/items/unknown/similar", "/items/unknown/image"])
def test_unknown_items_are_not_found(http: httpx.Client, address: str) -> None:
    answer = http.get(address)
    assert answer.status_code == 404 and answer.json()["subject"] == "unknown"
    assert http.delete("/items/unknown").status_code == 404
