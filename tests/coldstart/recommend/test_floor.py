"""New items get the impressions that they are owed, in places kept for them."""

import time
from collections import Counter
from typing import Any

import numpy as np
import pytest

from coldstart.catalog import ItemStore, Newcomer
from coldstart.errors import Unavailable
from coldstart.index import Point
from coldstart.index.exact import ExactIndex
from coldstart.recommend import Recommender, Request
from coldstart.recommend.floor import MAX_OWED, SCREEN, Floor
from coldstart.recommend.newcomers import Quota
from coldstart.recommend.policy import Policy
from coldstart.vectors import Vector
from tests.coldstart.recommend.toy import COFFEE, TEA, ids, make, stock

DAY = 86_400.0


class Arrivals:
    """New items as a catalogue would tell of them."""

    def __init__(self) -> None:
        self.shown: Counter[str] = Counter()
        self.clicks: Counter[str] = Counter()
        self.item_ids: list[str] = []
        self.away = False

    def newcomers(self, *, since: float, limit: int) -> list[Newcomer]:
        self._answer()
        found = [Newcomer(each, time.time(), self.shown[each], self.clicks[each]) for each in self.item_ids]
        return sorted(found, key=lambda each: each.shown)[:limit]

    def count_impressions(self, shown: Any) -> None:
        self._answer()
        self.shown.update(shown)

    def _answer(self) -> None:
        if self.away:
            raise Unavailable("gone fishing")


@pytest.fixture
def arrivals() -> Arrivals:
    return Arrivals()


def arrive(arrivals: Arrivals, index: ExactIndex, vectors: dict[str, Vector], **payload: Any) -> None:
    arrivals.item_ids += vectors
    index.upsert([Point(item_id, 1, vector, {"cold": True, **payload}) for item_id, vector in vectors.items()])


def shop_with(store: ItemStore, index: ExactIndex, floor: Floor, *, cold_share: float = 0.25) -> Recommender:
    """A hundred known teas, so that no new item gets a place by its score."""
    known = {f"known-{n}": np.array([9.0 + n / 100, 0], np.float32) for n in range(100)}
    index.upsert([Point(item_id, 1, vector, {"cold": False}) for item_id, vector in known.items()])
    return make(store, index, floor=floor, policy=Policy(cold_share=cold_share))


def test_every_new_item_gets_its_quota_and_then_the_places_are_free_again(
    store: ItemStore, index: ExactIndex, arrivals: Arrivals
) -> None:
    arrive(arrivals, index, {f"new-{n}": TEA * (n % 7) + COFFEE for n in range(30)})
    floor = Floor(arrivals, index, Quota(impressions=4))
    shop = shop_with(store, index, floor)
    lists = 0
    while floor.refresh():
        answer = shop.recommend(Request(preferences="tea", limit=20))
        owed = sum(arrivals.shown[each] < 4 for each in arrivals.item_ids)
        assert sum(row.cold for row in answer.rows) == min(5, owed)
        lists += 1
    assert set(arrivals.shown.values()) == {4} and set(arrivals.shown) == set(arrivals.item_ids)
    assert lists <= 30 * 4 / 5 + 5
    assert not any(row.cold for row in shop.recommend(Request(preferences="tea", limit=20)).rows)


def test_the_kept_places_stand_among_the_others_and_are_named(
    store: ItemStore, index: ExactIndex, arrivals: Arrivals
) -> None:
    arrive(arrivals, index, {"a": TEA, "b": TEA}, gates={"text": 1.0})
    floor = Floor(arrivals, index, Quota())
    floor.refresh()
    answer = shop_with(store, index, floor, cold_share=0.5).recommend(Request(preferences="tea", limit=4))
    assert [row.cold for row in answer.rows] == [False, True, False, True]
    assert answer.rows[1].reason == "new, shown to get its first clicks"
    assert answer.rows[1].propensity == pytest.approx(0.5) and answer.rows[3].propensity == pytest.approx(1.0)


def test_a_reader_is_rather_shown_what_fits(store: ItemStore, index: ExactIndex, arrivals: Arrivals) -> None:
    arrive(arrivals, index, {"tea": TEA, "coffee": COFFEE})
    floor = Floor(arrivals, index, Quota(impressions=10**6))
    floor.refresh()
    shop = shop_with(store, index, floor, cold_share=0.05)
    rows = [row for _ in range(300) for row in shop.recommend(Request(preferences="tea", limit=20)).rows if row.cold]
    assert Counter(row.item_id for row in rows)["tea"] > 250
    assert {row.item_id: round(row.propensity, 2) for row in rows}["tea"] == pytest.approx(0.98, abs=0.01)


def test_what_stands_there_by_its_score_counts_as_a_kept_place(
    store: ItemStore, index: ExactIndex, arrivals: Arrivals
) -> None:
    arrive(arrivals, index, {"hit": 99 * TEA, "other": COFFEE})
    floor = Floor(arrivals, index, Quota())
    floor.refresh()
    answer = shop_with(store, index, floor, cold_share=0.1).recommend(Request(preferences="tea", limit=10))
    assert ids(answer)[0] == "hit" and not {"other"} & set(ids(answer))


def test_filters_exclusions_and_windows_hold_for_kept_places(
    store: ItemStore, index: ExactIndex, arrivals: Arrivals
) -> None:
    arrive(arrivals, index, {"a": TEA}, attributes={"shelf": "a"})
    arrive(arrivals, index, {"b": TEA}, attributes={"shelf": "b"})
    arrive(arrivals, index, {"over": TEA}, attributes={"shelf": "a"}, expires_at=5.0)
    floor = Floor(arrivals, index, Quota())
    floor.refresh()
    shop = shop_with(store, index, floor, cold_share=1.0)

    def new(request: Request) -> set[str]:
        return {row.item_id for row in shop.recommend(request).rows if row.cold}

    assert new(Request(preferences="tea")) == {"a", "b"}
    assert new(Request()) == {"a", "b"}
    assert new(Request(preferences="tea", where={"attributes.shelf": "b"})) == {"b"}
    assert new(Request(preferences="tea", exclude=("b",))) == {"a"}
    assert new(Request(preferences="tea", clicked=("a",))) == {"b"}
    assert new(Request(preferences="tea", policy=Policy(cold_share=0.0))) == set()
    assert new(Request(preferences="tea", policy=Policy(adapter=False))) == set()


def test_what_was_deleted_a_moment_ago_is_not_drawn(store: ItemStore, index: ExactIndex, arrivals: Arrivals) -> None:
    arrive(arrivals, index, {"a": TEA, "b": TEA})
    floor = Floor(arrivals, index, Quota())
    floor.refresh()
    index.delete({"a": 2})
    answer = shop_with(store, index, floor, cold_share=1.0).recommend(Request(preferences="tea", limit=10))
    assert [row.item_id for row in answer.rows if row.cold] == ["b"]


def test_only_what_somebody_may_have_seen_counts(index: ExactIndex, arrivals: Arrivals) -> None:
    arrive(arrivals, index, {f"new-{n}": TEA for n in range(SCREEN + 5)})
    floor = Floor(arrivals, index, Quota())
    floor.refresh()
    floor.count([*arrivals.item_ids, "known"])
    floor.refresh()
    assert arrivals.shown.total() == SCREEN


def test_one_that_proves_bad_loses_its_places(index: ExactIndex, arrivals: Arrivals) -> None:
    arrive(arrivals, index, {f"new-{n}": TEA for n in range(4)})
    arrivals.shown.update(dict.fromkeys(arrivals.item_ids, 60))
    arrivals.clicks.update({"new-0": 20, "new-1": 15, "new-2": 18})
    floor = Floor(arrivals, index, Quota())
    assert floor.refresh() == 3
    assert floor.owed_among(["new-3"]) == 0


def test_while_the_catalogue_is_away_nothing_is_forgotten(index: ExactIndex, arrivals: Arrivals) -> None:
    arrive(arrivals, index, {"a": TEA})
    floor = Floor(arrivals, index, Quota())
    floor.refresh()
    floor.count(["a"])
    arrivals.away = True
    with pytest.raises(Unavailable):
        floor.refresh()
    floor.count(["a"])
    assert floor.owed_among(["a"]) == 1
    arrivals.away = False
    floor.refresh()
    assert arrivals.shown["a"] == 2


def test_of_very_many_the_most_urgent_have_their_turn(index: ExactIndex, arrivals: Arrivals) -> None:
    arrive(arrivals, index, {f"new-{n}": TEA for n in range(MAX_OWED + 5)})
    arrivals.shown.update({f"new-{n}": 1 for n in range(5)})
    floor = Floor(arrivals, index, Quota())
    assert floor.refresh() == MAX_OWED
    assert floor.owed_among(f"new-{n}" for n in range(5)) == 0


def test_with_a_real_catalogue_shown_items_are_counted(store: ItemStore, index: ExactIndex) -> None:
    stock(store, index)
    floor = Floor(store, index, Quota())
    assert floor.refresh() == 2
    shop = make(store, index, floor=floor)
    shop.recommend(Request(user_id="ann"))
    shop.recommend(Request(user_id="ann"))
    floor.refresh()
    assert {each.item_id: each.shown for each in store.newcomers(since=0, limit=9)} == {"new-tea": 2, "new-coffee": 2}
