"""What an experiment has shown so far: every figure, and one sentence that may be acted on, or says why none may."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from coldstart.evaluation.report import Lines, Series
from coldstart.experiments.analysis import Interval, Lift, Split, compare, guard, holm, split_of
from coldstart.experiments.assignment import arm_of, takes_part
from coldstart.experiments.design import Experiment, Kind
from coldstart.experiments.exposure import INTERLEAVED, Exposure, Outcome
from coldstart.experiments.interleaving import Preference, credits_at, draft_of, prefer
from coldstart.experiments.metrics import Log, Measured
from coldstart.experiments.parity import Parity, check_parity
from coldstart.experiments.verdict import Comparison, Rail, Verdict, decide, decide_preference, refuse

POINTS = 20
"""Of the curve over time."""


@dataclass(frozen=True, slots=True)
class Point:
    """What was known at a time: the lift (or, interleaved, the margin) and its always-valid interval."""

    arm: str
    at: float
    units: int
    value: float | None
    interval: Interval | None


@dataclass(frozen=True, slots=True)
class Report:
    """All that is known of an experiment at a time (Unix seconds).

    Attributes
    ----------
    lists : int
        Exposures looked at.
    split : Split
        Units of each arm; interleaved, the first picks of each.
    comparisons : tuple of Comparison
        One a treatment; none where lists are interleaved.
    preference : Preference or None
        Where they are.
    curve : tuple of Point
        Oldest first.
    """

    experiment_id: str
    kind: Kind
    at: float
    metric: str
    attribution_s: float
    arms: tuple[str, ...]
    lists: int
    split: Split
    parity: Parity
    comparisons: tuple[Comparison, ...]
    preference: Preference | None
    curve: tuple[Point, ...]
    verdict: Verdict

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON takes it."""
        return asdict(self)


def report_on(
    experiment: Experiment, exposures: Iterable[Exposure], outcomes: Iterable[Outcome], *, now: float
) -> Report:
    """The report at a time.

    Parameters
    ----------
    exposures, outcomes : iterable
        As logged; what is not the experiment's, or not of its time, is left out. Outcomes from before a unit's first
        list are its history.
    """
    end = now if experiment.stopped_at is None else min(now, experiment.stopped_at)
    begin = experiment.started_at or 0.0
    own = [each for each in exposures if each.experiment_id == experiment.experiment_id and begin <= each.at <= end]
    names = tuple(arm.name for arm in experiment.arms)
    log = Log.of(own, outcomes, names)
    measured = Measured.of(log, experiment.primary, attribution_s=experiment.attribution_s)
    comparisons: tuple[Comparison, ...] = ()
    preference: Preference | None = None
    if experiment.kind is Kind.INTERLEAVING:
        split, parity = draft_of(log), check_parity(own, (INTERLEAVED,))
        preference = _preference(experiment, measured, until=now)
        verdict = decide_preference(preference, (names[0], names[1]))
    else:
        split, parity = split_of(_units(log), experiment.weights), check_parity(own, names)
        comparisons = _comparisons(experiment, measured, until=now)
        verdict = decide(names[0], str(experiment.primary), comparisons)
    reasons = [*_mismatch(experiment.kind, split, names), *parity.reasons, *_misassigned(experiment, own)]
    return Report(
        experiment_id=experiment.experiment_id, kind=experiment.kind, at=now, metric=str(experiment.primary),
        attribution_s=experiment.attribution_s, arms=names, lists=len(own), split=split, parity=parity,
        comparisons=comparisons, preference=preference, curve=tuple(_curve(experiment, measured, end)),
        verdict=refuse(reasons) if reasons else verdict,
    )  # fmt: skip


def curve_of(report: Report) -> Lines:
    """The report's curve, an interval at each point, to be drawn by `coldstart.evaluation.plots.draw`."""
    start = min((point.at for point in report.curve), default=report.at)
    series = []
    for arm in dict.fromkeys(point.arm for point in report.curve):
        points = [point for point in report.curve if point.arm == arm]
        bounds = tuple(None if each.interval is None else (each.interval.low, each.interval.high) for each in points)
        days = tuple((each.at - start) / 86_400 for each in points)
        series.append(Series(arm, tuple(each.value for each in points), days, bounds))
    what = "margin of credited clicks" if report.preference else f"lift in {report.metric}"
    return Lines("days", f"{what}, always-valid 95 %", tuple(series))


def _units(log: Log) -> list[int]:
    _, first_row = np.unique(log.unit, return_index=True)
    counts: list[int] = np.bincount(log.arm[first_row], minlength=len(log.arms)).tolist()
    return counts


def _lifts(experiment: Experiment, measured: Measured, *, until: float) -> list[Lift]:
    """Of each treatment."""
    found = measured.until(until)
    control = found.of_arm(0)
    return [
        compare(control, found.of_arm(number), expected_units=experiment.expected_units)
        for number in range(1, len(experiment.arms))
    ]


def _comparisons(experiment: Experiment, primary: Measured, *, until: float) -> tuple[Comparison, ...]:
    lifts = _lifts(experiment, primary, until=until)
    rails: list[list[Rail]] = [[] for _ in lifts]
    for each in experiment.guardrails:
        measured = Measured.of(primary.log, each.metric, attribution_s=experiment.attribution_s)
        for own, lift in zip(rails, _lifts(experiment, measured, until=until), strict=True):
            own.append(Rail(str(each.metric), each.margin, lift, guard(lift, each.margin)))
    p_values = holm([lift.p_always for lift in lifts])
    return tuple(
        Comparison(arm.name, lift, p, tuple(own))
        for arm, lift, p, own in zip(experiment.arms[1:], lifts, p_values, rails, strict=True)
    )


def _preference(experiment: Experiment, measured: Measured, *, until: float) -> Preference:
    lists = int((measured.log.at <= until).sum())
    return prefer(credits_at(measured, until), lists=lists, expected_units=experiment.expected_units)


def _curve(experiment: Experiment, measured: Measured, end: float) -> list[Point]:
    at = measured.log.at
    if not len(at):
        return []
    points = []
    for until in np.linspace(at[0], end, POINTS + 1)[1:].tolist():
        if experiment.kind is Kind.INTERLEAVING:
            known = _preference(experiment, measured, until=until)
            points.append(Point(experiment.arms[1].name, until, known.units, known.margin, known.sequence))
        else:
            lifts = _lifts(experiment, measured, until=until)
            points.extend(
                Point(arm.name, until, lift.units, lift.absolute, lift.sequence)
                for arm, lift in zip(experiment.arms[1:], lifts, strict=True)
            )
    return points


def _mismatch(kind: Kind, split: Split, arms: Sequence[str]) -> list[str]:
    if not split.is_mismatched:
        return []
    found = ", ".join(
        f"{arm} {units} instead of {expected:.0f}"
        for arm, units, expected in zip(arms, split.units, split.expected, strict=True)
    )
    what = "first picks of the drafts are" if kind is Kind.INTERLEAVING else "sample ratio mismatch: units are"
    return [f"{what} {found} (p = {split.p:.1g}); find out whose lists are not made or not logged"]


def _misassigned(experiment: Experiment, exposures: Sequence[Exposure]) -> list[str]:
    """Units that met what their id does not lead to: an edited experiment, another salt, a log of something else."""
    pairs = sorted({(each.unit, each.arm) for each in exposures})
    wrong = [
        unit
        for unit, arm in pairs
        if not takes_part(experiment, unit)
        or arm != (INTERLEAVED if experiment.kind is Kind.INTERLEAVING else arm_of(experiment, unit).name)
    ]
    return [f"{len(wrong)} units met an arm that is not theirs, {wrong[0]!r} the first"] if wrong else []
