"""Which new items are owed to be shown, and how urgently. Pure.

A list by score alone shows a new item as often as its content earns it, which is never for some, and then nobody can
tell whether the score was right. The floor promises each new item a number of impressions within a time; one that
proves bad loses the promise.
"""

from dataclasses import dataclass

import numpy as np

from coldstart.vectors import Mask, Rows, Vector

_Z = 1.96
"""Of a two-sided interval of 95 %."""


@dataclass(frozen=True, slots=True)
class Quota:
    """The promise.

    Attributes
    ----------
    impressions : int
        How often each new item is to be shown.
    window_s : float
        Within what time of its acceptance.
    kill_after : int
        Impressions before which nothing proves an item bad.
    kill_below : float
        An item is bad where even the upper end of its click rate's interval is below this share of all new items' rate.
    """

    impressions: int = 100
    window_s: float = 14 * 86_400.0
    kill_after: int = 50
    kill_below: float = 0.5


def is_bad(shown: Rows, clicks: Rows, quota: Quota) -> Mask:
    """Which of n new items have proved bad [n] by how often they were shown and clicked.

    >>> is_bad(np.array([200, 200, 10]), np.array([40, 1, 0]), Quota()).tolist()
    [False, True, False]
    """
    if not shown.sum():
        return np.zeros(len(shown), dtype=np.bool_)
    rate = min(1.0, float(clicks.sum() / shown.sum()))
    return np.asarray((shown >= quota.kill_after) & (upper_rate(clicks, shown) < quota.kill_below * rate))


def upper_rate(successes: Rows, trials: Rows) -> Vector:
    """Upper end of the interval of a rate [n] (Wilson 1927), 95 %, two-sided; 1 where nothing was tried.

    >>> upper_rate(np.array([0, 5]), np.array([0, 10])).round(3)
    array([1.   , 0.763], dtype=float32)
    """
    n = np.maximum(trials, 1).astype(np.float64)
    p = np.minimum(successes / n, 1.0)
    centre = p + _Z**2 / (2 * n)
    upper = (centre + _Z * np.sqrt(p * (1 - p) / n + _Z**2 / (4 * n**2))) / (1 + _Z**2 / n)
    return np.where(trials > 0, upper, 1.0).astype(np.float32)


def need(shown: Rows, accepted_at: Vector, quota: Quota, *, now: float) -> Vector:
    """Impressions an hour [n] that each new item must still get to have its quota in time; 0 where it has.

    >>> quota = Quota(impressions=100, window_s=36_000.0)
    >>> need(np.array([0, 50, 100]), np.array([0.0, 0.0, 0.0]), quota, now=0.0).tolist()
    [10.0, 5.0, 0.0]
    """
    hours = np.maximum(quota.window_s - (now - accepted_at), 3600.0) / 3600.0
    return np.asarray(np.maximum(quota.impressions - shown, 0) / hours, dtype=np.float32)


def places(cold_share: float, limit: int, rng: np.random.Generator) -> int:
    """How many places of a list are kept: the share of its length, what is left of a place by chance.

    >>> places(0.1, 20, np.random.default_rng(0))
    2
    """
    exact = cold_share * limit
    return int(exact) + int(rng.random() < exact - int(exact))
