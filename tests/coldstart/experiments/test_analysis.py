import numpy as np
import pytest
from scipy.stats import ttest_ind

from coldstart.experiments.analysis import (
    ALPHA,
    SRM_ALARM,
    Hold,
    Interval,
    Lift,
    adjust,
    compare,
    guard,
    holm,
    linearise,
    split_of,
)
from coldstart.experiments.assignment import arm_of
from coldstart.experiments.metrics import Floats, UnitFigures
from coldstart.experiments.simulation import Shoppers, simulate_units
from tests.coldstart.experiments.toy import running

SEEDS, SHOPPERS = 1_000, 600


def figures(numerator: Floats, denominator: Floats | None = None, history: Floats | None = None) -> UnitFigures:
    nothing = np.zeros(len(numerator))
    ones = np.ones(len(numerator))
    return UnitFigures(
        nothing.astype(np.int64), nothing, numerator, ones if denominator is None else denominator,
        nothing if history is None else history,
    )  # fmt: skip


def simulated(seed: int, *, effects: tuple[float, float] = (0, 0), shoppers: int = SHOPPERS) -> Lift:
    rng = np.random.default_rng(seed)
    found = simulate_units(running(salt=f"s{seed}"), Shoppers.draw(shoppers, rng), rng, effects=effects)
    return compare(found.of_arm(0), found.of_arm(1), expected_units=shoppers)


def test_an_a_a_test_rejects_at_the_nominal_rate_over_1000_seeds() -> None:
    p_values = np.array([simulated(seed).p_fixed for seed in range(SEEDS)])
    assert 0.035 <= (p_values < ALPHA).mean() <= 0.065
    assert 0.46 < (p_values < 0.5).mean() < 0.54  # two and a half deviations


def test_intervals_cover_a_true_effect_as_often_as_they_say() -> None:
    """The relative one: by 20 % of every shopper's rate, whoever is in the arms."""
    lifts = [simulated(seed, effects=(0.0, 0.2)) for seed in range(400)]
    fixed = [each.relative_interval for each in lifts]
    always = [each.relative_sequence for each in lifts]
    assert 0.915 < np.mean([each is not None and each.low < 0.2 < each.high for each in fixed]) < 0.985
    assert np.mean([each is not None and each.low < 0.2 < each.high for each in always]) > 0.98


def test_linearised_numbers_have_the_ratio_and_the_delta_methods_variance() -> None:
    """Against the formula as it is written in Deng et al. 2018, equation 3, and against a bootstrap."""
    rng = np.random.default_rng(0)
    x = (1 + rng.poisson(4, size=3_000)).astype(float)
    y = rng.binomial(x.astype(int), rng.beta(2, 20, size=3_000)).astype(float)
    z = linearise(figures(y, x))
    ratio, (vy, vx, vxy) = y.sum() / x.sum(), (y.var(), x.var(), np.cov(y, x, ddof=0)[0, 1])
    formula = (vy - 2 * ratio * vxy + ratio**2 * vx) / x.mean() ** 2
    assert z.mean() == pytest.approx(ratio) and z.var() == pytest.approx(formula)
    rows = rng.integers(3_000, size=(2_000, 3_000))
    resampled = y[rows].sum(1) / x[rows].sum(1)
    assert resampled.std() == pytest.approx(np.sqrt(formula / 3_000), rel=0.05)


def test_of_figures_a_unit_it_is_welchs_test() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(1.0, 1.0, 900), rng.normal(1.1, 2.0, 1_100)
    found = compare(figures(a), figures(b), expected_units=2_000)
    expected = ttest_ind(b, a, equal_var=False)
    bounds = expected.confidence_interval()
    assert found.p_fixed == pytest.approx(expected.pvalue, abs=1e-3)
    assert found.interval is not None and found.interval.low == pytest.approx(bounds.low, abs=1e-3)
    assert found.absolute == pytest.approx(b.mean() - a.mean()) and found.units == 2_000


def test_history_narrows_the_interval_by_what_it_explains_and_moves_it_by_chance_alone() -> None:
    rng = np.random.default_rng(0)
    history = rng.gamma(2, 2, 4_000)
    y = history + rng.normal(0, history.std(), 4_000)
    plain = compare(figures(y[:2_000]), figures(y[2_000:] + 0.5), expected_units=4_000)
    found = compare(
        figures(y[:2_000], history=history[:2_000]),
        figures(y[2_000:] + 0.5, history=history[2_000:]),
        expected_units=4_000,
    )
    assert found.variance_reduction == pytest.approx(0.5, abs=0.03) and plain.variance_reduction == 0
    assert plain.interval is not None and found.interval is not None
    narrower = (found.interval.high - found.interval.low) / (plain.interval.high - plain.interval.low)
    assert narrower == pytest.approx(np.sqrt(0.5), abs=0.02)
    assert found.interval.low < 0.5 < found.interval.high


def test_history_that_says_nothing_changes_nothing() -> None:
    a, b = np.array([1.0, 2.0, 3.0]), np.array([2.0, 3.0, 5.0])
    for before in (np.zeros(3), np.full(3, 7.0)):
        ours, theirs, explained = adjust(a, b, before, before)
        assert (ours.tolist(), theirs.tolist(), explained) == (a.tolist(), b.tolist(), 0.0)


def test_the_effect_survives_a_history_that_differs_between_arms_by_chance() -> None:
    """Over many assignments of the same units: unbiased, and less spread than without."""
    rng = np.random.default_rng(0)
    history = rng.gamma(2, 2, 400)
    y = history + rng.normal(0, 1, 400)
    found, plain = [], []
    for _ in range(300):
        new = rng.random(400) < 0.5
        arms = [figures(y[own] + shift, history=history[own]) for own, shift in ((~new, 0.0), (new, 1.0))]
        found.append(compare(*arms, expected_units=400).absolute or 0.0)
        plain.append(y[new].mean() + 1 - y[~new].mean())
    assert np.mean(found) == pytest.approx(1.0, abs=4 * np.std(found) / np.sqrt(300))
    assert np.std(found) < 0.5 * np.std(plain)


def test_a_broken_split_is_told_from_chance() -> None:
    assert split_of([50_300, 49_700], [0.5, 0.5]).p > SRM_ALARM
    broken = split_of([51_000, 49_000], [0.5, 0.5])
    assert broken.is_mismatched and list(broken.expected) == [50_000, 50_000]
    assert not split_of([9_000, 1_000], [0.9, 0.1]).is_mismatched
    assert split_of([0, 0], [0.5, 0.5]).p == 1.0


def test_a_sound_split_alarms_in_one_of_a_thousand_tests() -> None:
    """8 of 2,000 or more would happen once in 900 times."""
    experiment = running()
    alarms = 0
    for salt in range(2_000):
        new = sum(arm_of(experiment, f"{salt}-{n}").name == "new" for n in range(100))
        alarms += split_of([100 - new, new], [0.5, 0.5]).is_mismatched
    assert alarms < 8


def test_holm_keeps_the_order_and_is_no_stricter_than_bonferroni() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.2]) == [0.2] and holm([]) == [] and holm([0.9, 0.8]) == [1.0, 1.0]


def test_holm_errs_in_5_percent_of_reports_of_three_treatments() -> None:
    rng = np.random.default_rng(0)
    p_values = rng.random((4_000, 3))
    assert np.mean([min(holm(row.tolist())) < ALPHA for row in p_values]) == pytest.approx(0.05, abs=0.011)
    assert np.mean(p_values.min(axis=1) < ALPHA) > 0.13


@pytest.mark.parametrize(
    ("low", "high", "state"),
    [(-0.01, 0.05, Hold.HELD), (-0.03, 0.05, Hold.OPEN), (-0.08, -0.03, Hold.HARMED), (-0.015, -0.005, Hold.HELD)],
)
def test_a_guardrail_holds_where_no_loss_beyond_the_margin_is_left_possible(
    low: float, high: float, state: Hold
) -> None:
    assert guard(Lift(1.0, 1.0, 200, relative_sequence=Interval(low, high)), 0.02) is state
    assert guard(Lift(1.0, 1.0, 200), 0.02) is Hold.OPEN


def test_of_no_units_and_of_no_clicks_nothing_is_concluded() -> None:
    for ours, theirs in ((np.zeros(0), np.zeros(5)), (np.ones(1), np.ones(5))):
        found = compare(figures(ours), figures(theirs), expected_units=10)
        assert found.absolute is None and found.interval is None and (found.p_fixed, found.p_always) == (1.0, 1.0)
    empty = figures(np.zeros(200), np.zeros(200))
    for one, other in ((empty, figures(np.ones(200))), (figures(np.ones(200)), empty)):
        assert compare(one, other, expected_units=10).absolute is None
    found = compare(figures(np.zeros(200)), figures(np.zeros(200)), expected_units=10)
    assert (found.absolute, found.relative, found.p_fixed, found.p_always) == (0.0, None, 1.0, 1.0)
