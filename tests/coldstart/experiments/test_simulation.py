import numpy as np
import pytest

from coldstart.experiments.assignment import assign
from coldstart.experiments.power import compare_designs
from coldstart.experiments.simulation import Shoppers, Trouble, simulate_log, simulate_units
from tests.coldstart.experiments.toy import BEGIN, DAY, running


def test_shoppers_differ_and_come_several_times() -> None:
    shoppers = Shoppers.draw(20_000, np.random.default_rng(0))
    assert shoppers.lists.min() == 1 and 3.2 < shoppers.lists.mean() < 3.6
    assert 0.025 < shoppers.rate.mean() < 0.035 and shoppers.rate.std() > 0.5 * shoppers.rate.mean()
    assert np.corrcoef(shoppers.rate, shoppers.lists)[0, 1] > 0.2
    assert len(set(shoppers.names)) == 20_000


def test_they_meet_the_arm_that_the_service_would_assign() -> None:
    experiment, rng = running(), np.random.default_rng(0)
    shoppers = Shoppers.draw(200, rng)
    found = simulate_units(experiment, shoppers, rng, effects=(0.0, 3.0))
    arms = [arm.name if (arm := assign(experiment, name)) else "" for name in shoppers.names]
    assert [experiment.arms[number].name for number in found.arm] == arms
    rate = [found.of_arm(arm).numerator.sum() / found.of_arm(arm).denominator.sum() for arm in (0, 1)]
    assert rate[1] > 2 * rate[0]


def test_a_log_shows_the_trouble_it_was_asked_for() -> None:
    experiment, rng = running(), np.random.default_rng(0)
    shoppers = Shoppers.draw(400, rng)
    trouble = Trouble(delay_s={"new": 60.0}, lost={"old": 0.5}, source={"new": "replica"})
    exposures, outcomes = simulate_log(experiment, shoppers, rng, trouble=trouble)
    new, old = ([each for each in exposures if each.arm == arm] for arm in ("new", "old"))
    assert min(each.lag_s for each in new) >= 60 > 5 >= max(each.lag_s for each in old)
    assert {each.source for each in new} == {"replica"} and {each.source for each in old} == {"events"}
    assert len({each.unit for each in old}) < 0.7 * len({each.unit for each in new})
    assert all(BEGIN <= each.at <= BEGIN + 7 * DAY for each in exposures)
    assert any(each.timestamp < BEGIN for each in outcomes)


def test_interleaving_needs_a_fifth_of_the_impressions_or_fewer_for_the_same_decision() -> None:
    found = compare_designs(shoppers=6_000)
    assert found.ratio >= 5 and found.lift > 0 and found.margin > 0
    assert found.ab_power == pytest.approx(0.8, abs=0.1) and found.interleaving_power == pytest.approx(0.8, abs=0.1)


def test_rankers_that_are_equally_good_are_not_told_apart_by_few() -> None:
    found = compare_designs(shoppers=6_000, noise=(1.0, 1.0), samples=1)
    assert abs(found.margin) < 0.03 and found.interleaving_impressions > 10_000
