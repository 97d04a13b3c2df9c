"""What any adapter version can place items by, and rows that come to tell of another, in SQLite and PostgreSQL."""

import numpy as np

from coldstart.catalog import Draft, Expected, ItemStore, Restated, Stage, Status
from coldstart.entities import Item
from tests.contracts.test_graduation import ADAPTER, click, clock, encode, look, moved, post, store, work_off
from tests.contracts.test_item_store import claim, versions

__all__ = ["clock", "store"]
NEW = np.array([5.0, 6.0], dtype=np.float32)


def restated(item_id: str, version: int) -> Restated:
    return Restated(item_id, version, NEW, {"text": 0.5}, False, 0.125, "adapter-2")


def materials(store: ItemStore, *item_ids: str) -> dict[str, tuple[int, tuple[str, ...]]]:
    return {each.record.item.item_id: (each.record.version, each.users) for each in store.materials(item_ids)}


def test_an_item_is_placed_by_its_embeddings_and_once_it_has_moved_by_who_clicked_it(store: ItemStore) -> None:
    post(store, "a", "b")
    click(store, "a", "v", "u")
    [a] = store.materials(["a", "unknown"])
    assert a.embeddings.text is not None and a.embeddings.text.tolist() == [1.0, 0.5] and a.embeddings.image is None
    assert (a.record.item.attributes, a.users) == ({"kind": "tea"}, ())
    assert store.graduate(moved(look(store))) == ["a"]
    assert materials(store, "a", "b") == {"a": (2, ("u", "v")), "b": (1, ())}
    assert store.materials([]) == []


def test_what_is_deleted_dead_or_to_be_encoded_has_no_place(store: ItemStore) -> None:
    post(store, "a", "again", "changed", "dead", "gone")
    store.delete("gone")
    store.accept([Draft(Item("changed", "b")), Draft(Item("dead", "b"))])
    work = claim(store)
    store.encoded([encode(each.record) for each in work if each.record.item.item_id == "dead"])
    store.fail({"dead": 2}, "bad", retry_in_s=0, max_attempts=0)
    assert store.get("dead").status is Status.DEAD
    assert store.requeue(Stage.ENCODE, adapter_version="adapter-2") > 0
    assert materials(store, "a", "again", "changed", "dead", "gone") == {}
    work_off(store)
    assert materials(store, "a", "again") == {"a": (1, ()), "again": (1, ())}


def test_rows_tell_of_another_version_where_they_are_as_they_were_read(store: ItemStore) -> None:
    post(store, "a", "b")
    before = store.get("a")
    assert store.restate([restated("a", 1), restated("b", 2), restated("unknown", 1)]) == ["a"]
    after = store.get("a")
    assert (after.adapter_version, after.gates, after.cold, after.click_weight) == (
        "adapter-2", {"text": 0.5}, False, 0.125
    )  # fmt: skip
    assert (after.status, after.encoded_at, after.version) == (before.status, before.encoded_at, before.version)
    assert store.get("b").adapter_version == ADAPTER and store.due(Stage.INDEX) == 0
    [a] = store.settled(adapter_version="adapter-2", after=None, limit=9)
    assert a.item_id == "a" and a.vector is not None and a.vector.tolist() == NEW.tolist()
    assert store.expected(after=None, limit=9, unlike="adapter-2") == [Expected("b", 1, False)]
    assert store.restate([]) == []


def test_what_every_collection_should_hold_is_what_is_retrievable_or_deleted(store: ItemStore) -> None:
    post(store, "a", "b", "gone", "late")
    store.delete("gone")
    assert [each.item_id for each in store.expected(after=None, limit=9)] == ["a", "b", "late"]
    store.done(versions(claim(store, Stage.INDEX)))
    store.accept([Draft(Item("late", "b"))])
    first = store.expected(after=None, limit=2)
    assert first == [Expected("a", 1, False), Expected("b", 1, False)]
    assert store.expected(after="b", limit=2) == [Expected("gone", 2, True)]
    assert store.expected(after=None, limit=9, unlike=ADAPTER) == []
    assert store.expected(after=None, limit=9, unlike="adapter-2") == first


def test_nothing_is_moved_in_a_space_that_its_row_tells_of_no_more(store: ItemStore) -> None:
    post(store, "a")
    click(store, "a", "u")
    looked = look(store)
    store.restate([restated("a", 1)])
    assert store.graduate(moved(looked)) == []
    assert (store.get("a").version, store.get("a").clicks) == (1, 0)


def test_what_another_version_can_read_is_not_encoded_again(store: ItemStore) -> None:
    post(store, "a")
    post(store, "b")
    store.restate([restated("b", 1)])
    assert store.requeue(Stage.ENCODE, adapter_version="adapter-2", readable=[ADAPTER]) == 0
    assert store.requeue(Stage.INDEX, adapter_version="adapter-2") == 1
    store.done(versions(claim(store, Stage.INDEX)))
    assert store.requeue(Stage.INDEX, adapter_version="adapter-2", readable=[ADAPTER]) == 2
    assert {each.record.adapter_version for each in claim(store, Stage.INDEX)} == {ADAPTER, "adapter-2"}
