"""Lists of what is at hand are the same lists; where something is missing, nobody is asked and no list is made."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from coldstart.catalog import ItemStore
from coldstart.catalog.users import UserStore
from coldstart.entities import Event
from coldstart.index.exact import ExactIndex
from coldstart.recommend import LiveBehaviour, Recommender, Request, log_of
from coldstart.recommend.at_hand import MOST, AtHand, NotAtHand
from coldstart.recommend.policy import Boost, Policy
from coldstart.users.memory import MemoryState
from coldstart.users.profile import Profile
from coldstart.users.readers import Readers
from tests.coldstart.recommend.toy import ids, make, stock


@pytest.fixture
def users(tmp_path: Path) -> Iterator[UserStore]:
    opened = UserStore(f"sqlite:///{tmp_path}/catalog.sqlite3")
    yield opened
    opened.close()


@pytest.fixture
def readers(users: UserStore) -> Readers:
    return Readers(users, encoder="words", alone=True)


@pytest.fixture
def state(store: ItemStore) -> MemoryState:
    return MemoryState(log_of(store))


@pytest.fixture
def shop(store: ItemStore, index: ExactIndex, readers: Readers, state: MemoryState) -> Recommender:
    stock(store, index)
    parts = {"reader_of": readers.reader_of, "at_hand": AtHand(readers, state), "policy": Policy(cold_share=0.0)}
    return make(LiveBehaviour(state, store), index, **parts)  # type: ignore[arg-type]


def test_a_reader_who_was_here_before_gets_the_same_list_at_once(shop: Recommender) -> None:
    asked = Request(user_id="ann", limit=2)
    with pytest.raises(NotAtHand):
        shop.at_hand(asked).recommend(asked)
    once = shop.recommend(asked)
    again = shop.at_hand(asked).recommend(asked)
    assert (ids(again), again.strategy, again.degraded) == (ids(once), "history", False)


def test_what_a_reader_did_and_said_since_is_in_the_list(
    shop: Recommender, store: ItemStore, users: UserStore, readers: Readers, state: MemoryState
) -> None:
    asked = Request(user_id="bob", limit=2)
    assert shop.recommend(asked).strategy == "popular"
    events = [Event("1", "bob", "lungo", time.time())]
    store.record_events(events)
    state.apply(events)
    answer = shop.at_hand(asked).recommend(asked)
    assert answer.strategy == "clicks" and ids(answer) == ["ristretto", "new-coffee"]
    users.put("bob", Profile(disliked=("ristretto",)))
    readers.forget(["bob"])
    with pytest.raises(NotAtHand):
        shop.at_hand(asked).recommend(asked)
    assert "ristretto" not in ids(shop.recommend(asked))
    assert "ristretto" not in ids(shop.at_hand(asked).recommend(asked))


def test_a_shelf_that_would_have_to_be_made_is_not_at_hand(shop: Recommender, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Request(limit=2)
    with pytest.raises(NotAtHand):
        shop.at_hand(asked).recommend(asked)
    assert ids(shop.recommend(asked)) == ids(shop.at_hand(asked).recommend(asked))
    monkeypatch.setattr("coldstart.recommend.shelf.KEEP_S", 0.0)
    with pytest.raises(NotAtHand):
        shop.at_hand(asked).recommend(asked)


@pytest.mark.parametrize(
    "slow",
    [
        Request(preferences="tea"),
        Request(where={"attributes.shelf": "a"}),
        Request(boosts=(Boost({"cold": True}, 2.0),)),
        Request(policy=Policy(diversity=0.5)),
        Request(limit=MOST + 1),
        Request(clicked=("assam",) * (MOST + 1)),
    ],
)
def test_what_takes_longer_is_not_at_hand(shop: Recommender, slow: Request) -> None:
    with pytest.raises(NotAtHand):
        shop.at_hand(slow)


def test_a_sentence_without_its_embedding_is_not_at_hand(shop: Recommender, users: UserStore) -> None:
    users.put("ann", Profile(preferences="tea"))
    asked = Request(user_id="ann", limit=2)
    assert shop.recommend(asked).strategy == "history+preferences"
    with pytest.raises(NotAtHand):
        shop.at_hand(asked).recommend(asked)


def test_where_nothing_is_kept_nothing_is_at_hand(store: ItemStore, index: ExactIndex) -> None:
    with pytest.raises(NotAtHand):
        make(store, index).at_hand(Request())
