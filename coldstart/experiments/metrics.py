"""Figures a unit, from what was shown and what happened then: every metric is a ratio of two counts a unit."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coldstart.experiments.design import Figure, Metric
from coldstart.experiments.exposure import INTERLEAVED, Exposure, Outcome

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
HISTORY_S = 14 * 86_400.0
"""How long before a unit's first list its earlier clicks are counted, for `analysis.adjust`."""


@dataclass(frozen=True, slots=True)
class Log:
    """Exposures [e], the places [p] of their lists, and outcomes [o] as columns; units and items as numbers.

    ``team`` of a place is the number of the arm that drafted it, -1 where none alone did.
    """

    units: tuple[str, ...]
    arms: tuple[str, ...]
    unit: Codes
    arm: Codes
    at: Floats
    exposure: Codes
    item: Codes
    cold: NDArray[np.bool_]
    team: Codes
    who: Codes
    what: Codes
    when: Floats
    kind: NDArray[np.str_]

    @classmethod
    def of(cls, exposures: Sequence[Exposure], outcomes: Iterable[Outcome], arms: Sequence[str]) -> "Log":
        """The columns, without outcomes of units that were shown nothing, and without lists of arms not named."""
        arm_of = {name: number for number, name in enumerate(arms)}
        shown = sorted(
            (each for each in exposures if each.arm in arm_of or each.arm == INTERLEAVED), key=lambda each: each.at
        )
        units = dict(zip(dict.fromkeys(each.unit for each in shown), range(len(shown)), strict=False))
        items: dict[str, int] = {}
        place_items = [items.setdefault(item, len(items)) for each in shown for item in each.items]
        kept = [each for each in outcomes if each.unit in units]
        sizes = [len(each.items) for each in shown]
        teams = [arm_of.get(team, -1) for each in shown for team in each.teams or ("",) * len(each.items)]
        return cls(
            units=tuple(units),
            arms=tuple(arms),
            unit=_codes(units[each.unit] for each in shown),
            arm=_codes(arm_of.get(each.arm, -1) for each in shown),
            at=np.array([each.at for each in shown], dtype=np.float64),
            exposure=np.repeat(np.arange(len(shown)), sizes),
            item=_codes(place_items),
            cold=np.array([mark for each in shown for mark in each.cold], dtype=np.bool_),
            team=_codes(teams),
            who=_codes(units[each.unit] for each in kept),
            what=_codes(items.get(each.item, -1) for each in kept),
            when=np.array([each.timestamp for each in kept], dtype=np.float64),
            kind=np.array([each.kind for each in kept], dtype=np.str_),
        )


@dataclass(frozen=True, slots=True)
class UnitFigures:
    """Of each unit [n], in order of their first list: its arm, when that was, and its part of the metric.

    ``history`` is how often it clicked before.
    """

    arm: Codes
    first: Floats
    numerator: Floats
    denominator: Floats
    history: Floats

    def of_arm(self, number: int) -> "UnitFigures":
        """Those of one arm's units."""
        own = self.arm == number
        return UnitFigures(
            self.arm[own], self.first[own], self.numerator[own], self.denominator[own], self.history[own]
        )


def met(log: Log, kind: str, *, attribution_s: float) -> Floats:
    """When each place [p] had its first event of the kind, infinity where it had none.

    An event counts for the last list before it that showed its item. Several on one place are one, so that a repeated
    click or a reload weighs no more than any.

    Parameters
    ----------
    attribution_s : float
        Seconds after the list; a later event counts for nothing.
    """
    chosen = np.flatnonzero((log.kind == kind) & (log.what >= 0))
    found = np.full(len(log.item), np.inf)
    if not len(chosen) or not len(log.item):
        return found
    stride = int(log.item.max()) + 1
    shown_key = log.unit[log.exposure] * stride + log.item
    # One line of places and events by unit, item and time, a list before what happens at the same moment: the last
    # place passed is the one an event belongs to.
    key = np.concatenate([shown_key, log.who[chosen] * stride + log.what[chosen]])
    time = np.concatenate([log.at[log.exposure], log.when[chosen]])
    is_event = np.arange(len(key)) >= len(shown_key)
    order = np.lexsort((is_event, time, key))
    passed = np.maximum.accumulate(np.where(is_event[order], -1, np.arange(len(order))))
    events = np.flatnonzero(is_event[order] & (passed >= 0))
    event, place = order[events], order[passed[events]]
    counts = (key[event] == key[place]) & (time[event] - time[place] <= attribution_s)
    np.minimum.at(found, place[counts], time[event[counts]])
    return found


@dataclass(frozen=True, slots=True)
class Measured:
    """A metric of a log: when each place [p] counted for it (infinity: never), and clicks before of each unit [u]."""

    log: Log
    figure: Figure
    counted: Floats
    history: Floats

    @classmethod
    def of(cls, log: Log, metric: Metric, *, attribution_s: float) -> "Measured":
        """What the metric needs to know, whenever one looks."""
        if metric.figure is Figure.COLD_SHARE:
            counted = np.where(log.cold, log.at[log.exposure], np.inf)
        else:
            counted = met(log, metric.kind, attribution_s=attribution_s)
        return cls(log, metric.figure, counted, _history(log))

    def until(self, at: float = np.inf) -> UnitFigures:
        """The units' figures from what was shown and happened up to a time; a unit is of its first list's arm."""
        log = self.log
        units, first_row = np.unique(log.unit[log.at <= at], return_index=True)
        numerator = self.a_unit(self.counted_by(at))[units]
        match self.figure:
            case Figure.CLICK_THROUGH | Figure.COLD_SHARE:
                denominator = self.a_unit(log.at[log.exposure] <= at)[units]
            case Figure.CLICKS | Figure.CONVERSIONS:
                denominator = np.ones(len(units))
        return UnitFigures(log.arm[first_row], log.at[first_row], numerator, denominator, self.history[units])

    def counted_by(self, at: float) -> NDArray[np.bool_]:
        """Which places [p] counted by then."""
        return (self.counted <= at) & np.isfinite(self.counted)

    def a_unit(self, places: NDArray[np.bool_]) -> Floats:
        """How many of these places [p] each unit [u] has."""
        owner = self.log.unit[self.log.exposure[places]]
        return np.bincount(owner, minlength=len(self.log.units)).astype(np.float64)


def _history(log: Log) -> Floats:
    """Clicks [u] on whatever item in the time before the first list, when no arm could have moved them yet."""
    first = np.full(len(log.units), np.inf)
    np.minimum.at(first, log.unit, log.at)
    age = first[log.who] - log.when
    before = (age > 0) & (age <= HISTORY_S) & (log.kind == "click")
    return np.bincount(log.who[before], minlength=len(log.units)).astype(np.float64)


def _codes(numbers: Iterable[int]) -> Codes:
    return np.fromiter(numbers, dtype=np.int64)
