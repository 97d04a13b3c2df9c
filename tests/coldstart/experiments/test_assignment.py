from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from coldstart.errors import Conflict
from coldstart.experiments.assignment import arm_of, assign, bucket, claim_buckets, point, takes_part
from coldstart.experiments.design import BUCKETS, Arm, Buckets, Status
from coldstart.experiments.lifecycle import start
from tests.coldstart.experiments.toy import draft, running

MILLION = [f"user-{n}" for n in range(1_000_000)]
ARMS = (Arm("old", 0.5), Arm("new", 0.3), Arm("other", 0.2))


def test_points_are_those_of_every_release() -> None:
    """Golden values: a change here moves units of running experiments to other arms."""
    assert point("salt", "unit") == 0.9264938009903187
    assert point("", "a") == 0.008459656010795014
    assert point("arm\0s1", "shopper-0") == 0.9719660990386583
    assert point("layer\0default", "ä") == 0.11887739624203175
    assert bucket("default", "ä") == 1188


def test_arms_are_those_of_every_release() -> None:
    experiment = running(arms=ARMS, share=0.5)
    units = [*(f"user-{n}" for n in range(12)), "ä", "用户", "a b", "🛋"]
    arms = [arm.name if (arm := assign(experiment, unit)) else "" for unit in units]
    assert arms == ["old", "", "", "old", "", "new", "", "old", "new", "old", "", "new", "new", "", "", "old"]


def test_a_million_units_meet_each_arm_as_often_as_its_weight_says() -> None:
    experiment = running(arms=ARMS)
    counts = Counter(arm_of(experiment, unit).name for unit in MILLION)
    assert chisquare([counts[arm.name] for arm in ARMS], [arm.weight * len(MILLION) for arm in ARMS]).pvalue > 0.01


def test_a_million_units_fill_the_buckets_evenly() -> None:
    counts = np.bincount([bucket("home", unit) for unit in MILLION], minlength=BUCKETS)
    assert len(counts) == BUCKETS and chisquare(counts).pvalue > 0.01


def test_a_units_places_in_two_layers_and_two_experiments_have_nothing_to_do_with_each_other() -> None:
    salts = ("layer\0default", "layer\0home", "arm\0s1", "arm\0s2")
    points = np.array([[point(salt, unit) for unit in MILLION[:200_000]] for salt in salts])
    correlations = np.corrcoef(points)[np.triu_indices(len(salts), 1)]
    assert np.abs(correlations).max() < 4 / np.sqrt(200_000)  # of each: 1 in 16,000 by chance


def test_who_takes_part_says_nothing_of_the_arm() -> None:
    experiment = running(share=0.1)
    arms = Counter(arm.name for unit in MILLION[:200_000] if (arm := assign(experiment, unit)))
    assert chisquare([arms["old"], arms["new"]]).pvalue > 0.01
    assert abs(arms.total() / 200_000 - 0.1) < 4 * np.sqrt(0.1 * 0.9 / 200_000)


def test_experiments_of_one_layer_share_no_unit_and_those_of_two_do() -> None:
    first = running(share=0.4)
    second = start(draft(experiment_id="second", salt="s2", share=0.6), [first], now=1.0)
    other = start(draft(experiment_id="other", salt="s3", share=0.4, layer="home"), [first, second], now=1.0)
    both = [[takes_part(each, unit) for unit in MILLION[:20_000]] for each in (first, second, other)]
    parts = np.array(both).astype(int)
    assert (parts[0] + parts[1] == 1).all()
    assert abs((parts[0] & parts[2]).mean() - 0.16) < 4 * np.sqrt(0.16 * 0.84 / 20_000)


def test_only_a_running_experiment_assigns() -> None:
    assert assign(draft(), "u") is None
    experiment = running()
    assert experiment.status is Status.RUNNING and assign(experiment, "u") in experiment.arms


def test_the_lowest_free_buckets_are_claimed_also_in_pieces() -> None:
    taken = running(experiment_id="a", buckets=()), running(experiment_id="b")
    first = claim_buckets([], 0.3)
    assert first == (Buckets(0, 3000),)
    held = draft(buckets=(Buckets(1000, 2000), Buckets(5000, 9000)))
    assert claim_buckets([held], 0.45) == (Buckets(0, 1000), Buckets(2000, 5000), Buckets(9000, 9500))
    assert sum(map(len, taken[0].buckets)) == BUCKETS


def test_more_than_is_free_is_refused_with_who_has_it() -> None:
    held = draft(experiment_id="spring", buckets=(Buckets(0, 7000),))
    with pytest.raises(Conflict, match=r"40\.00% of the layer's traffic are wanted and 30\.00% are free.*spring"):
        claim_buckets([held], 0.4)


@given(st.lists(st.floats(0.001, 0.5), max_size=8))
def test_claims_of_one_layer_never_meet(shares: list[float]) -> None:
    held: list[Buckets] = []
    for share in shares:
        try:
            claimed = claim_buckets([draft(buckets=tuple(held))], share)
        except Conflict:
            assert sum(map(len, held)) + share * BUCKETS > BUCKETS - 1
            continue
        assert sum(map(len, claimed)) == pytest.approx(share * BUCKETS, abs=0.5)
        held.extend(claimed)
    held.sort()
    assert all(0 <= each.start < each.stop <= BUCKETS for each in held)
    assert all(one.stop <= other.start for one, other in pairwise(held))
