"""A pass over what was clicked: who is moved, whom it leaves, and what goes on beside it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from adapters.config import AdapterConfig
from adapters.content import Contents
from adapters.fit import fit
from adapters.serving import ServedAdapter
from coldstart.catalog import Clicked, Draft, Graduated, ItemStore, Stage
from coldstart.catalog.users import UserStore
from coldstart.entities import Event, ExternalId, Item
from coldstart.telemetry import Telemetry
from coldstart.vectors import rounded
from tests.adapters.test_serving import stored
from tests.adapters.toy import World, make_world
from workers.encoding import serve
from workers.graduation import graduate_clicked


@pytest.fixture(scope="module")
def world() -> World:
    return make_world()


@pytest.fixture(scope="module")
def adapter(world: World, tmp_path_factory: pytest.TempPathFactory) -> ServedAdapter:
    fitted = fit(world.backbone, world.contents, config=AdapterConfig(neighbours=5, image_dim=8, content_dim=16))
    return stored(fitted, tmp_path_factory.mktemp("artifacts"))


@pytest.fixture
def post(store: ItemStore, adapter: ServedAdapter, world: World) -> Iterator[Callable[[int], None]]:
    """Makes so many cold items retrievable, ``new-0`` first."""

    def post_and_deliver(n: int) -> None:
        contents = _contents(world, n)
        items = [Item(f"new-{row}", "") for row in range(n)]
        encoded = serve(adapter, items, contents.text, contents.image, contents.present)
        store.accept_encoded([(Draft(item), each) for item, each in zip(items, encoded, strict=True)])
        deliver(store)

    yield post_and_deliver


def _contents(world: World, n: int) -> Contents:
    """As stored, in half precision."""
    contents = world.cold.take(np.arange(n) % len(world.cold))
    return replace(contents, text=rounded(contents.text), image=rounded(contents.image))


def deliver(store: ItemStore) -> None:
    while claims := store.claim(Stage.INDEX, limit=500, lease_s=60, max_attempts=1):
        store.done({each.record.item.item_id: each.record.version for each in claims})


def click(store: ItemStore, item_id: ExternalId, *users: ExternalId) -> None:
    store.record_events([Event(f"{user} on {item_id}", user, item_id, 1.0) for user in users])


def vectors(store: ItemStore, adapter: ServedAdapter) -> dict[ExternalId, np.ndarray]:
    page = store.settled(adapter_version=adapter.version, after=None, limit=5000)
    return {each.item_id: each.vector for each in page if each.vector is not None}


def test_clicks_move_an_item_and_strangers_are_counted(
    store: ItemStore, adapter: ServedAdapter, world: World, post: Callable[[int], None]
) -> None:
    post(3)
    telemetry, before = Telemetry(), vectors(store, adapter)
    click(store, "new-0", "user-1", "user-3", "stranger")
    click(store, "new-1", "stranger")
    assert graduate_clicked(store, adapter, telemetry) == 1
    deliver(store)
    records, after = store.get_many(["new-0", "new-1", "new-2"]), vectors(store, adapter)
    found = {item_id: (each.clicks, each.other_clicks, each.version) for item_id, each in records.items()}
    assert found == {"new-0": (2, 1, 2), "new-1": (0, 1, 1), "new-2": (0, 0, 1)}
    half = adapter.adapter.scales.half
    assert records["new-0"].click_weight == pytest.approx(2 / (2 + half), rel=1e-6)
    contents = _contents(world, 1)
    offline = adapter.graduated(contents.text, contents.image, contents.present, [{}], [["user-1", "user-3"]])
    np.testing.assert_allclose(after["new-0"], offline.vectors[0], atol=1e-5)
    assert all((after[each] == before[each]).all() for each in ("new-1", "new-2"))
    told = telemetry.exposition().decode()
    assert "coldstart_graduated_items_total 1.0" in told
    assert f"coldstart_graduated_click_weight {records['new-0'].click_weight}" in told


def test_what_is_clicked_no_more_stays(store: ItemStore, adapter: ServedAdapter, post: Callable[[int], None]) -> None:
    post(1)
    click(store, "new-0", "user-1")
    assert graduate_clicked(store, adapter, Telemetry()) == 1
    deliver(store)
    store.record_events([Event("again", "user-1", "new-0", 2.0, "purchase")])
    assert graduate_clicked(store, adapter, Telemetry()) == 0
    assert (store.get("new-0").version, store.get("new-0").clicks) == (2, 1)


def test_whose_only_clicks_are_taken_back_is_where_its_content_is(
    store: ItemStore, adapter: ServedAdapter, post: Callable[[int], None]
) -> None:
    post(1)
    before = vectors(store, adapter)["new-0"]
    click(store, "new-0", "user-1")
    graduate_clicked(store, adapter, Telemetry())
    deliver(store)
    assert np.abs(vectors(store, adapter)["new-0"] - before).max() > 1e-2
    store.record_events([Event("no", "user-1", "new-0", 2.0, "dislike")])
    assert graduate_clicked(store, adapter, Telemetry()) == 1
    deliver(store)
    np.testing.assert_allclose(vectors(store, adapter)["new-0"], before, atol=1e-5)
    assert (store.get("new-0").clicks, store.get("new-0").click_weight) == (0, 0.0)


def test_whoever_is_erased_moves_nothing_any_more(
    store: ItemStore, adapter: ServedAdapter, post: Callable[[int], None], tmp_path: Path
) -> None:
    post(2)
    before = vectors(store, adapter)
    click(store, "new-0", "user-1", "user-3")
    click(store, "new-1", "user-3")
    graduate_clicked(store, adapter, Telemetry())
    deliver(store)
    users = UserStore(f"sqlite:///{tmp_path / 'catalog.sqlite3'}")
    users.forget("user-3")
    users.close()
    assert graduate_clicked(store, adapter, Telemetry()) == 2
    deliver(store)
    assert (store.get("new-0").clicks, store.get("new-1").clicks) == (1, 0)
    np.testing.assert_allclose(vectors(store, adapter)["new-1"], before["new-1"], atol=1e-5)


def test_a_pass_is_bounded_and_the_next_goes_on(
    store: ItemStore, adapter: ServedAdapter, post: Callable[[int], None]
) -> None:
    post(300)
    store.record_events([Event(f"e{n}", "user-1", f"new-{n}", 1.0) for n in range(300)])
    assert graduate_clicked(store, adapter, Telemetry(), most=200) == 200
    asked = iter([False, True])
    assert graduate_clicked(store, adapter, Telemetry(), most=90, stopping=lambda: next(asked)) == 90
    assert graduate_clicked(store, adapter, Telemetry()) == 10
    deliver(store)
    assert {each.version for each in store.list_items(limit=999)} == {2}


class Meanwhile:
    """The store, and something that happens between looking at items and moving them."""

    def __init__(self, store: ItemStore, happens: Callable[[], object]) -> None:
        self._store, self._happens = store, happens

    def clicked(self, *, adapter_version: str, limit: int) -> list[Clicked]:
        return self._store.clicked(adapter_version=adapter_version, limit=limit)

    def graduate(self, results: Sequence[Graduated]) -> list[ExternalId]:
        self._happens()
        return self._store.graduate(results)


@pytest.mark.parametrize("what", ["put", "delete"])
def test_what_is_posted_or_deleted_during_a_pass_wins(
    store: ItemStore, adapter: ServedAdapter, post: Callable[[int], None], what: str
) -> None:
    post(1)
    click(store, "new-0", "user-1")
    change = {"put": lambda: store.accept([Draft(Item("new-0", "x"))]), "delete": lambda: store.delete("new-0")}[what]
    meanwhile = Meanwhile(store, change)
    graduate_clicked(meanwhile, adapter, Telemetry(), most=1)  # type: ignore[arg-type]
    record = store.get("new-0")
    assert (record.version, record.status) == (2, {"put": "pending", "delete": "deleted"}[what])
    assert (record.clicks, record.click_weight) == (0, 0.0)


def test_an_item_that_clicks_would_move_to_no_place_stays(
    store: ItemStore,
    adapter: ServedAdapter,
    post: Callable[[int], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    post(2)
    click(store, "new-0", "user-1")
    click(store, "new-1", "user-1")

    class Broken(ServedAdapter):
        def graduated(self, *args: object) -> object:  # type: ignore[override]
            found = super().graduated(*args)  # type: ignore[arg-type]
            found.vectors[0] = np.nan
            return found

    assert graduate_clicked(store, Broken(adapter.artifact), Telemetry()) == 1
    assert store.get("new-0").version == 1 and store.get("new-1").version == 2
    assert "no place at all" in caplog.text
    assert graduate_clicked(store, adapter, Telemetry()) == 0, "it is not tried again and again"
