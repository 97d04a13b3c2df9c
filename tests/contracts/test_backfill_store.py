"""What the backfill store promises, asked of SQLite and of a real PostgreSQL server."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from coldstart.catalog import Draft, ItemStore, Stage, Status
from coldstart.catalog.backfills import BackfillStore, is_held
from coldstart.catalog.bulk import LEASE_S, Backfill, Chunk, Problem, Source, State
from coldstart.catalog.store import SqlItemStore
from coldstart.entities import Item
from coldstart.errors import Conflict, NotFound
from tests.contracts.test_item_store import Clock, claim, deliver, encode_all, ids

SOURCE = Source("/data/items.csv", "aa", 100, 4)
ME = "me"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def items(url: str, clock: Clock) -> Iterator[ItemStore]:
    store = SqlItemStore(url, clock=clock)
    yield store
    store.close()


@pytest.fixture
def store(url: str, clock: Clock) -> Iterator[BackfillStore]:
    store = BackfillStore(url, clock=clock)
    yield store
    store.close()


def draft(item_id: str, title: str = "a title", picture: bytes | None = None) -> Draft:
    return Draft(Item(item_id, title, attributes={"price": 2.5, "tags": ["x"]}), picture)


def chunk(start: int, *drafts: Draft, problems: tuple[Problem, ...] = ()) -> Chunk:
    return Chunk(start, start + len(drafts) + sum(not problem.accepted for problem in problems), drafts, problems)


def counts(found: Backfill) -> tuple[int, int, int, int, int]:
    return found.position, found.accepted, found.unchanged, found.overtaken, found.refused


def test_a_chunk_and_how_far_it_leads_come_together(store: BackfillStore, items: ItemStore, clock: Clock) -> None:
    begun = store.create("b", SOURCE, owner=ME, rate=50.0)
    assert (begun.state, begun.rate, counts(begun)) == (State.RUNNING, 50.0, (0, 0, 0, 0, 0))
    bad = Problem(2, "items.csv, row 4", "c\0", "the text holds a NUL character")
    clock.tick(2)
    found = store.accept("b", chunk(0, draft("a"), draft("b", picture=b"png"), problems=(bad,)), owner=ME)
    assert (counts(found), found.waiting, found.busy_s) == ((3, 2, 0, 0, 1), 2, 2.0)
    assert store.problems("b", limit=10) == [replace(bad, item_id="c\ufffd")]
    assert store.count_problems("b") == 1 and items.picture("b") == b"png"
    assert items.backlog() == 0 and store.waiting() == 2  # room is kept for what is posted
    with pytest.raises(Conflict, match="the rows begin at 0, and 3 were read"):
        store.accept("b", chunk(0, draft("a")), owner=ME)
    assert items.get("a").version == 1


def test_what_became_of_the_accepted_is_told(store: BackfillStore, items: ItemStore) -> None:
    store.create("b", SOURCE, owner=ME)
    store.accept("b", chunk(0, draft("a"), draft("b"), draft("c"), draft("d")), owner=ME)
    claims = claim(items)
    encode_all(items, [each for each in claims if ids([each]) != ["d"]])
    items.fail({"d": 1}, "poison", retry_in_s=0, max_attempts=1)
    items.done({"a": 1})
    items.accept([draft("b", "newer")])  # in the place of what came with the backfill
    found = store.get("b")
    assert (found.waiting, found.dead, found.retrievable) == (1, 1, 2)


def test_speed_and_time_to_go_count_what_is_encoded(store: BackfillStore, items: ItemStore, clock: Clock) -> None:
    store.create("b", SOURCE, owner=ME)
    store.accept("b", chunk(0, draft("a"), draft("b"), draft("c")), owner=ME)
    assert (store.get("b").items_per_s, store.get("b").eta_s) == (None, None)
    deliver(items)
    now = clock.tick(3)
    found = store.beat("b", owner=ME)
    assert (found.updated_at, found.items_per_s, found.eta_s) == (now, 1.0, 1.0)
    store.accept("b", chunk(3, draft("d")), owner=ME)
    deliver(items)
    done = store.end("b", State.DONE, owner=ME)
    assert (done.retrievable, done.items_per_s, done.eta_s) == (4, 4 / 3, 0.0)


def test_what_is_posted_is_claimed_first_and_by_itself(store: BackfillStore, items: ItemStore, clock: Clock) -> None:
    store.create("b", SOURCE, owner=ME)
    store.accept("b", chunk(0, draft("a"), draft("b"), draft("c"), draft("d")), owner=ME)
    clock.tick()
    items.accept([draft("posted")])

    def claimed() -> list[str]:
        return ids(items.claim(Stage.ENCODE, limit=9, lease_s=60, max_attempts=3, background=3))

    assert claimed() == ["posted"]
    assert [len(claimed()), len(claimed()), len(claimed())] == [3, 1, 0]


def test_what_the_catalogue_knows_or_knows_newer_stays(store: BackfillStore, items: ItemStore, clock: Clock) -> None:
    items.accept([draft("same"), draft("old"), draft("revived"), draft("deleted"), draft("pictured")])
    items.delete("revived")
    deliver(items)
    clock.tick()
    store.create("b", replace(SOURCE, rows=7), owner=ME)
    clock.tick()
    items.accept([draft("posted", "newer")])
    items.delete("deleted")
    rows = [draft(each) for each in ("same", "revived", "deleted", "posted", "fresh")]
    found = store.accept("b", chunk(0, *rows, draft("old", "other"), draft("pictured", picture=b"png")), owner=ME)
    assert counts(found) == (7, 4, 1, 2, 0)
    assert {each: items.get(each).version for each in ("same", "old", "revived", "deleted", "posted", "fresh")} == {
        "same": 1, "old": 2, "revived": 3, "deleted": 2, "posted": 1, "fresh": 1,
    }  # fmt: skip
    assert items.get("same").status is Status.RETRIEVABLE and items.get("deleted").status is Status.DELETED
    assert items.get("posted").item.title == "newer"


def test_a_dead_item_is_tried_again(store: BackfillStore, items: ItemStore, clock: Clock) -> None:
    items.accept([draft("a")])
    claim(items)
    items.fail({"a": 1}, "poison", retry_in_s=0, max_attempts=1)
    clock.tick()
    store.create("b", SOURCE, owner=ME)
    assert counts(store.accept("b", chunk(0, draft("a")), owner=ME)) == (1, 1, 0, 0, 0)
    assert items.get("a").status is Status.PENDING


def test_one_process_at_a_time_owns_it(store: BackfillStore, items: ItemStore, clock: Clock) -> None:
    store.create("b", SOURCE, owner=ME)
    clock.tick(LEASE_S)
    with pytest.raises(Conflict, match="is under way"):
        store.create("c", SOURCE, owner="other")
    with pytest.raises(Conflict, match="is under way"):
        store.take("b", SOURCE, owner="other")
    clock.tick()
    assert store.get("b").state is State.INTERRUPTED
    with pytest.raises(Conflict, match="is interrupted"):
        store.create("c", SOURCE, owner="other")
    assert is_held(store.take("b", SOURCE, owner="other"), "other")
    # Whoever owned it before finds out, and does nothing.
    found = store.accept("b", chunk(0, draft("a")), owner=ME)
    assert not is_held(found, ME) and found.position == 0 and items.get_many(["a"]) == {}
    assert not is_held(store.beat("b", owner=ME), ME)
    assert store.end("b", State.DONE, owner=ME).state is State.RUNNING


def test_a_paused_one_stops_and_goes_on(store: BackfillStore, clock: Clock) -> None:
    store.create("b", SOURCE, owner=ME, rate=9.0)
    store.accept("b", chunk(0, draft("a")), owner=ME)
    assert store.pause("b").state is State.PAUSED
    assert not is_held(store.beat("b", owner=ME), ME)
    with pytest.raises(Conflict, match="it is paused"):
        store.pause("b")
    clock.tick(1000)
    resumed = store.take("b", SOURCE, owner="later")
    assert (resumed.state, resumed.rate, resumed.position) == (State.RUNNING, 9.0, 1)
    clock.tick(1)
    found = store.accept("b", chunk(1, draft("b"), draft("c"), draft("d")), owner="later")
    assert found.busy_s == 1.0  # a pause is no work
    done = store.end("b", State.DONE, owner="later")
    assert (done.state, done.finished_at, done.items_per_s) == (State.DONE, clock.now, None)  # nobody saw it through
    with pytest.raises(Conflict, match="everything of it was read"):
        store.take("b", SOURCE, owner=ME)
    assert store.create("again", SOURCE, owner=ME).state is State.RUNNING


def test_a_changed_source_is_not_gone_on_with(store: BackfillStore, clock: Clock) -> None:
    store.create("b", SOURCE, owner=ME)
    store.end("b", State.PAUSED, owner=ME)
    changed = replace(SOURCE, digest="bb")
    with pytest.raises(Conflict, match="the source has changed"):
        store.take("b", changed, owner=ME)
    clock.tick()
    assert store.create("c", changed, owner=ME).state is State.RUNNING
    assert (store.get("b").state, store.get("b").error) == (
        State.FAILED, "the source has changed, and is loaded anew as c",
    )  # fmt: skip
    assert [each.backfill_id for each in store.list_backfills()] == ["c", "b"]


def test_nothing_is_known_of_others(store: BackfillStore) -> None:
    for ask in (store.get, store.pause, lambda it: store.problems(it, limit=1), lambda it: store.beat(it, owner=ME)):
        with pytest.raises(NotFound, match="there is no such backfill"):
            ask("b")
    assert store.list_backfills() == [] and store.waiting() == 0
