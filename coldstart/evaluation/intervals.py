"""How far a mean over users can be trusted: percentile bootstrap intervals."""

from dataclasses import dataclass

import numpy as np

from coldstart.evaluation.metrics import Metric
from coldstart.evaluation.protocols import Judged

RESAMPLES = 1_000
LEVEL = 0.95
_BATCH = 100
"""Resamples drawn at once, which bounds the memory."""


@dataclass(frozen=True, slots=True)
class Interval:
    """Bounds between which the mean lies for 95 % of the resamples of users."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over users with its interval; ``None`` for a single user, of whom nothing can be resampled."""

    mean: float
    interval: Interval | None


def estimate(values: Metric, *, seed: int = 0) -> Estimate:
    """Mean [n] with its percentile bootstrap interval over users (Efron and Tibshirani 1993, chapter 13).

    Users are drawn with replacement, as often as there are: what differs between two draws is who was asked. What
    differs between two trainings is not in it; that is the deviation over seeds.

    Examples
    --------
    >>> estimate(np.zeros(5))
    Estimate(mean=0.0, interval=Interval(low=0.0, high=0.0))
    """
    from scipy.stats import bootstrap  # half a second, which a service that serves an adapter would wait for as well

    mean = float(values.mean())
    if len(values) < 2:
        return Estimate(mean, None)
    found = bootstrap(
        (values,), np.mean, n_resamples=RESAMPLES, batch=_BATCH, confidence_level=LEVEL, method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval  # fmt: skip
    return Estimate(mean, Interval(float(found.low), float(found.high)))


def estimates(judged: Judged, *, seed: int = 0) -> dict[str, Estimate]:
    """Each metric's mean over the users of a list."""
    return {name: estimate(values, seed=seed) for name, values in judged.values.items()}


def differences(judged: Judged, other: Judged, *, seed: int = 0) -> dict[str, Estimate]:
    """Each metric's difference, per user: the same user's luck is in both lists, so the interval is narrower.

    Users who are judged in one of the two alone are left out.
    """
    users = np.intersect1d(judged.users, other.users)
    if not len(users):
        return {}
    mine, theirs = judged.at(users).values, other.at(users).values
    return {name: estimate(mine[name] - theirs[name], seed=seed) for name in mine if name in theirs}
