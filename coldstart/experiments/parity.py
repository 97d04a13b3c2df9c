"""Whether the arms saw the same world: the same events, through the same window, equally late, and with all parts up.

A treatment whose features arrive an hour later loses for that alone. No verdict on pipelines is possible then.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from coldstart.experiments.exposure import Exposure
from coldstart.experiments.metrics import Floats

ALARM = 1e-3
"""The p-value below which a difference is no accident, as for the split of units (`analysis.SRM_ALARM`)."""
LAG_TOLERANCE_S = 1.0
"""Arms may differ by so much: a slower pipeline looks at its watermark a little earlier or later."""
MAX_LATER = 0.05
"""Part of an arm's lists that may be later than the other's beyond that."""
MAX_DEGRADED = 0.05
"""Part of an arm's lists that may be made without something: those are not its pipeline's."""
MAX_DEGRADED_GAP = 0.01


@dataclass(frozen=True, slots=True)
class Inputs:
    """What an arm's lists were made from: the median and the 95th percentile of their lag in seconds, and how many of
    them lacked a part of the pipeline."""

    arm: str
    lists: int
    sources: tuple[str, ...]
    windows: tuple[str, ...]
    lag_p50_s: float
    lag_p95_s: float
    degraded: float


@dataclass(frozen=True, slots=True)
class Parity:
    """The arms' inputs, and in words what keeps them from being compared; no reasons, no objection."""

    inputs: tuple[Inputs, ...]
    reasons: tuple[str, ...]


def check_parity(exposures: Sequence[Exposure], arms: Sequence[str]) -> Parity:
    """Compare each arm with the first.

    Every difference must be both large and no accident. Lists of one unit are alike, so that n lists prove no more than
    Kish's effective number of them, n^2 / sum of (lists of a unit)^2, which is what the tests count.
    """
    groups = [[each for each in exposures if each.arm == arm] for arm in arms]
    reasons: list[str] = []
    for arm, lists in zip(arms, groups, strict=True):
        share = _share(lists)
        if lists and share > MAX_DEGRADED:
            reasons.append(f"{share:.1%} of the lists of {arm} are degraded, above {MAX_DEGRADED:.0%}")
    for arm, lists in zip(arms[1:], groups[1:], strict=True):
        if not lists or not groups[0]:
            continue
        both = (groups[0], lists)
        if _differ(both, lambda each: each.source):
            reasons.append(f"{arm} reads {_named(lists)} and {arms[0]} reads {_named(groups[0])}")
        if _differ(both, lambda each: each.window):
            reasons.append(f"{arm} reads {_windows(lists)} of it and {arms[0]} reads {_windows(groups[0])}")
        worse, better = sorted((_share(lists), _share(groups[0])), reverse=True)
        if better + MAX_DEGRADED_GAP < worse <= MAX_DEGRADED and _differ(both, lambda each: each.degraded):
            reasons.append(
                f"{_share(lists):.1%} of the lists of {arm} are degraded, {_share(groups[0]):.1%} of {arms[0]}"
            )
        reasons.extend(_lags(both, (arms[0], arm)))
    return Parity(tuple(_inputs(arm, lists) for arm, lists in zip(arms, groups, strict=True)), tuple(reasons))


def later(first: Floats, second: Floats, tolerance: float = LAG_TOLERANCE_S) -> float:
    """The least part of the second lags that is more than the tolerance above the first, however they are paired.

    sup over x of F1(x) - F2(x + tolerance), a one-sided Kolmogorov-Smirnov distance with room in it; that it is such a
    part is Strassen's theorem. It asks for no shape: a constant delay shows, as does one of an hour in ten.

    >>> later(np.array([0.0, 1.0]), np.array([1.0, 2.0])), later(np.array([0.0, 1.0]), np.array([0.0, 60.0]))
    (0.0, 0.5)
    """
    at = np.sort(first)
    below_first = np.searchsorted(at, at, side="right") / len(first)
    below_second = np.searchsorted(np.sort(second), at + tolerance, side="right") / len(second)
    return float(max(0.0, np.max(below_first - below_second)))


def _lags(both: tuple[list[Exposure], list[Exposure]], arms: tuple[str, str]) -> list[str]:
    lags = [np.array([each.lag_s for each in lists]) for lists in both]
    first, second = (_effective(lists) for lists in both)
    weight = first * second / (first + second)
    reasons = []
    for older, newer in ((1, 0), (0, 1)):
        part = later(lags[newer], lags[older])
        # Smirnov's bound on the one-sided distance of two samples of one distribution.
        if part > MAX_LATER and np.exp(-2 * weight * part**2) < ALARM:
            reasons.append(
                f"at least {part:.0%} of the lists of {arms[older]} are made from events more than "
                f"{LAG_TOLERANCE_S:g} s older than those of {arms[newer]} "
                f"(median lag {np.median(lags[older]):.1f} s and {np.median(lags[newer]):.1f} s)"
            )
    return reasons


def _differ(both: Sequence[Sequence[Exposure]], value: Callable[[Exposure], Hashable]) -> bool:
    """Whether the value is distributed differently, by a chi-squared test on the effective numbers of lists."""
    from scipy.stats import chi2_contingency

    values = sorted({value(each) for lists in both for each in lists}, key=str)
    if len(values) < 2:
        return False
    columns = {found: column for column, found in enumerate(values)}
    counts = [
        np.bincount([columns[value(each)] for each in lists], minlength=len(values)) * _effective(lists) / len(lists)
        for lists in both
    ]
    return float(chi2_contingency(np.array(counts), correction=False).pvalue) < ALARM


def _effective(lists: Sequence[Exposure]) -> float:
    _, numbers = np.unique([each.unit for each in lists], return_counts=True)
    return float(len(lists) ** 2 / np.square(numbers).sum())


def _inputs(arm: str, lists: Sequence[Exposure]) -> Inputs:
    lags = np.array([each.lag_s for each in lists]) if lists else np.zeros(1)
    sources, windows = {each.source for each in lists}, {each.window for each in lists}
    middle, late = (float(np.percentile(lags, at)) for at in (50, 95))
    return Inputs(arm, len(lists), tuple(sorted(sources)), tuple(sorted(windows)), middle, late, _share(lists))


def _share(lists: Sequence[Exposure]) -> float:
    return sum(each.degraded for each in lists) / len(lists) if lists else 0.0


def _named(lists: Sequence[Exposure]) -> str:
    return " and ".join(sorted({each.source for each in lists}))


def _windows(lists: Sequence[Exposure]) -> str:
    return " and ".join(sorted({each.window for each in lists}))
