from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldstart.experiments.analysis import ALPHA
from coldstart.experiments.design import Metric
from coldstart.experiments.exposure import INTERLEAVED, Outcome
from coldstart.experiments.interleaving import NEUTRAL, Drafted, Preference, credits_at, draft_of, prefer, team_draft
from coldstart.experiments.metrics import Log, Measured, UnitFigures
from tests.coldstart.experiments.toy import BEGIN, DAY, shown

TEAMS = ("old", "new")
ranked = st.lists(st.sampled_from("abcdefghij"), unique=True, max_size=10)


def drafted(first: str, second: str, *, limit: int = 10, seed: int = 0) -> Drafted:
    return team_draft(first, second, teams=TEAMS, limit=limit, rng=np.random.default_rng(seed))


@given(ranked, ranked, st.integers(1, 12), st.integers(0, 5))
def test_a_draft_is_fair_and_complete(first: list[str], second: list[str], limit: int, seed: int) -> None:
    found = team_draft(first, second, teams=TEAMS, limit=limit, rng=np.random.default_rng(seed))
    assert len(set(found.items)) == len(found.items) == len(found.teams)
    assert set(found.items) <= set(first) | set(second)
    assert len(found.items) == min(limit, len(set(first) | set(second)))
    for team, own in zip(TEAMS, (first, second), strict=True):
        picks = [item for item, name in zip(found.items, found.teams, strict=True) if name == team]
        assert picks == sorted(picks, key=own.index)  # each drafts its best first
    if len(first) == len(second) == 10:
        counts = Counter(found.teams)
        assert abs(counts["old"] - counts["new"]) <= 1


def test_the_seed_decides_who_begins_and_both_begin_as_often() -> None:
    assert drafted("ab", "cd", seed=3) == drafted("ab", "cd", seed=3)
    first = Counter(drafted("abc", "def", seed=seed).teams[0] for seed in range(400))
    assert 160 < first["old"] < 240


@pytest.mark.parametrize(("first", "second"), [("abcd", "bade"), ("abcde", "bacfg"), ("abc", "b"), ("abcde", "xbyce")])
def test_propensities_are_how_often_an_item_came_to_its_place_given_those_above(first: str, second: str) -> None:
    """Of all drafts that begin alike, the part that goes on with the item."""
    found = [drafted(first, second, limit=4, seed=seed) for seed in range(4_000)]
    for place in range(min(len(each.items) for each in found)):
        begins = Counter(each.items[:place] for each in found)
        for each in {each.items[: place + 1]: each for each in found}.values():
            same = sum(other.items[: place + 1] == each.items[: place + 1] for other in found)
            share = same / begins[each.items[:place]]
            assert share == pytest.approx(each.propensities[place], abs=0.06), (each, place)


def test_where_both_lists_begin_alike_nobody_is_credited() -> None:
    found = drafted("abcd", "abdc", limit=3)
    assert found.items[:2] == ("a", "b") and found.teams[:2] == (NEUTRAL, NEUTRAL) and found.teams[2] in TEAMS
    assert drafted("abc", "abc").teams == (NEUTRAL,) * 3
    assert drafted("abcd", "abcd", limit=2).items == ("a", "b")


def test_the_longer_list_goes_on_alone() -> None:
    found = drafted("a", "bcd")
    assert set(found.items) == set("abcd") and Counter(found.teams) == {"old": 1, "new": 3}
    assert drafted("", "").items == ()


def log_of(*clicks: tuple[str, str, float]) -> Log:
    lists = [
        shown("ann", "abc", at=BEGIN, arm=INTERLEAVED, teams=("", "new", "old")),
        shown("bob", "xyz", at=BEGIN, arm=INTERLEAVED, teams=("old", "new", "old")),
        shown("ann", "def", at=BEGIN + 10, arm=INTERLEAVED, teams=("new", "old", "new")),
    ]
    return Log.of(lists, [Outcome(unit, item, "click", BEGIN + after) for unit, item, after in clicks], TEAMS)


def test_a_click_is_credited_to_who_drafted_the_item() -> None:
    log = log_of(("ann", "a", 1), ("ann", "b", 2), ("ann", "e", 12), ("ann", "f", 13), ("bob", "x", 5))
    measured = Measured.of(log, Metric.parse("clicks"), attribution_s=DAY)
    found = credits_at(measured)
    assert found.numerator.tolist() == [2 - 1, -1] and found.denominator.tolist() == [3, 1]
    early = credits_at(measured, BEGIN + 3)
    assert early.numerator.tolist() == [1, 0] and early.denominator.tolist() == [1, 0]


def test_the_coin_is_looked_at_by_the_first_picks_of_each_list() -> None:
    split = draft_of(log_of())
    assert split.units == (1, 2)  # bob's x by old; ann's b and d by new
    assert not split.is_mismatched


def credits_from(rng: np.random.Generator, units: int, *, chance: float) -> UnitFigures:
    total = rng.poisson(rng.gamma(0.7, 2.0, units)).astype(np.float64)
    theirs = rng.binomial(total.astype(int), chance).astype(np.float64)
    nothing = np.zeros(units)
    return UnitFigures(nothing.astype(np.int64), nothing, 2 * theirs - total, total, nothing)


def told(rng: np.random.Generator, *, chance: float = 0.5, units: int = 400) -> Preference:
    return prefer(credits_from(rng, units, chance=chance), lists=units, expected_units=units)


def test_equal_arms_are_told_apart_at_the_nominal_rate() -> None:
    found = [told(np.random.default_rng(seed)) for seed in range(1_000)]
    assert 0.035 <= np.mean([each.p_fixed < ALPHA for each in found]) <= 0.065
    assert np.mean([each.p_sign < ALPHA for each in found]) <= 0.055
    assert np.mean([each.p_always < ALPHA for each in found]) <= 0.01


def test_the_margin_is_the_part_of_the_credited_clicks_that_more_went_to_the_second() -> None:
    found = told(np.random.default_rng(0), chance=0.6, units=5_000)
    assert found.margin == pytest.approx(0.2, abs=0.04)
    assert found.interval is not None and found.interval.low < 0.2 < found.interval.high
    assert found.sequence is not None and found.sequence.low > 0 and found.p_always < ALPHA and found.p_sign < 1e-6
    assert found.second_units > found.first_units and found.units == 5_000


def test_of_no_credit_nothing_is_concluded() -> None:
    found = told(np.random.default_rng(0), units=1)
    assert (found.interval, found.p_fixed, found.p_always, found.p_sign) == (None, 1.0, 1.0, 1.0)
    nobody = UnitFigures(np.zeros(300, np.int64), *(np.zeros(300) for _ in range(4)))
    found = prefer(nobody, lists=300, expected_units=300)
    assert (found.margin, found.tied_units, found.p_fixed) == (0.0, 300, 1.0)
