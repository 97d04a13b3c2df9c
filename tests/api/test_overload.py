"""When as many items wait as may: new ones are refused at once and left alone, deletes and readers are not."""

from collections.abc import Iterator

import httpx
import pytest

from tests.api.conftest import Running, follow
from tests.workers.toy import wait_until
from workers.backlog import MAX_RETRY_AFTER_S


@pytest.fixture
def kept(http: httpx.Client) -> str:
    """An item from before."""
    http.put("/items/kept", json={"title": "Kept"}).raise_for_status()
    follow(http, "kept", "retrievable")
    return "kept"


@pytest.fixture
def full(service: Running, http: httpx.Client, kept: str) -> Iterator[None]:
    """There is room for two items meanwhile."""
    backlog, mark = service.runtime.backlog, service.runtime.settings.max_backlog
    # What other tests posted is counted until the next look.
    wait_until(lambda: service.runtime.store.backlog() == 0 and backlog.look() == 0)
    with backlog.room_for(mark - 2):
        yield
    backlog.look()  # or all that room would be taken, to other tests' harm, until the relay's next look


@pytest.mark.usefixtures("full")
def test_what_would_pass_the_mark_is_refused_whole_and_left_alone(http: httpx.Client, kept: str) -> None:
    items = [{"item_id": f"over-{n}", "title": "Over"} for n in range(3)]
    refused = http.post("/items/batch", json={"items": items})
    assert http.get("/items/over-0").status_code == 404
    assert http.post("/items/batch", json={"items": items[:2]}).json()["accepted"] == 2
    for answer in (refused, http.put(f"/items/{kept}", json={"title": "Changed"})):
        problem = answer.json()
        assert answer.status_code == problem["status"] == 429, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        assert problem["type"] == "urn:coldstart:overloaded" and "Retry-After" in problem["remedy"]
        assert 1 <= int(answer.headers["retry-after"]) <= MAX_RETRY_AFTER_S
    assert (http.get(f"/items/{kept}").json()["title"], http.get(f"/items/{kept}").json()["version"]) == ("Kept", 1)
    assert http.delete(f"/items/{kept}").status_code == 202
    assert http.get("/users/tea-user-0/recommendations").status_code == 200


def test_the_reference_documents_it(http: httpx.Client) -> None:
    paths = http.get("/openapi.json").json()["paths"]
    for path, method in (("/items/{item_id}", "put"), ("/items/batch", "post")):
        answer = paths[path][method]["responses"]["429"]
        assert "application/problem+json" in answer["content"] and "Retry-After" in answer["headers"]
