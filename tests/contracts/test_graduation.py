"""Clicks on new items and the vectors that they move, in SQLite and in a real PostgreSQL server."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import numpy as np
import pytest

from coldstart.catalog import Clicked, Draft, Embeddings, Encoded, Graduated, ItemRecord, ItemStore, Stage, Status
from coldstart.catalog.store import SqlItemStore
from coldstart.entities import Event, Item
from tests.contracts.test_item_store import Clock, claim, versions

ADAPTER = "adapter-1"
MOVED = np.array([3.0, 4.0], dtype=np.float32)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(url: str, clock: Clock) -> Iterator[ItemStore]:
    store = SqlItemStore(url, clock=clock)
    yield store
    store.close()


def encode(record: ItemRecord, *, cold: bool = True, adapter_version: str = ADAPTER) -> Encoded:
    return Encoded(
        item_id=record.item.item_id, version=record.version,
        embeddings=Embeddings(text=np.array([1.0, 0.5], dtype=np.float32), image=None),
        vector=np.array([1.0, 2.0], dtype=np.float32), gates={"text": 1.0}, cold=cold, adapter_version=adapter_version,
    )  # fmt: skip


def work_off(store: ItemStore, *, cold: bool = True, adapter_version: str = ADAPTER) -> None:
    """Encode and index whatever is due."""
    claims = claim(store)
    store.encoded([encode(each.record, cold=cold, adapter_version=adapter_version) for each in claims])
    store.done(versions(claim(store, Stage.INDEX)))


def post(store: ItemStore, *item_ids: str, cold: bool = True) -> None:
    store.accept([Draft(Item(item_id, "a title", attributes={"kind": "tea"})) for item_id in item_ids])
    work_off(store, cold=cold)


_numbers = count()


def click(store: ItemStore, item_id: str, *users: str, kind: str = "click", timestamp: float = 1.0) -> None:
    store.record_events([Event(f"e{next(_numbers)}", user, item_id, timestamp, kind) for user in users])


def look(store: ItemStore, *, limit: int = 100) -> list[Clicked]:
    return store.clicked(adapter_version=ADAPTER, limit=limit)


def moved(looked: Sequence[Clicked], vector: np.ndarray | None = MOVED) -> list[Graduated]:
    """As if the first user were known."""
    return [Graduated(each, vector, clicks=min(1, len(each.users)), weight=0.25) for each in looked]


def clicked(store: ItemStore) -> dict[str, tuple[str, ...]]:
    return {each.item_id: each.users for each in look(store)}


def test_what_was_clicked_comes_with_what_there_is_to_move_it_by(store: ItemStore) -> None:
    post(store, "a", "b")
    assert look(store) == []
    click(store, "a", "v", "u", "u")
    [item] = look(store)
    assert (item.item_id, item.version, item.users, item.attributes) == ("a", 1, ("u", "v"), {"kind": "tea"})
    assert item.vector is not None and item.vector.tolist() == [1.0, 2.0]
    assert item.embeddings.text is not None and item.embeddings.text.tolist() == [1.0, 0.5]
    assert item.embeddings.image is None


def test_a_move_is_owed_as_the_next_version_and_changes_neither_status_nor_times(
    store: ItemStore, clock: Clock
) -> None:
    post(store, "a")
    before = store.get("a")
    clock.tick()
    click(store, "a", "u", "v")
    assert store.graduate(moved(look(store))) == ["a"]
    after = store.get("a")
    assert (after.version, after.clicks, after.other_clicks, after.click_weight) == (2, 1, 1, 0.25)
    assert after.status is Status.RETRIEVABLE and after.cold
    times = ("accepted_at", "claimed_at", "encoded_at", "retrievable_at")
    [owed] = claim(store, Stage.INDEX)
    assert owed.vector is not None and owed.vector.tolist() == MOVED.tolist() and owed.record.version == 2
    clock.tick()
    store.done({"a": 2})
    assert all(getattr(store.get("a"), name) == getattr(before, name) for name in times)
    assert store.backlog() == 0 and look(store) == []
    [settled] = store.settled(adapter_version=ADAPTER, after=None, limit=9)
    assert settled.version == 2 and settled.vector is not None and settled.vector.tolist() == MOVED.tolist()


def test_posted_items_go_before_moved_ones(store: ItemStore) -> None:
    post(store, "a")
    click(store, "a", "u")
    store.graduate(moved(look(store)))
    store.accept([Draft(Item("new", "a title"))])
    store.encoded([encode(each.record) for each in claim(store)])
    [first] = claim(store, Stage.INDEX, limit=1)
    assert first.record.item.item_id == "new"


def test_clicks_that_move_nothing_are_counted_at_the_same_version(store: ItemStore) -> None:
    post(store, "a")
    click(store, "a", "stranger")
    [item] = look(store)
    assert store.graduate([Graduated(item, None, clicks=0, weight=0.0)]) == []
    after = store.get("a")
    assert (after.version, after.clicks, after.other_clicks) == (1, 0, 1)
    assert store.due(Stage.INDEX) == 0 and look(store) == []


def test_what_counts_is_a_click_or_more_that_was_not_taken_back(store: ItemStore) -> None:
    post(store, "a")
    for kind in ("view", "impression", "a kind of one's own"):
        click(store, "a", "looked", kind=kind)
    assert look(store) == []
    click(store, "a", "bought", kind="purchase")
    click(store, "a", "regrets", timestamp=1.0)
    click(store, "a", "regrets", kind="dislike", timestamp=2.0)
    click(store, "a", "converted", timestamp=3.0)
    click(store, "a", "converted", kind="dislike", timestamp=2.0)
    assert clicked(store) == {"a": ("bought", "converted")}
    store.graduate(moved(look(store)))
    work_off(store)
    click(store, "a", "bought", kind="dislike", timestamp=9.0)
    assert clicked(store) == {"a": ("converted",)}


def test_a_click_while_an_item_is_moved_is_looked_at_next(store: ItemStore) -> None:
    post(store, "a")
    click(store, "a", "u")
    looked = look(store)
    click(store, "a", "v")
    assert store.graduate(moved(looked)) == ["a"]
    assert look(store) == [], "not while it is owed"
    work_off(store)
    assert clicked(store) == {"a": ("u", "v")}


def test_a_repeated_event_is_no_click(store: ItemStore) -> None:
    post(store, "a")
    event = Event("twice", "u", "a", 1.0)
    store.record_events([event])
    store.graduate(moved(look(store)))
    work_off(store)
    store.record_events([event])
    assert look(store) == []


def test_put_and_delete_win_against_a_move_under_way(store: ItemStore) -> None:
    post(store, "put", "deleted", "owed", "calm")
    for item_id in ("put", "deleted", "owed", "calm"):
        click(store, item_id, "u")
    looked = look(store)
    store.accept([Draft(Item("put", "another title"))])
    store.delete("deleted")
    store.owe_again({"owed": 1}, held={"owed": 1})
    assert store.graduate(moved(looked)) == ["calm"]
    assert [store.get(item_id).version for item_id in ("put", "deleted", "owed")] == [2, 2, 2]
    assert store.get("deleted").status is Status.DELETED and store.get("put").status is Status.PENDING
    [buried] = claim(store, Stage.INDEX)
    others = claim(store, Stage.INDEX)  # what was moved is behind whatever was posted or deleted
    assert buried.record.item.item_id == "deleted" and buried.record.status is Status.DELETED
    assert {each.record.item.item_id: each.record.version for each in others} == {"owed": 2, "calm": 2}


def test_what_is_put_after_a_move_is_newer_and_begins_with_its_content(store: ItemStore) -> None:
    post(store, "a")
    click(store, "a", "u")
    store.graduate(moved(look(store)))
    post(store, "a")
    after = store.get("a")
    assert (after.version, after.clicks, after.other_clicks, after.click_weight) == (3, 0, 0, 0.0)
    assert clicked(store) == {"a": ("u",)}, "and its clicks are looked at again"


def test_an_item_that_another_adapter_encodes_begins_with_its_content_too(store: ItemStore) -> None:
    post(store, "a")
    click(store, "a", "u")
    store.graduate(moved(look(store)))
    work_off(store)
    assert store.requeue(Stage.ENCODE, adapter_version="adapter-2") == 1
    work_off(store, adapter_version="adapter-2")
    assert store.get("a").clicks == 0 and look(store) == []
    [again] = store.clicked(adapter_version="adapter-2", limit=9)
    assert again.users == ("u",) and again.vector is not None and again.vector.tolist() == [1.0, 2.0]


def test_clicks_from_before_an_item_was_posted_count(store: ItemStore) -> None:
    click(store, "early", "u")
    post(store, "early")
    assert clicked(store) == {"early": ("u",)}


def test_a_mark_whose_item_never_comes_is_forgotten_and_its_clicks_are_not(store: ItemStore, clock: Clock) -> None:
    click(store, "late", "u")
    clock.tick(2 * 86_400)
    store.graduate([])
    post(store, "late")
    assert clicked(store) == {"late": ("u",)}


def test_only_cold_items_that_are_retrievable_are_looked_at(store: ItemStore) -> None:
    post(store, "warm", cold=False)
    post(store, "deleted", "dead", "cold")
    store.accept([Draft(Item("dead", "a title"))])
    store.fail(versions(claim(store)), "poison", retry_in_s=0.0, max_attempts=1)
    store.delete("deleted")
    for item_id in ("warm", "deleted", "dead", "cold"):
        click(store, item_id, "u")
    assert clicked(store) == {"cold": ("u",)}


def test_the_longest_marked_come_first_and_no_more_than_wanted(store: ItemStore, clock: Clock) -> None:
    post(store, *"abc")
    for item_id in ("b", "c", "a"):
        clock.tick()
        click(store, item_id, "u")
    click(store, "a", "v", "w")
    assert [each.item_id for each in look(store, limit=2)] == ["b", "c"]


def test_an_item_with_many_clicks_is_looked_at_when_a_hundredth_is_new(store: ItemStore) -> None:
    post(store, "a")
    click(store, "a", *(f"u{n}" for n in range(200)))
    store.graduate(moved(look(store)))
    work_off(store)
    click(store, "a", "one")
    assert look(store) == []
    click(store, "a", "two")
    assert len(look(store)[0].users) == 202


def test_two_processes_that_look_at_once_move_an_item_once(store: ItemStore) -> None:
    post(store, *(f"i{n}" for n in range(20)))
    for n in range(20):
        click(store, f"i{n}", "u")
    looked = [look(store) for _ in range(4)]
    with ThreadPoolExecutor(4) as threads:
        ids = [each for found in threads.map(lambda page: store.graduate(moved(page)), looked) for each in found]
    assert sorted(ids) == sorted(f"i{n}" for n in range(20))
    assert {each.version for each in store.list_items(limit=99)} == {2}


def test_moves_among_clicks_puts_and_deletes_block_nothing_and_lose_no_click(store: ItemStore) -> None:
    """Four threads, opposite orders of ids; then every item has been moved by all who clicked it."""
    ids = [f"i{n}" for n in range(12)]
    post(store, *ids)

    def clicks(order: int) -> None:
        for n in range(25):
            batch = [Event(f"{order}-{n}-{i}", f"u{order}-{n}", i, 1.0) for i in ids[::order]]
            store.record_events(batch)

    def puts() -> None:
        for n in range(25):
            store.accept([Draft(Item(i, f"title {n}")) for i in ids[:3]])
            work_off(store)

    def moves() -> None:
        for _ in range(25):
            store.graduate(moved(look(store)))

    with ThreadPoolExecutor(4) as threads:
        writers = [threads.submit(clicks, 1), threads.submit(clicks, -1), threads.submit(puts), threads.submit(moves)]
        for each in writers:
            each.result(60)
    work_off(store)
    store.graduate(moved(look(store)))
    assert {(each.clicks, each.other_clicks) for each in store.list_items(limit=99)} == {(1, 49)}
