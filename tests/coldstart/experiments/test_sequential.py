import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from coldstart.experiments.analysis import ALPHA, compare
from coldstart.experiments.metrics import UnitFigures
from coldstart.experiments.sequential import MIN_UNITS, p_after_each, p_value, rho_squared, width
from coldstart.experiments.simulation import Shoppers, simulate_units
from tests.coldstart.experiments.toy import running

SEEDS, SHOPPERS = 1_000, 1_000


def simulated(seed: int, *, effects: tuple[float, float] = (0, 0), shoppers: int = SHOPPERS) -> UnitFigures:
    rng = np.random.default_rng(seed)
    return simulate_units(running(salt=f"s{seed}"), Shoppers.draw(shoppers, rng), rng, effects=effects)


def test_peeking_after_every_unit_of_an_a_a_test_rejects_in_at_most_5_percent_of_1000_seeds() -> None:
    rejected = [bool((p_after_each(simulated(seed), expected_units=SHOPPERS) < ALPHA).any()) for seed in range(SEEDS)]
    assert np.mean(rejected) <= 0.05


def test_the_interval_is_tightest_where_it_was_asked_to_be() -> None:
    rho2 = rho_squared(5_000)
    best = minimize_scalar(lambda log: float(width(5_000, np.exp(log))), bounds=(-16, 0), method="bounded")
    assert float(width(5_000, rho2)) == pytest.approx(best.fun, rel=1e-3)
    assert width(5_000, rho2) < width(5_000, rho_squared(500)) and width(5_000, rho2) < width(
        5_000, rho_squared(50_000)
    )


def test_looking_often_costs_half_as_much_again_in_width() -> None:
    """1.96 for one look. The figure in the paper's terms: about 3 where it is tightest."""
    assert 2.9 < float(width(10_000, rho_squared(10_000))) < 3.1


@pytest.mark.parametrize("units", [100, 1_000, 100_000])
def test_p_is_alpha_just_where_0_leaves_the_interval(units: int) -> None:
    rho2 = rho_squared(2_000)
    for alpha in (0.5, 0.05, 0.001):
        assert float(p_value(width(units, rho2, alpha=alpha), units, rho2)) == pytest.approx(alpha)
    assert float(p_value(0.0, units, rho2)) == 1.0


def test_the_last_look_is_what_compare_finds() -> None:
    found = simulated(3, effects=(0.0, 0.3))
    plain = UnitFigures(found.arm, found.first, found.numerator, found.denominator, np.zeros(len(found.arm)))
    looks = p_after_each(plain, expected_units=SHOPPERS)
    whole = compare(plain.of_arm(0), plain.of_arm(1), expected_units=SHOPPERS)
    assert looks[-1] == pytest.approx(whole.p_always, rel=1e-9) and looks[-1] < 1
    part = UnitFigures(
        plain.arm[:500], plain.first[:500], plain.numerator[:500], plain.denominator[:500], plain.history[:500]
    )
    half = compare(part.of_arm(0), part.of_arm(1), expected_units=SHOPPERS)
    assert looks[499] == pytest.approx(half.p_always, rel=1e-9)


def test_a_true_effect_is_found_before_the_end() -> None:
    looks = p_after_each(simulated(0, effects=(0.0, 0.6), shoppers=4_000), expected_units=4_000)
    assert int(np.argmax(looks < ALPHA)) in range(2 * MIN_UNITS, 3_000)


def test_nothing_is_said_of_few_units() -> None:
    found = simulated(0, effects=(0.0, 5.0))
    assert (p_after_each(found, expected_units=SHOPPERS)[: 2 * MIN_UNITS - 1] == 1).all()
