"""What becomes of the retrieved items before they are a list."""

from collections import Counter

import numpy as np
import pytest

from coldstart.catalog import ItemStore
from coldstart.errors import InvalidInput
from coldstart.index import Point
from coldstart.index.exact import ExactIndex
from coldstart.recommend import Recommender, Request
from coldstart.recommend.exploring import draw, tempered
from coldstart.recommend.policy import Boost, Policy
from tests.coldstart.recommend.toy import ids, make


def test_a_boost_lifts_what_fulfils_it_from_anywhere_and_lowers_below_one(store: ItemStore, index: ExactIndex) -> None:
    points = [Point(f"i{n}", 1, np.array([100.0 - n, 0], np.float32), {"cold": False}) for n in range(90)]
    own = Point("own", 1, np.array([60.0, 0], np.float32), {"cold": False, "attributes": {"brand": "own"}})
    index.upsert([*points, own])
    shop = make(store, index)
    brand = {"attributes.brand": "own"}
    assert ids(shop.recommend(Request(preferences="tea", limit=2))) == ["i0", "i1"]
    lifted = shop.recommend(Request(preferences="tea", limit=2, boosts=(Boost(brand, 2.0),)))
    assert ids(lifted) == ["own", "i0"] and lifted.rows[0].score == pytest.approx(120.0)
    dear = Request(preferences="tea", limit=91, boosts=(Boost(brand, 0.1),))
    assert ids(shop.recommend(dear))[-1] == "own"


def test_a_boost_keeps_to_the_filter(shop: Recommender) -> None:
    request = Request(
        user_id="ann", where={"attributes.shelf": "b"}, boosts=(Boost({"attributes.shelf": "a"}, 9.0),), limit=9
    )
    assert set(ids(shop.recommend(request))) == {"darjeeling", "lungo", "new-coffee"}


def test_diversity_sets_the_list_apart(shop: Recommender) -> None:
    plain = Request(preferences="tea", limit=2)
    assert ids(shop.recommend(plain)) == ["assam", "darjeeling"]
    apart = shop.recommend(Request(preferences="tea", limit=2, policy=Policy(diversity=0.7)))
    assert ids(apart)[0] == "assam" and ids(apart)[1] in ("ristretto", "lungo", "new-coffee")
    assert all(row.propensity == 1.0 for row in apart.rows)


def test_explored_lists_differ_and_tell_with_what_chance(shop: Recommender) -> None:
    request = Request(preferences="tea", limit=1, policy=Policy(explore=1.0, cold_share=0.0))
    answers = [shop.recommend(request).rows[0] for _ in range(2000)]
    drawn, told = Counter(row.item_id for row in answers), {row.item_id: row.propensity for row in answers}
    assert len(drawn) >= 4
    for item_id, times in drawn.items():
        chance = told[item_id]
        assert abs(times / 2000 - chance) < 4 * np.sqrt(chance * (1 - chance) / 2000), item_id


def test_drawing_follows_plackett_and_luce() -> None:
    rng, logits = np.random.default_rng(0), np.log(np.array([1.0, 2.0, 3.0]))
    pairs = Counter(tuple(draw(logits, 2, rng)[0]) for _ in range(6000))
    assert pairs[(2, 1)] / 6000 == pytest.approx(3 / 6 * 2 / 3, abs=0.02)
    assert pairs[(0, 1)] / 6000 == pytest.approx(1 / 6 * 2 / 5, abs=0.02)
    rows, chances = draw(logits, 3, rng)
    assert sorted(rows) == [0, 1, 2] and chances[-1] == pytest.approx(1.0)


def test_what_is_nothing_beside_what_was_drawn_is_drawn_next_with_its_chance_among_what_is_left() -> None:
    rows, chances = draw(np.array([0.0, 800.0, np.log(3.0), -np.inf]), 4, np.random.default_rng(0))
    assert rows[0] == 1 and sorted(rows) == [0, 1, 2]
    assert chances == pytest.approx([1.0, {0: 0.25, 2: 0.75}[rows[1]], 1.0])


def test_a_chance_is_never_above_one_when_all_is_drawn() -> None:
    for seed in range(200):
        rng = np.random.default_rng(seed)
        _, chances = draw(rng.normal(size=rng.integers(2, 12)).astype(np.float32), 12, rng)
        assert max(chances) <= 1.0


def test_scores_that_do_not_differ_are_drawn_alike() -> None:
    assert tempered(np.full(3, 2.0, np.float32), 0.1).tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    "choice", [{"cold_share": 1.1}, {"cold_share": float("nan")}, {"diversity": -0.1}, {"explore": 11.0}]
)
def test_a_policy_that_cannot_be_is_refused(choice: dict[str, float]) -> None:
    with pytest.raises(InvalidInput, match=next(iter(choice))):
        Policy(**choice)  # type: ignore[arg-type]
