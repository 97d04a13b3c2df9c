"""What a backbone and a data set bring in takes nothing from what callers said meanwhile."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from adapters.content import Contents
from adapters.serving import ServedAdapter
from coldstart.catalog import Draft, ItemRecord, ItemStore, Status
from coldstart.entities import Item
from tests.toyshop import Shop, make_shop
from workers import seeding
from workers.seeding import Seeded, seed

ITEMS = 16  # of the toy shop


@pytest.fixture(scope="module")
def shop(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return make_shop(tmp_path_factory.mktemp("shop"), cache=cache)


@pytest.fixture(scope="module")
def adapter(shop: Shop) -> ServedAdapter:
    return ServedAdapter.load(shop.artifact)


class Overtaken:
    """A store in which something happens right after the seeding has looked."""

    def __init__(self, store: ItemStore, happens: Callable[[], object]) -> None:
        self._store, self._happens = store, happens

    def get_many(self, item_ids: Sequence[str]) -> dict[str, ItemRecord]:
        found = self._store.get_many(item_ids)
        self._happens()
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def test_what_is_posted_meanwhile_stays(store: ItemStore, adapter: ServedAdapter, shop: Shop) -> None:
    posted = Draft(Item("tea-0", "Posted by its shop"))
    seeded = seed(cast(ItemStore, Overtaken(store, lambda: store.accept([posted]))), adapter, shop.dataset)
    assert seeded == Seeded(embedded=ITEMS - 1, known=1)
    assert (store.get("tea-0").item.title, store.get("tea-0").version) == ("Posted by its shop", 1)


def test_what_was_deleted_stays_deleted(store: ItemStore, adapter: ServedAdapter, shop: Shop) -> None:
    seed(store, adapter)
    store.delete("tea-0")
    seeded = seed(
        cast(ItemStore, Overtaken(store, lambda: store.get("tea-1").version == 1 and store.delete("tea-1"))),
        adapter,
        shop.dataset,
    )
    assert seeded == Seeded(embedded=ITEMS - 2, known=2)
    assert store.counts()[Status.DELETED] == 2
    assert store.get("tea-2").item.title == "Oolong"


def test_an_item_without_any_content_comes_in_by_its_frozen_vector(
    store: ItemStore, adapter: ServedAdapter, shop: Shop
) -> None:
    inner = adapter.adapter
    contents = Contents(
        inner.contents.text, inner.contents.image, inner.contents.present & (np.arange(ITEMS) > 0)[:, None]
    )
    silent = ServedAdapter(replace(adapter.artifact, adapter=replace(inner, contents=contents)))
    assert seed(store, silent) == Seeded(embedded=ITEMS)
    assert (store.get("tea-0").modalities, store.get("tea-0").cold) == ((), False)
    # A data set that has more to say of it is heard.
    assert seed(store, silent, shop.dataset) == Seeded(embedded=ITEMS - 1, due=1)


def test_an_item_that_no_store_takes_keeps_none_out(
    store: ItemStore, adapter: ServedAdapter, shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    titles = ("A title with a NUL \0", *shop.dataset.items.title[1:])
    seeded = seed(store, adapter, replace(shop.dataset, items=replace(shop.dataset.items, title=titles)))
    assert seeded == Seeded(embedded=ITEMS - 1, refused=1)
    assert "tea-0: the text holds a NUL character" in caplog.text


def test_it_ends_between_two_batches_when_told(
    store: ItemStore, adapter: ServedAdapter, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seeding, "BATCH", 4)
    looks = iter([False, True])
    assert seed(store, adapter, shop.dataset, stopping=lambda: next(looks)) == Seeded(embedded=4)
    assert seed(store, adapter, shop.dataset) == Seeded(embedded=ITEMS - 4, known=4)
