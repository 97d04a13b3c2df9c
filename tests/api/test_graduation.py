"""A new thing that says nothing of its kind comes to those whose kind clicks it."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from benchmarks.deployment import owed
from tests.api.conftest import Running, follow
from tests.toyshop import USERS_OF_A_KIND
from tests.workers.toy import wait_until
from workers.graduation import graduate_clicked

Put = Callable[..., dict[str, Any]]


def click(http: httpx.Client, item_id: str, *users: str) -> None:
    events = [{"event_id": f"{user} on {item_id}", "user_id": user, "item_id": item_id} for user in users]
    http.post("/events", json={"events": events}).raise_for_status()


def graduate(service: Running, http: httpx.Client) -> int:
    """What the service does now and then; returns how many moved, once the index has them."""
    runtime = service.runtime
    moved = graduate_clicked(runtime.store, runtime.adapter, runtime.telemetry)
    runtime.wake_index()
    wait_until(lambda: owed(runtime.settings) == 0, what="the moves in the index")
    return moved


def scores(http: httpx.Client, user_id: str) -> dict[str, float]:
    """Of all items that the user has not met."""
    rows = http.post("/recommendations", json={"user_id": user_id, "limit": 100}).json()["rows"]
    return {row["item_id"]: row["score"] for row in rows}


@pytest.fixture
def thing(http: httpx.Client, put: Put, request: pytest.FixtureRequest) -> str:
    """Of no kind."""
    item_id = f"thing-{request.node.name}"
    put(item_id, title="Something", text="It is what it is.")
    return item_id


def test_a_neutral_item_goes_to_the_lists_of_those_whose_kind_clicks_it(
    service: Running, http: httpx.Client, put: Put, thing: str
) -> None:
    put("twin", title="Something", text="It is what it is.")
    reader = f"tea-user-{USERS_OF_A_KIND - 1}"
    before = scores(http, reader)
    assert before[thing] == pytest.approx(before["twin"], abs=1e-4)
    content = http.get(f"/items/{thing}").json()
    assert (content["clicks"], content["other_clicks"], content["click_weight"]) == (0, 0, 0.0)
    click(http, thing, "tea-user-0", "tea-user-1", "tea-user-2", "tea-user-3", "somebody else")
    assert graduate(service, http) == 1
    after = scores(http, reader)
    assert after[thing] > before[thing] + 0.5 and after["twin"] == pytest.approx(before["twin"], abs=1e-4)

    item = http.get(f"/items/{thing}").json()
    half = service.runtime.adapter.adapter.scales.half
    assert (item["clicks"], item["other_clicks"]) == (4, 1)
    assert item["click_weight"] == pytest.approx(4 / (4 + half), abs=1e-4)
    assert item["cold"] is True and item["status"] == "retrievable" and item["version"] == content["version"] + 1
    assert item["since_accepted_ms"] == content["since_accepted_ms"]


def test_a_put_begins_with_the_content_and_graduates_again(
    service: Running, http: httpx.Client, put: Put, thing: str
) -> None:
    vectors = [service.runtime.index.fetch([thing])[thing].vector]
    click(http, thing, "tea-user-0", "tea-user-1")
    for _ in range(2):
        assert graduate(service, http) == 1
        vectors.append(service.runtime.index.fetch([thing])[thing].vector)
        put(thing, title="Something", text="It is what it is.")
        item = http.get(f"/items/{thing}").json()
        assert (item["clicks"], item["click_weight"]) == (0, 0.0)
        assert service.runtime.index.fetch([thing])[thing].vector == pytest.approx(vectors[0], abs=1e-5)
    assert vectors[1] == pytest.approx(vectors[2], abs=1e-5) and vectors[1] != pytest.approx(vectors[0], abs=1e-2)


def test_a_delete_wins_against_a_pass_under_way(service: Running, http: httpx.Client, thing: str) -> None:
    click(http, thing, "tea-user-0")
    runtime = service.runtime
    looked = runtime.store.clicked(adapter_version=runtime.adapter.version, limit=1000)
    assert thing in [each.item_id for each in looked]
    http.delete(f"/items/{thing}").raise_for_status()
    wait_until(lambda: not runtime.index.fetch([thing]), what="the item gone")

    class Looked:
        clicked = staticmethod(lambda **_: looked)
        graduate = staticmethod(runtime.store.graduate)

    graduate_clicked(Looked, runtime.adapter, runtime.telemetry, most=len(looked))  # type: ignore[arg-type]
    runtime.wake_index()
    assert graduate(service, http) == 0
    assert follow(http, thing, "deleted")["clicks"] == 0 and not runtime.index.fetch([thing])
