"""Inference that stays valid however often and whenever one looks.

Asymptotic confidence sequences (Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas 2024, "Time-uniform central limit theory
and asymptotic confidence sequences", Annals of Statistics 52, theorem 2.2), chosen over the mixture SPRT of Johari,
Pekelis and Walsh 2017: both mix the same normal boundary, and the SPRT is derived for normal data of a known variance,
while these need only what the central limit theorem needs, an estimate and its standard error, and so hold for the
delta method's and for adjusted estimates too. Like it they are asymptotic: nothing is said before `MIN_UNITS`.

With n units so far, an estimate d of standard error s, and r = n rho^2:

    interval   d +/- s sqrt(2 (r + 1) / r  log(sqrt(r + 1) / alpha))
    p-value    sqrt(r + 1) exp(-(d / s)^2 r / (2 (r + 1))), at most 1: the alpha at which 0 is just outside
"""

import numpy as np

from coldstart.experiments.metrics import Floats, UnitFigures

MIN_UNITS = 100
"""Of each arm. Below, estimated variances are not yet what the theorem takes them for."""


def rho_squared(tightest_at: float, *, alpha: float = 0.05) -> float:
    """The mixture's parameter with which the interval is tightest at so many units.

    The paper's closed approximation to the minimiser, at which the interval is within .1 % of the narrowest.
    """
    needed = -2 * np.log(alpha)
    return float((needed + np.log(needed + 1)) / tightest_at)


def width(units: Floats | float, rho2: float, *, alpha: float = 0.05) -> Floats:
    """How many standard errors the always-valid interval reaches to either side; a fixed one reaches 1.96 at .05."""
    r = np.asarray(units, dtype=np.float64) * rho2
    return np.asarray(np.sqrt(2 * (r + 1) / r * (np.log(r + 1) / 2 - np.log(alpha))))


def p_value(z: Floats | float, units: Floats | float, rho2: float) -> Floats:
    """The always-valid p-value of an estimate z standard errors from 0."""
    r = np.asarray(units, dtype=np.float64) * rho2
    exponent = np.log(r + 1) / 2 - np.square(z) * r / (2 * (r + 1))
    return np.asarray(np.exp(np.minimum(exponent, 0.0)))


def p_after_each(figures: UnitFigures, *, expected_units: int) -> Floats:
    """What somebody sees who looks after every single unit [n]: the always-valid p-value of arms 0 and 1 until then.

    The running sums of `analysis.compare`, without history; 1 below `MIN_UNITS` an arm.
    """
    ratios, errors, fewest = [], [], np.full(len(figures.arm), np.inf)
    for arm in (0, 1):
        own = figures.arm == arm
        y, x, n = np.where(own, figures.numerator, 0.0), np.where(own, figures.denominator, 0.0), np.cumsum(own)
        sums = [np.cumsum(each) for each in (y, x, y * y, x * y, x * x)]
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = sums[0] / sums[1]
            scatter = sums[2] - 2 * ratio * sums[3] + ratio**2 * sums[4]
            errors.append(scatter / (n - 1) / n / (sums[1] / n) ** 2)
        ratios.append(ratio)
        fewest = np.minimum(fewest, n)
    early = fewest < MIN_UNITS
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.where(early, 0.0, (ratios[1] - ratios[0]) / np.sqrt(errors[0] + errors[1]))
    units = np.arange(1, len(z) + 1, dtype=np.float64)
    return np.where(early, 1.0, p_value(np.nan_to_num(z), units, rho_squared(expected_units)))
