import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldstart.experiments.exposure import Exposure
from coldstart.experiments.parity import check_parity, later
from tests.coldstart.experiments.toy import BEGIN, shown

ARMS = ("old", "new")


def lists_of(
    arm: str, *, units: int = 300, lists: int = 3, seed: int = 0, delay: float = 0.0, of_lists: float = 1.0,
    source: str = "events", window: str = "the last hour", degraded: float = 0.0,
) -> list[Exposure]:  # fmt: skip
    """Lists whose events were applied up to 5 s before, and a part of them as much later again as `delay`."""
    rng = np.random.default_rng([seed, len(arm), ord(arm[0])])
    return [
        shown(
            f"{arm}-{unit}", "abc", at=BEGIN + 60 * n, arm=arm, source=source, window=window,
            lag=rng.uniform(0, 5) + (delay if rng.random() < of_lists else 0.0),
            degraded=bool(rng.random() < degraded),
        )
        for unit in range(units) for n in range(lists)
    ]  # fmt: skip


def reasons(old: list[Exposure], new: list[Exposure]) -> tuple[str, ...]:
    return check_parity([*old, *new], ARMS).reasons


def test_arms_that_read_alike_may_be_compared() -> None:
    found = check_parity([*lists_of("old"), *lists_of("new")], ARMS)
    assert found.reasons == ()
    first, second = found.inputs
    assert (first.arm, first.lists, first.sources, first.windows) == ("old", 900, ("events",), ("the last hour",))
    assert 2.2 < second.lag_p50_s < 2.8 and 4.5 < second.lag_p95_s < 5.0 and second.degraded == 0


def test_an_arm_whose_features_are_delayed_is_caught_with_the_figures() -> None:
    [reason] = reasons(lists_of("old"), lists_of("new", delay=60))
    assert "of the lists of new are made from events more than 1 s older than those of old" in reason
    assert "median lag 62" in reason
    [reason] = reasons(lists_of("old", delay=60), lists_of("new"))
    assert "of the lists of old are made from events" in reason


def test_a_feed_that_is_late_now_and_then_is_caught_too() -> None:
    """Neither medians nor means of ranks show much of it."""
    [reason] = reasons(lists_of("old", units=2_000), lists_of("new", units=2_000, delay=600, of_lists=0.12))
    assert "at least 1" in reason


def test_a_difference_within_the_tolerance_is_none_however_many_lists_show_it() -> None:
    assert reasons(lists_of("old", units=5_000), lists_of("new", units=5_000, delay=0.8)) == ()


@pytest.mark.parametrize("units", [3, 30, 3_000])
def test_arms_that_read_alike_are_not_refused_by_chance(units: int) -> None:
    seeds = 100 if units < 1_000 else 5
    found = [
        reasons(lists_of("old", units=units, seed=seed), lists_of("new", units=units, seed=seed))
        for seed in range(seeds)
    ]
    assert found == [()] * seeds


def test_lists_of_one_unit_are_no_more_evidence_than_the_unit() -> None:
    """Three units an arm, each met at one moment of the feed a thousand times: by chance far apart."""
    rng = np.random.default_rng(0)
    caught = 0
    for _ in range(50):
        both = [
            [shown(f"{arm}-{unit}", "a", at=BEGIN + n, arm=arm, lag=lag) for n in range(200)]
            for arm in ARMS for unit, lag in enumerate(rng.uniform(0, 60, size=3))
        ]  # fmt: skip
        caught += bool(check_parity([each for lists in both for each in lists], ARMS).reasons)
    assert caught == 0


def test_another_source_or_window_is_caught_with_both_names() -> None:
    assert reasons(lists_of("old"), lists_of("new", source="replica")) == ("new reads replica and old reads events",)
    [reason] = reasons(lists_of("old"), lists_of("new", window="the last minute"))
    assert reason == "new reads the last minute of it and old reads the last hour"


def test_a_window_that_changes_for_both_is_no_difference() -> None:
    both = [[*lists_of(arm), *lists_of(arm, window="the last minute", seed=1)] for arm in ARMS]
    assert reasons(*both) == ()


def test_degraded_lists_are_caught_where_they_are_many_or_unequally_many() -> None:
    assert reasons(lists_of("old", degraded=0.01), lists_of("new", degraded=0.012)) == ()
    [reason] = reasons(lists_of("old"), lists_of("new", degraded=0.2))
    assert reason.endswith("of the lists of new are degraded, above 5%")
    [reason] = reasons(lists_of("old", units=3_000), lists_of("new", units=3_000, degraded=0.04))
    assert "of the lists of new are degraded, 0.0% of old" in reason
    assert len(reasons(lists_of("old", degraded=0.2), lists_of("new", degraded=0.2))) == 2


def test_an_arm_without_lists_is_not_compared() -> None:
    assert reasons(lists_of("old"), []) == () == reasons([], [])


lags = st.lists(st.floats(0, 100), min_size=1, max_size=20)


@given(lags, lags, st.floats(0, 10))
def test_later_is_the_least_part_of_any_pairing(first: list[float], second: list[float], tolerance: float) -> None:
    """Equal numbers of either, by sorted matching against the best of Strassen: greedy from the top."""
    size = min(len(first), len(second))
    one, other = np.array(sorted(first[:size])), np.array(sorted(second[:size]))
    kept = 0
    for lag in one[::-1]:  # the latest of the first take the latest of the second that are within the tolerance
        fitting = other[other <= lag + tolerance]
        if len(fitting):
            kept += 1
            other = np.delete(other, len(fitting) - 1)
    assert later(one, np.array(sorted(second[:size])), tolerance) == pytest.approx(1 - kept / size)
