"""What the store of users promises, asked of SQLite and of a real PostgreSQL server."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from sqlalchemy import inspect, text

from coldstart.catalog import ItemStore, open_item_store
from coldstart.catalog.engine import Database
from coldstart.catalog.users import Merged, UserRecord, UserStore
from coldstart.entities import Event
from coldstart.errors import Conflict, InvalidInput
from coldstart.users.profile import Profile, Reader

NOW = 1_000_000.0
ANN = Profile(
    preferences="strong tea – ä",
    embedding=np.array([0.5, -2.0], dtype=np.float32),
    encoder="words-1",
    liked=("assam", "lungo"),
    disliked=("decaf",),
    attributes={"city": "Bremen", "age": 30, "tags": ["a", "b"]},
)


@pytest.fixture
def times() -> list[float]:
    """What the stores' clock says; the last one is now."""
    return [NOW]


@pytest.fixture
def users(url: str, times: list[float]) -> Iterator[UserStore]:
    store = UserStore(url, clock=lambda: times[-1])
    yield store
    store.close()


@pytest.fixture
def items(url: str, users: UserStore) -> Iterator[ItemStore]:
    store = open_item_store(url)
    yield store
    store.close()


def click(items: ItemStore, user_id: str, *item_ids: str, at: float = NOW) -> int:
    events = [Event(f"{user_id}-{item_id}-{at}", user_id, item_id, at) for item_id in item_ids]
    return len(items.record_events(events).new)


def clicked(items: ItemStore, user_id: str) -> set[str]:
    return {event.item_id for event in items.recent_events(user_id, limit=100)}


def everything(url: str) -> str:
    """Every row of every table."""
    database = Database(url)
    with database.read() as tx:
        tables = inspect(tx).get_table_names()
        rows = [repr(tuple(row)) for table in tables for row in tx.execute(text(f"SELECT * FROM {table}"))]  # noqa: S608
    database.close()
    return "\n".join(rows)


def test_a_profile_is_kept_as_it_was_put(users: UserStore) -> None:
    assert users.put("ann", ANN) == NOW
    record = users.get("ann")
    assert record == UserRecord("ann", ANN, events=0, merged_into=None, updated_at=NOW)
    assert record.profile.embedding is not None and record.profile.embedding.tolist() == [0.5, -2.0]
    assert users.reader("ann") == Reader("ann", ANN)


def test_another_profile_takes_the_place_of_all_of_it(users: UserStore, times: list[float]) -> None:
    users.put("ann", ANN)
    times.append(NOW + 1)
    users.put("ann", Profile(liked=("sencha",)))
    assert users.get("ann") == UserRecord("ann", Profile(liked=("sencha",)), updated_at=NOW + 1)


def test_of_a_stranger_there_is_nothing(users: UserStore) -> None:
    assert users.get("nobody") == UserRecord("nobody")
    assert users.reader("nobody") == Reader("nobody")


@pytest.mark.parametrize(
    "profile",
    [
        Profile(preferences="a\0b"),
        Profile(preferences="\ud800"),
        Profile(liked=("",)),
        Profile(liked=("x",), disliked=("y", "x")),
        Profile(attributes={"a\0": 1}),
        Profile(attributes={"a": ["\ud800"]}),
        Profile(attributes={"a": float("nan")}),
        Profile(embedding=np.array([np.inf], dtype=np.float32)),
        Profile(embedding=np.array([1e6], dtype=np.float32)),
    ],
)
def test_what_no_database_holds_is_refused(users: UserStore, profile: Profile) -> None:
    users.put("ann", ANN)
    with pytest.raises(InvalidInput):
        users.put("ann", profile)
    assert users.get("ann").profile == ANN


def test_a_merge_moves_events_and_profile_into_the_account(users: UserStore, items: ItemStore) -> None:
    users.put("anonymous", Profile(preferences="coffee", liked=("mocha",), attributes={"city": "Rome", "size": "L"}))
    users.put("ann", ANN)
    click(items, "anonymous", "mocha", "lungo")
    click(items, "ann", "assam")
    assert users.merge("anonymous", into="ann") == Merged("ann", events=2)
    merged = users.get("ann")
    assert merged.profile.preferences == ANN.preferences and merged.profile.embedding is not None
    assert merged.profile.liked == ("assam", "lungo", "mocha")
    assert merged.profile.attributes == {**ANN.attributes, "size": "L"}
    assert merged.events == 3 and clicked(items, "ann") == {"mocha", "lungo", "assam"}
    assert users.get("anonymous") == UserRecord("anonymous", merged_into="ann", updated_at=NOW)


def test_an_account_without_a_sentence_takes_the_other_one_with_its_embedding(users: UserStore) -> None:
    users.put("anonymous", ANN)
    users.merge("anonymous", into="ann")
    moved = users.get("ann").profile
    assert moved == ANN and moved.embedding is not None and moved.embedding.tolist() == [0.5, -2.0]


def test_merging_twice_is_the_same_as_once(users: UserStore, items: ItemStore, url: str) -> None:
    users.put("anonymous", ANN)
    click(items, "anonymous", "mocha")
    users.merge("anonymous", into="ann")
    once = everything(url)
    assert users.merge("anonymous", into="ann") == Merged("ann", events=0)
    assert everything(url) == once


def test_what_comes_late_counts_for_the_account(users: UserStore, items: ItemStore) -> None:
    users.merge("anonymous", into="ann")
    assert click(items, "anonymous", "mocha") == 1
    assert (clicked(items, "ann"), clicked(items, "anonymous")) == ({"mocha"}, set())
    users.put("ann", ANN)
    assert users.reader("anonymous") == Reader("ann", ANN)


def test_chains_resolve_to_the_end_whichever_way_they_are_made(users: UserStore, items: ItemStore) -> None:
    users.merge("a", into="b")
    click(items, "a", "mocha")
    users.merge("b", into="c")
    assert users.merge("d", into="a") == Merged("c", events=0)
    for name in ("a", "b", "d"):
        assert users.get(name).merged_into == "c"
    assert clicked(items, "c") == {"mocha"}


def test_a_merge_onto_itself_is_refused(users: UserStore) -> None:
    with pytest.raises(InvalidInput, match="themselves"):
        users.merge("ann", into="ann")
    assert users.get("ann") == UserRecord("ann")


@pytest.mark.parametrize("into", ["a", "b"])
def test_a_merge_in_a_circle_is_refused_and_changes_nothing(users: UserStore, items: ItemStore, into: str) -> None:
    users.merge("a", into="b")
    users.merge("b", into="c")
    click(items, "c", "mocha")
    with pytest.raises(Conflict, match="circle"):
        users.merge("c", into=into)
    assert (users.get("c").merged_into, clicked(items, "c")) == (None, {"mocha"})


def test_what_was_merged_cannot_be_merged_elsewhere_put_or_erased(users: UserStore) -> None:
    users.merge("anonymous", into="ann")
    with pytest.raises(Conflict, match="'ann'"):
        users.merge("anonymous", into="bob")
    with pytest.raises(Conflict, match="'ann'"):
        users.put("anonymous", ANN)
    with pytest.raises(Conflict, match="Erase 'ann'"):
        users.forget("anonymous")
    assert users.get("anonymous").merged_into == "ann" and users.get("bob") == UserRecord("bob")


def test_two_merges_at_once_make_no_circle(users: UserStore) -> None:
    def merge(source: str, into: str) -> bool:
        try:
            users.merge(source, into=into)
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        for n in range(20):
            pairs = [(f"a{n}", f"b{n}"), (f"b{n}", f"a{n}")]
            assert sorted(pool.map(lambda pair: merge(*pair), pairs)) == [False, True]


def test_no_event_is_left_behind_by_a_merge_that_it_runs_beside(users: UserStore, items: ItemStore) -> None:
    with ThreadPoolExecutor(8) as pool:
        for n in range(20):
            clicks = [pool.submit(click, items, f"a{n}", f"item-{m}") for m in range(6)]
            pool.submit(users.merge, f"a{n}", into=f"b{n}").result()
            assert [each.result() for each in clicks] == [1] * 6
            assert (len(clicked(items, f"b{n}")), clicked(items, f"a{n}")) == (6, set())


def test_nothing_of_an_erased_person_is_left_under_any_name(users: UserStore, items: ItemStore, url: str) -> None:
    users.put("the-anonymous", ANN)
    click(items, "the-anonymous", "mocha")
    users.merge("the-anonymous", into="the-account")
    users.put("bob", ANN)
    click(items, "the-account", "lungo")
    click(items, "bob", "lungo")
    assert users.traces(["the-account"]) == {"profiles": 1, "events": 2, "exposures": 0, "names": 1}
    forgotten = users.forget("the-account")
    assert forgotten.user_ids == ("the-account", "the-anonymous")
    assert forgotten.erased == {"profiles": 1, "events": 2, "exposures": 0}
    # Broken off here, it can be taken up again: the names are still there to tell whom it was about.
    assert users.forget("the-account").user_ids == forgotten.user_ids
    assert users.forget_names(forgotten.user_ids) == 1
    assert users.traces(forgotten.user_ids) == {"profiles": 0, "events": 0, "exposures": 0, "names": 0}
    left = everything(url)
    assert "the-a" not in left and "bob" in left
    assert (users.get("bob").profile, clicked(items, "bob")) == (ANN, {"lungo"})


def test_erasing_a_stranger_is_remembered(users: UserStore) -> None:
    forgotten = users.forget("nobody")
    assert (forgotten.user_ids, forgotten.erased) == (("nobody",), {"profiles": 0, "events": 0, "exposures": 0})
    assert users.forget_names(forgotten.user_ids) == 0
    assert users.reader("nobody") == Reader("nobody", erased=True)
    assert users.erasures(0.0) == {users.digest("nobody"): NOW} and users.erasures(NOW + 1) == {}


def test_what_was_before_the_erasure_does_not_come_back(users: UserStore, items: ItemStore) -> None:
    users.merge("anonymous", into="ann")
    click(items, "ann", "assam", at=NOW - 5)
    users.forget_names(users.forget("ann").user_ids)
    for name in ("ann", "anonymous"):
        assert click(items, name, "assam", at=NOW - 5) == click(items, name, "assam", at=NOW) == 0
        assert clicked(items, name) == set()
        assert click(items, name, "mocha", at=NOW + 1) == 1  # somebody new, who has nothing of the old
        assert clicked(items, name) == {"mocha"}
    users.put("ann", Profile(liked=("lungo",)))
    assert users.reader("ann") == Reader("ann", Profile(liked=("lungo",)), erased=True)
    users.merge("anonymous", into="ann")
    assert users.reader("anonymous").erased


def test_no_event_survives_an_erasure_that_it_runs_beside(users: UserStore, items: ItemStore) -> None:
    with ThreadPoolExecutor(8) as pool:
        for n in range(20):
            clicks = [pool.submit(click, items, f"a{n}", f"item-{m}") for m in range(6)]
            pool.submit(users.forget, f"a{n}").result()
            assert all(each.result() in (0, 1) for each in clicks)
            assert clicked(items, f"a{n}") == set()


def test_stores_of_one_database_recognise_the_same_people(users: UserStore, url: str, new_url: object) -> None:
    assert callable(new_url)
    same, other = UserStore(url), UserStore(new_url())
    users.forget("ann")
    assert same.reader("ann").erased and same.digest("ann") == users.digest("ann") != other.digest("ann")
    same.close()
    other.close()


def test_many_ids_fit_into_one_call(users: UserStore) -> None:
    assert users.traces([f"user-{n}" for n in range(70_000)])["events"] == 0
