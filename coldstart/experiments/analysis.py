"""How two arms differ, and how surely: lift with its intervals, variance reduction, guardrails, the split of units."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import erfc, sqrt
from statistics import NormalDist

import numpy as np

from coldstart.experiments.metrics import Floats, UnitFigures
from coldstart.experiments.sequential import MIN_UNITS, p_value, rho_squared, width

ALPHA = 0.05
SRM_ALARM = 1e-3
"""Below this p-value the split is not what was configured. A twentieth would throw away one sound experiment in twenty,
and reports are read again and again; a broken split is soon far below any threshold (Kohavi, Tang, Xu 2020, chapter 21:
.001; Fabijan et al. 2019, "Diagnosing Sample Ratio Mismatch in Online Controlled Experiments")."""


@dataclass(frozen=True, slots=True)
class Interval:
    """Bounds of a figure."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Lift:
    """How much a treatment's metric is above the control's.

    Attributes
    ----------
    control, treatment : float
        The metric in either arm, adjusted where there is history.
    absolute, relative : float or None
        Their difference, and of the control's; ``None`` where that is 0, or where an arm has no units.
    interval, relative_interval : Interval or None
        95 %, for a number of units that was fixed before; ``None`` below two units an arm.
    sequence, relative_sequence : Interval or None
        95 %, however often one looks; ``None`` below `MIN_UNITS` an arm.
    p_fixed, p_always : float
        Of no difference, on the same two terms.
    variance_reduction : float
        Part of the variance that the units' history explained.
    """

    control: float
    treatment: float
    units: int
    absolute: float | None = None
    relative: float | None = None
    interval: Interval | None = None
    relative_interval: Interval | None = None
    sequence: Interval | None = None
    relative_sequence: Interval | None = None
    p_fixed: float = 1.0
    p_always: float = 1.0
    variance_reduction: float = 0.0


class Hold(StrEnum):
    """What is known of a guardrail."""

    HELD = "held"
    HARMED = "harmed"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Split:
    """How many units met each arm, how many should have, and how likely it is to be that far off by chance."""

    units: tuple[int, ...]
    expected: tuple[float, ...]
    p: float

    @property
    def is_mismatched(self) -> bool:
        """Whether it is no accident."""
        return self.p < SRM_ALARM


def split_of(units: Sequence[int], weights: Sequence[float]) -> Split:
    """The sample ratio: a chi-squared test of the units of each arm against its weight.

    >>> split_of([5000, 5000], [0.5, 0.5]).p, split_of([5000, 5500], [0.5, 0.5]).is_mismatched
    (1.0, True)
    """
    from scipy.stats import chisquare  # half a second that a service need not spend when it starts

    total = sum(units)
    expected = tuple(total * weight / sum(weights) for weight in weights)
    p = float(chisquare(units, expected).pvalue) if total else 1.0
    return Split(tuple(units), expected, p)


def linearise(figures: UnitFigures) -> Floats:
    """Numbers [n], one a unit, whose mean is the ratio of sums, and whose variance over n is that of the ratio.

    The delta method for a metric whose denominator is counted in another unit than is assigned (Deng, Knoblich, Lu
    2018, "Applying the Delta Method in Metric Analytics"): the lists of one unit are not independent, units are.
    """
    ratio = figures.numerator.sum() / figures.denominator.sum()
    return np.asarray(ratio + (figures.numerator - ratio * figures.denominator) / figures.denominator.mean())


def adjust(
    control: Floats, treatment: Floats, before_control: Floats, before_treatment: Floats
) -> tuple[Floats, Floats, float]:
    """CUPED: take out of the units' numbers what their history explains; also the part of the variance that was.

    theta = cov(number, history) / var(history), within the arms, then number - theta (history - its mean in all). What
    happened before is the same in both arms but for chance, so the expected difference stays (Deng, Xu, Kohavi, Walker
    2013, "Improving the Sensitivity of Online Controlled Experiments by Utilizing Pre-Experiment Data").
    """
    own = np.concatenate([control - control.mean(), treatment - treatment.mean()])
    before = np.concatenate([before_control - before_control.mean(), before_treatment - before_treatment.mean()])
    spread, scatter = float(before @ before), float(own @ own)
    if spread <= 0 or scatter <= 0:
        return control, treatment, 0.0
    theta = float(own @ before) / spread
    centre = np.concatenate([before_control, before_treatment]).mean()
    explained = theta * float(own @ before) / scatter
    return control - theta * (before_control - centre), treatment - theta * (before_treatment - centre), explained


def compare(control: UnitFigures, treatment: UnitFigures, *, expected_units: int, alpha: float = ALPHA) -> Lift:
    """The treatment's lift over the control.

    Normal approximations throughout; the relative lift's standard error is the delta method's for a ratio of the two.

    Parameters
    ----------
    expected_units : int
        Of both arms together: where the always-valid interval is tightest.
    """
    sizes = (len(control.numerator), len(treatment.numerator))
    if min(sizes) < 2 or not (control.denominator.any() and treatment.denominator.any()):  # only empty lists were shown
        return Lift(_ratio(control), _ratio(treatment), sum(sizes))
    ours, theirs, explained = adjust(linearise(control), linearise(treatment), control.history, treatment.history)
    base, level = float(ours.mean()), float(theirs.mean())
    variances = ours.var(ddof=1) / sizes[0], theirs.var(ddof=1) / sizes[1]
    error, difference = sqrt(sum(variances)), level - base
    relative = relative_error = None
    if base > 0:
        relative = difference / base
        relative_error = sqrt(variances[1] / base**2 + variances[0] * level**2 / base**4)
    z = difference / error if error > 0 else 0.0
    rho2, reach = rho_squared(expected_units, alpha=alpha), reach_of(alpha)
    early = min(sizes) < MIN_UNITS
    wide = None if early else float(width(sum(sizes), rho2, alpha=alpha))
    return Lift(
        base, level, sum(sizes), difference, relative,
        interval=_around(difference, error, reach), relative_interval=_around(relative, relative_error, reach),
        sequence=_around(difference, error, wide), relative_sequence=_around(relative, relative_error, wide),
        p_fixed=two_sided(z), p_always=1.0 if early else float(p_value(z, sum(sizes), rho2)),
        variance_reduction=explained,
    )  # fmt: skip


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values for that many comparisons at once (Holm 1979): rejecting those below .05 errs in 5 % of reports.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    adjusted, largest = [1.0] * len(p_values), 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda place: p_values[place])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = largest
    return adjusted


def guard(lift: Lift, margin: float) -> Hold:
    """Whether the treatment is shown to lose no more than the margin (non-inferiority), or to lose more.

    By the always-valid interval of the relative lift. All guardrails must hold for a win, so that none of them needs a
    correction for their number (an intersection-union test, Berger 1982).
    """
    interval = lift.relative_sequence
    if interval is None:
        return Hold.OPEN
    if interval.low > -margin:
        return Hold.HELD
    return Hold.HARMED if interval.high < -margin else Hold.OPEN


def reach_of(alpha: float) -> float:
    """How many standard errors the interval for one look reaches to either side.

    >>> round(reach_of(0.05), 3)
    1.96
    """
    return NormalDist().inv_cdf(1 - alpha / 2)


def two_sided(z: float) -> float:
    """The p-value for one look of an estimate z standard errors from 0.

    >>> round(two_sided(-1.959964), 4)
    0.05
    """
    return erfc(abs(z) / sqrt(2))


def _ratio(figures: UnitFigures) -> float:
    total = figures.denominator.sum()
    return float(figures.numerator.sum() / total) if total else 0.0


def _around(centre: float | None, error: float | None, reach: float | None) -> Interval | None:
    if centre is None or error is None or reach is None:
        return None
    return Interval(centre - reach * error, centre + reach * error)
