"""A small running experiment, and lists that are written by hand."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from coldstart.experiments.assignment import assign
from coldstart.experiments.design import Arm, Experiment, Metric
from coldstart.experiments.exposure import Exposure
from coldstart.experiments.lifecycle import start

BEGIN = 1_700_000_000.0
DAY = 86_400.0


def draft(**changes: Any) -> Experiment:
    """Old against new, by click-through."""
    made = Experiment(
        experiment_id="toy", salt="s1", arms=(Arm("old", 0.5), Arm("new", 0.5)), primary=Metric.parse("click_through")
    )
    return replace(made, **changes)


def running(**changes: Any) -> Experiment:
    """The same, started."""
    return start(draft(**changes), [], now=BEGIN)


def units_of(experiment: Experiment, arm: str, number: int) -> list[str]:
    """Units that the experiment assigns to the arm."""
    names = (f"u{n}" for n in range(1000 * number))
    found = [name for name in names if (own := assign(experiment, name)) and own.name == arm]
    return found[:number]


def shown(
    unit: str, items: Sequence[str], *, at: float = BEGIN, arm: str = "old", lag: float = 0.0, **changes: Any
) -> Exposure:
    """One list."""
    made = Exposure(
        exposure_id=f"{unit}@{at}", experiment_id="toy", arm=arm, unit=unit, at=at, items=tuple(items),
        cold=(False,) * len(items), source="events", window="the last hour", watermark=at - lag,
    )  # fmt: skip
    return replace(made, **changes)
