"""How many impressions an A/B test and interleaving need to tell the same two rankers apart, on simulated shoppers.

Each shopper has a taste, a logit for each of 40 candidates, part of it theirs and part of it of the moment. A ranker
orders the candidates by a noisy view of it; the better one's is less noisy. Shoppers read from the top, click by their
taste, and go on less often after a click than after none: the case in which interleaving gains over A/B (Iizuka,
Morita, Kato 2023, "Theoretical Analysis on the Efficiency of Interleaved Comparisons"). All three lists of a visit, the
one ranker's, the other's and the interleaved one, are shown to the same shopper in the same mood, so that the true
differences are known well with few shoppers; the tests then see what they would see, one of them. The A/B test has its
shoppers' history to adjust by.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from coldstart.experiments.analysis import adjust, compare, linearise
from coldstart.experiments.interleaving import prefer
from coldstart.experiments.metrics import Codes, Floats, UnitFigures
from coldstart.experiments.simulation import PLACES, Shoppers

CANDIDATES = 40
_TASTE, _MOOD = 1.0, 0.7
_ON, _ON_AFTER_CLICK = 0.92, 0.6
_CHUNK = 4_000
ALPHA, POWER = 0.05, 0.8


@dataclass(frozen=True, slots=True)
class Designs:
    """Impressions (lists shown) with which either design finds the better ranker, two-sided at 5 %, four times in five.

    Attributes
    ----------
    lift : float
        The better ranker's, in click-through.
    margin : float
        By which its items win the credited clicks.
    ab_power, interleaving_power : float
        How often each did find it at so many impressions, among samples drawn from the shoppers.
    """

    lift: float
    margin: float
    ab_impressions: int
    interleaving_impressions: int
    ab_power: float
    interleaving_power: float

    @property
    def ratio(self) -> float:
        """How many times fewer interleaving needs."""
        return self.ab_impressions / self.interleaving_impressions


def compare_designs(
    *, seed: int = 0, shoppers: int = 20_000, noise: tuple[float, float] = (1.0, 0.8), samples: int = 200
) -> Designs:
    """Both designs' needs for two rankers that see tastes with this noise, the second one's the smaller."""
    rng = np.random.default_rng(seed)
    pool = [_visits(min(_CHUNK, shoppers - n), noise, rng) for n in range(0, shoppers, _CHUNK)]
    lists, history, old, new, ours, theirs = (np.concatenate(column) for column in zip(*pool, strict=True))
    shown = lists * float(PLACES)
    control, treatment = _figures(old, shown, history), _figures(new, shown, history)
    credits = _figures(theirs - ours, theirs + ours, np.zeros(len(lists)))
    lift, margin = _ratio(treatment) - _ratio(control), _ratio(credits)
    # Both tests see a normal estimate: n units with which it is (z of alpha + z of power) standard errors from 0.
    errors = (norm.isf(ALPHA / 2) + norm.ppf(POWER)) ** 2
    adjusted = adjust(linearise(control), linearise(treatment), history, history)
    ab_units = errors * 2 * (adjusted[0].var() + adjusted[1].var()) / lift**2
    interleaved_units = errors * linearise(credits).var() / margin**2

    def ab(drawn: Codes) -> bool:
        half = len(drawn) // 2
        found = compare(_take(control, drawn[:half]), _take(treatment, drawn[half:]), expected_units=len(drawn))
        return found.p_fixed < ALPHA and (found.absolute or 0) > 0

    def interleaved(drawn: Codes) -> bool:
        found = prefer(_take(credits, drawn), lists=len(drawn), expected_units=len(drawn))
        return found.p_fixed < ALPHA and found.margin > 0

    def found(design: Callable[[Codes], bool], units: float) -> float:
        return float(np.mean([design(rng.integers(len(lists), size=round(units))) for _ in range(samples)]))

    return Designs(
        lift / _ratio(control), margin, round(ab_units * lists.mean()), round(interleaved_units * lists.mean()),
        found(ab, ab_units), found(interleaved, interleaved_units),
    )  # fmt: skip


def _visits(number: int, noise: tuple[float, float], rng: np.random.Generator) -> tuple[Floats, ...]:
    """Of each shopper: lists, clicks before, with either ranker, and on either's items in interleaved lists."""
    shoppers = Shoppers.draw(number, rng)
    visitor = np.repeat(np.arange(number), shoppers.lists)
    taste = np.log(shoppers.rate)[:, None] + _TASTE * rng.standard_normal((number, CANDIDATES))
    logits = taste[visitor] + _MOOD * rng.standard_normal((len(visitor), CANDIDATES))
    first, second = (
        np.argsort(-(logits + each * rng.standard_normal(logits.shape)), axis=1)[:, :PLACES] for each in noise
    )
    mixed, team = _draft(first, second, rng)
    luck, patience = rng.random((2, len(visitor), CANDIDATES))
    clicks = [_read(ranked, logits, luck, patience) for ranked in (first, second, mixed)]
    totals = (clicks[0].sum(1), clicks[1].sum(1), (clicks[2] & (team == 0)).sum(1), (clicks[2] & (team == 1)).sum(1))
    sums = [np.bincount(visitor, weights=each, minlength=number).astype(np.float64) for each in totals]
    return (shoppers.lists.astype(np.float64), shoppers.history, *sums)


def _draft(first: Codes, second: Codes, rng: np.random.Generator) -> tuple[Codes, Codes]:
    """Team drafts [lists, places] of many pairs, and who drafted each place: -1 where both lists begin alike."""
    lists, rows = len(first), np.arange(len(first))
    mixed, team = np.full((lists, PLACES), -1), np.full((lists, PLACES), -1)
    taken = np.zeros((lists, CANDIDATES), dtype=np.bool_)
    size = np.zeros((2, lists), dtype=np.int64)
    alike = np.ones(lists, dtype=np.bool_)
    for place in range(PLACES):
        alike &= first[:, place] == second[:, place]
        behind = np.where(size[0] == size[1], rng.random(lists) < 0.5, size[1] < size[0]).astype(np.int64)
        ranked = np.where((behind == 0)[:, None], first, second)
        best = ranked[rows, np.argmin(np.take_along_axis(taken, ranked, axis=1), axis=1)]
        mixed[:, place], team[:, place] = best, np.where(alike, -1, behind)
        taken[rows, best] = True
        size[behind, rows] += ~alike
    return mixed, team


def _read(ranked: Codes, logits: Floats, luck: Floats, patience: Floats) -> NDArray[np.bool_]:
    """Clicks [lists, places] of shoppers who read from the top and leave when their patience ends."""
    reading = np.ones(len(ranked), dtype=np.bool_)
    clicks = np.zeros(ranked.shape, dtype=np.bool_)
    rows = np.arange(len(ranked))
    for place in range(ranked.shape[1]):
        item = ranked[:, place]
        clicks[:, place] = reading & (luck[rows, item] < 1 / (1 + np.exp(-logits[rows, item])))
        reading &= patience[:, place] < np.where(clicks[:, place], _ON_AFTER_CLICK, _ON)
    return clicks


def _figures(numerator: Floats, denominator: Floats, history: Floats) -> UnitFigures:
    nothing = np.zeros(len(numerator))
    return UnitFigures(nothing.astype(np.int64), nothing, numerator, denominator, history)


def _take(figures: UnitFigures, rows: Codes) -> UnitFigures:
    return UnitFigures(
        figures.arm[rows],
        figures.first[rows],
        figures.numerator[rows],
        figures.denominator[rows],
        figures.history[rows],
    )


def _ratio(figures: UnitFigures) -> float:
    return float(figures.numerator.sum() / figures.denominator.sum())
