"""Catalogue and index are compared item by item; what differs is owed again, what changes meanwhile is not."""

import random
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest

from coldstart.catalog import ItemStore, Status
from coldstart.entities import ExternalId
from coldstart.index import Held, Point, VectorIndex
from coldstart.index.exact import ExactIndex
from tests.workers.conftest import Works
from tests.workers.toy import draft
from workers.reconcile import Reconciled, reconcile

WRONG = np.full(5, 9.0, dtype=np.float32)


def work_off(works: Works) -> None:
    while works.ingestor.encode_due() or works.ingestor.apply_due():
        pass


def post(works: Works, *item_ids: ExternalId) -> None:
    works.store.accept([draft(item_id) for item_id in item_ids])
    work_off(works)


def delete(works: Works, item_id: ExternalId) -> None:
    works.store.delete(item_id)
    work_off(works)


def look(works: Works, index: VectorIndex | None = None) -> Reconciled:
    return reconcile(works.store, index or works.index, adapter_version="toy")


def contents(index: VectorIndex) -> dict[ExternalId, tuple[int, list[float]]]:
    ids = [held.item_id for page in index.scan(page=50) for held in page]
    return {item_id: (point.version, point.vector.tolist()) for item_id, point in index.fetch(ids).items()}


@pytest.fixture
def shop(works: Works) -> Works:
    """300 items, more than a page, of which one is deleted."""
    post(works, *(f"i{n}" for n in range(300)))
    delete(works, "i7")
    return works


def test_where_nothing_differs_nothing_is_done(shop: Works) -> None:
    assert look(shop) == Reconciled(checked=300)
    assert shop.store.get("i0").status is Status.RETRIEVABLE


def test_every_kind_of_difference_is_found_and_put_right(shop: Works) -> None:
    before = contents(shop.index)
    post(shop, "old", "undead")
    delete(shop, "undead")
    shop.index.upsert([Point("stranger", 3, WRONG)])  # unknown
    shop.index.upsert([Point("undead", 9, WRONG)])  # deleted, and there at a later version
    shop.index.delete({"i1": 1, "i2": 8})  # the first is ignored: not newer
    shop.index.upsert([Point("i3", 5, WRONG)])  # a version that was never accepted
    shop.store.owe_again({"old": 1}, held={"old": 1})  # the catalogue says 2 from here on, the index 1
    shop.store.done({"old": 2})
    assert look(shop) == Reconciled(checked=299, missing=1, stale=3, strangers=1, repaired=5)
    work_off(shop)
    assert look(shop) == Reconciled(checked=303)
    after = contents(shop.index)
    assert {item_id: vector for item_id, (_, vector) in after.items() if item_id != "old"} == {
        item_id: vector for item_id, (_, vector) in before.items()
    }
    assert (after["i1"][0], after["i2"][0], after["i3"][0], after["old"][0]) == (1, 9, 6, 2)
    assert shop.store.get("stranger").status is shop.store.get("undead").status is Status.DELETED


def test_an_index_that_outlived_its_catalogue_is_brought_back_to_what_a_restored_one_says(works: Works) -> None:
    """Also for what was on its way when the backup was taken: at once, not when it has been worked off."""
    works.store.accept([draft("changed"), draft("gone"), draft("same")])
    works.index.upsert([Point("changed", 3, WRONG), Point("new", 2, WRONG)])
    works.index.delete({"gone": 2})
    assert look(works) == Reconciled(missing=1, stale=1, strangers=1, repaired=3)
    work_off(works)
    assert look(works) == Reconciled(checked=4)
    assert {item_id: version for item_id, (version, _) in contents(works.index).items()} == {
        "changed": 4, "gone": 3, "same": 1
    }  # fmt: skip


def test_an_index_that_lost_points_gets_them_again(shop: Works) -> None:
    lost = ExactIndex(shop.index.dim)
    lost.upsert(list(shop.index.fetch([f"i{n}" for n in range(100)]).values()))
    assert look(shop, lost) == Reconciled(checked=300, missing=200, repaired=200)


def test_another_vector_at_the_same_version_is_found(shop: Works) -> None:
    points = shop.index.fetch([f"i{n}" for n in range(300)])
    damaged = ExactIndex(shop.index.dim)
    damaged.upsert([replace(each, vector=WRONG) if each.item_id == "i5" else each for each in points.values()])
    assert look(shop, damaged) == Reconciled(checked=300, stale=1, repaired=1)
    assert shop.store.get("i5").version == points["i5"].version + 1


class Interleaved:
    """The index, and somebody who writes just after each time it was read."""

    def __init__(self, works: Works) -> None:
        self._works, self._index, self.dim = works, works.index, works.index.dim
        self.steps: list[tuple[str, ExternalId]] = []

    def _step(self) -> None:
        if self.steps:
            what, item_id = self.steps.pop()
            (post if what == "put" else delete)(self._works, item_id)

    def scan(self, *, page: int) -> Iterator[list[Held]]:
        for held in self._index.scan(page=page):
            self._step()
            yield held

    def fetch(self, item_ids: Sequence[ExternalId]) -> dict[ExternalId, Point]:
        self._step()
        found = self._index.fetch(item_ids)
        self._step()
        return found


def test_what_changes_between_two_looks_is_not_a_difference(shop: Works) -> None:
    index = Interleaved(shop)
    index.steps = [("put", "i1"), ("delete", "i2"), ("put", "new"), ("delete", "i3"), ("put", "i3"), ("put", "i7")]
    found = reconcile(shop.store, index, adapter_version="toy")  # type: ignore[arg-type]
    assert not index.steps and found.repaired == 0, found


def test_beside_live_writes_nothing_is_taken_for_wrong_and_nothing_is_broken(works: Works) -> None:
    ids = [f"i{n}" for n in range(40)]
    post(works, *ids)
    over, chance = threading.Event(), random.Random(0)  # noqa: S311

    def live() -> None:
        while not over.is_set():
            item_id = chance.choice(ids)
            if chance.random() < 0.3:
                works.store.delete(item_id)
            else:
                works.store.accept([draft(item_id, "Tea " * chance.randint(1, 5))])
            work_off(works)

    writer = threading.Thread(target=live)
    writer.start()
    try:
        found = [look(works) for _ in range(60)]
    finally:
        over.set()
        writer.join()
    assert sum(each.repaired for each in found) == 0 and sum(each.checked for each in found) > 0
    work_off(works)
    assert look(works) == Reconciled(checked=40)


def test_it_ends_between_two_pages_when_asked(shop: Works, store: ItemStore) -> None:
    asked = iter([False, True])
    stopped = reconcile(store, shop.index, adapter_version="toy", stopping=lambda: next(asked, True))
    assert stopped.checked == 0
