"""Both arms in one list: whose items are clicked is asked of the same unit at the same moment.

Team-draft interleaving (Radlinski, Kurup, Joachims 2008, "How Does Clickthrough Data Reflect Retrieval Quality?"). How
much units click, and how many of their lists they get, is in an A/B test's variance and not in this one's, so that it
needs fewer impressions (Chapelle, Joachims, Radlinski, Yue 2012, "Large-Scale Validation and Analysis of Interleaved
Search Evaluation"); `power.compare_designs` says how many. It tells which arm is preferred, not by how much a metric
would rise: whether the preferred arm pays is a question for an A/B test.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

from coldstart.entities import ExternalId
from coldstart.experiments.analysis import ALPHA, Interval, Split, linearise, reach_of, split_of, two_sided
from coldstart.experiments.metrics import Log, Measured, UnitFigures
from coldstart.experiments.sequential import MIN_UNITS, p_value, rho_squared, width

NEUTRAL = ""


@dataclass(frozen=True, slots=True)
class Drafted:
    """A list that two arms drafted.

    Attributes
    ----------
    teams : tuple of str
        Which arm drafted each item: "" where both lists begin alike, which says nothing of either.
    propensities : tuple of float
        The chance with which each item came to its place, given those above it and both arms' lists.
    """

    items: tuple[ExternalId, ...]
    teams: tuple[str, ...]
    propensities: tuple[float, ...]


def team_draft(
    first: Sequence[ExternalId],
    second: Sequence[ExternalId],
    *,
    teams: tuple[str, str],
    limit: int,
    rng: np.random.Generator,
) -> Drafted:
    """Draft a list from two: in each round either arm adds its best item that is not there yet, a coin says who begins.

    Parameters
    ----------
    first, second : sequence of ExternalId
        Best first.
    teams : tuple of str
        Names of the arms that made them.

    Examples
    --------
    >>> team_draft("abc", "abe", teams=("old", "new"), limit=4, rng=np.random.default_rng(0))
    Drafted(items=('a', 'b', 'e', 'c'), teams=('', '', 'new', 'old'), propensities=(1.0, 1.0, 0.5, 1.0))
    """
    alike = next((n for n, (one, other) in enumerate(zip(first, second, strict=False)) if one != other), None)
    alike = min(len(first), len(second)) if alike is None else alike
    drafted: dict[ExternalId, tuple[str, float]] = dict.fromkeys(first[: min(alike, limit)], (NEUTRAL, 1.0))
    lists = {teams[0]: first[alike:], teams[1]: second[alike:]}

    def best(team: str) -> ExternalId | None:
        return next((item for item in lists[team] if item not in drafted), None)

    while len(drafted) < limit and any(best(team) is not None for team in teams):
        fallen = False  # whether the list shows how the coin of this round fell
        for team in teams if rng.random() < 0.5 else teams[::-1]:
            options = {pick for each in teams if (pick := best(each)) is not None}
            pick = best(team)
            if pick is not None and len(drafted) < limit:
                drafted[pick] = (team, 0.5 if len(options) == 2 and not fallen else 1.0)
                fallen |= len(options) == 2
    names = tuple(team for team, _ in drafted.values())
    return Drafted(tuple(drafted), names, tuple(chance for _, chance in drafted.values()))


@dataclass(frozen=True, slots=True)
class Preference:
    """Which arm the units prefer.

    Attributes
    ----------
    margin : float
        Of the credited clicks, the part that the second arm got more than the first: from -1 to 1.
    first_units, second_units, tied_units : int
        Units by the arm whose items they clicked more.
    interval, sequence : Interval or None
        Of the margin, 95 %: for one look, and for any number of looks.
    p_sign : float
        Of the sign test over units that prefer either.
    p_fixed, p_always : float
        Of no margin, for one look and for any number.
    """

    margin: float
    lists: int
    first_units: int
    second_units: int
    tied_units: int
    interval: Interval | None = None
    sequence: Interval | None = None
    p_sign: float = 1.0
    p_fixed: float = 1.0
    p_always: float = 1.0

    @property
    def units(self) -> int:
        """All of them."""
        return self.first_units + self.second_units + self.tied_units


def credits_at(measured: Measured, at: float = np.inf) -> UnitFigures:
    """Of each unit up to a time, the second arm's credited clicks minus the first's, over those of both."""
    log = measured.log
    units, first_row = np.unique(log.unit[log.at <= at], return_index=True)
    ours, theirs = (measured.a_unit(measured.counted_by(at) & (log.team == team))[units] for team in (0, 1))
    return UnitFigures(log.arm[first_row], log.at[first_row], theirs - ours, theirs + ours, np.zeros(len(units)))


def prefer(credits: UnitFigures, *, lists: int, expected_units: int, alpha: float = ALPHA) -> Preference:
    """What the credits [n] say: the delta method over units for the margin, and a sign test over units beside it."""
    from scipy.stats import binomtest

    balance, total = credits.numerator, credits.denominator.sum()
    units, ours, theirs = len(balance), int((balance < 0).sum()), int((balance > 0).sum())
    margin = float(balance.sum() / total) if total else 0.0
    told = Preference(margin, lists, ours, theirs, units - ours - theirs)
    if units < 2 or not ours + theirs:
        return told
    error = sqrt(linearise(credits).var(ddof=1) / units)
    z = margin / error if error > 0 else 0.0
    reach, rho2 = reach_of(alpha), rho_squared(expected_units, alpha=alpha)
    early = units < 2 * MIN_UNITS
    wide = float(width(units, rho2, alpha=alpha))
    return Preference(
        margin, lists, ours, theirs, units - ours - theirs,
        interval=Interval(margin - reach * error, margin + reach * error),
        sequence=None if early else Interval(margin - wide * error, margin + wide * error),
        p_sign=float(binomtest(theirs, ours + theirs).pvalue), p_fixed=two_sided(z),
        p_always=1.0 if early else float(p_value(z, units, rho2)),
    )  # fmt: skip


def draft_of(log: Log) -> Split:
    """How often either arm made the first pick, which a fair coin decides: the split of an interleaved experiment."""
    picked = np.flatnonzero(log.team >= 0)
    _, first = np.unique(log.exposure[picked], return_index=True)
    picks = np.bincount(log.team[picked[first]], minlength=2)
    return split_of(picks.tolist(), (0.5, 0.5))
