import numpy as np

from coldstart.evaluation.intervals import Interval, differences, estimate
from coldstart.evaluation.protocols import Judged


def judged(values: np.ndarray, *, first: int = 0) -> Judged:
    return Judged(np.arange(first, first + len(values)), values, values)


def test_an_interval_covers_the_true_mean_nearly_as_often_as_it_says() -> None:
    """19 of 20 samples in expectation; fewer than 85 of 100 would happen once in 40,000 times."""
    rng = np.random.default_rng(0)
    covered = 0
    for n in range(100):
        found = estimate(rng.random(80), seed=n).interval
        assert found is not None
        covered += found.low <= 0.5 <= found.high
    assert 85 <= covered < 100


def test_more_users_make_it_narrower() -> None:
    values = np.random.default_rng(0).random(4000)
    few, many = (estimate(values[:n]).interval for n in (250, 4000))
    assert few is not None and many is not None
    assert 3 < (few.high - few.low) / (many.high - many.low) < 5.5  # 16 times as many: a fourth


def test_it_is_that_of_the_normal_approximation_where_that_holds() -> None:
    values = np.random.default_rng(1).standard_normal(2000)
    found, error = estimate(values), values.std() / np.sqrt(len(values))
    assert found.interval is not None
    np.testing.assert_allclose(
        [found.interval.low, found.interval.high], found.mean + 1.96 * error * np.array([-1, 1]), atol=0.2 * error
    )


def test_the_seed_decides() -> None:
    values = np.random.default_rng(0).random(50)
    assert estimate(values, seed=1) == estimate(values, seed=1) != estimate(values, seed=2)


def test_nothing_can_be_resampled_of_one_user() -> None:
    assert estimate(np.array([0.5])).interval is None


def test_a_constant_lead_is_certain_however_users_differ() -> None:
    values = np.random.default_rng(0).random(30)
    lead = differences(judged(values + 0.25), judged(values))["ndcg@20"].interval
    assert lead is not None
    np.testing.assert_allclose([lead.low, lead.high], 0.25)


def test_differences_are_of_the_users_whom_both_know() -> None:
    mine, theirs = judged(np.array([9.0, 1.0, 1.0])), judged(np.array([0.0, 0.0, 9.0]), first=1)
    found = differences(mine, theirs)["recall@20"]
    assert (found.mean, found.interval) == (1.0, Interval(1.0, 1.0))
    assert differences(mine, judged(np.zeros(2), first=7)) == {}
