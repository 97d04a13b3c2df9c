"""Simulated shoppers, for planning and for checking the analysis itself: they differ, and each of them comes again.

How often a shopper comes and how readily they click are lognormal and correlated, so that a few bring much of the
traffic and the lists of one of them are alike: what makes a test that takes lists for independent reject far too often.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from coldstart.experiments.assignment import arm_of, assign
from coldstart.experiments.design import Experiment
from coldstart.experiments.exposure import Exposure, Outcome
from coldstart.experiments.metrics import Codes, Floats, UnitFigures

PLACES = 10
CLICK_RATE = 0.03
_SPREAD, _CORRELATION = 0.8, 0.4


@dataclass(frozen=True, slots=True)
class Shoppers:
    """How many lists each [n] comes for, its chance of a click on a shown item, and how often it clicked before."""

    names: tuple[str, ...]
    lists: Codes
    rate: Floats
    history: Floats

    @classmethod
    def draw(cls, number: int, rng: np.random.Generator) -> "Shoppers":
        """New ones; on average 3.4 lists each, and one click in thirty items."""
        covariance = _SPREAD**2 * np.array([[1, _CORRELATION], [_CORRELATION, 1]])
        activity, appetite = np.exp(rng.multivariate_normal([-(_SPREAD**2) / 2] * 2, covariance, size=number)).T
        rate = np.minimum(CLICK_RATE * appetite, 0.5)
        lists = 1 + rng.poisson(2.4 * activity)
        history = rng.poisson(4 * PLACES * rate * activity)
        tag = rng.integers(1 << 48)
        names = tuple(f"shopper-{tag:012x}-{n}" for n in range(number))
        return cls(names, lists.astype(np.int64), rate, history.astype(np.float64))


def simulate_units(
    experiment: Experiment, shoppers: Shoppers, rng: np.random.Generator, *, effects: Sequence[float] | None = None
) -> UnitFigures:
    """Click-through of the shoppers, assigned as the service would.

    Parameters
    ----------
    effects : sequence of float, optional
        Of each arm on the chance of a click: .1 is 10 % more; none by default, which is an A/A test.
    """
    numbers = {arm.name: number for number, arm in enumerate(experiment.arms)}
    arm = np.fromiter((numbers[arm_of(experiment, name).name] for name in shoppers.names), dtype=np.int64)
    factor = 1 + np.asarray(effects if effects is not None else np.zeros(len(numbers)))
    shown = shoppers.lists * PLACES
    clicks = rng.binomial(shown, np.minimum(shoppers.rate * factor[arm], 1.0)).astype(np.float64)
    return UnitFigures(arm, np.arange(len(arm), dtype=np.float64), clicks, shown.astype(np.float64), shoppers.history)


@dataclass(frozen=True)
class Trouble:
    """What is wrong with a deployment, by the arm's name.

    Attributes
    ----------
    effect : dict
        On the chance of a click.
    delay_s : dict
        Of the feed that the arm's features come from.
    lost : dict
        Part of the arm's shoppers whose lists are not logged.
    degraded : dict
        Part of the arm's lists that lack a part of the pipeline.
    source : dict
        Another event log than the others'.
    """

    effect: dict[str, float] = field(default_factory=dict)
    delay_s: dict[str, float] = field(default_factory=dict)
    lost: dict[str, float] = field(default_factory=dict)
    degraded: dict[str, float] = field(default_factory=dict)
    source: dict[str, str] = field(default_factory=dict)


def simulate_log(
    experiment: Experiment,
    shoppers: Shoppers,
    rng: np.random.Generator,
    *,
    trouble: Trouble | None = None,
    days: float = 7,
) -> tuple[list[Exposure], list[Outcome]]:
    """The exposures and events of some days, of an experiment that runs since its ``started_at``.

    Events are applied in batches of up to 5 s, so that lags vary even where nothing is wrong.
    """
    trouble, start = trouble or Trouble(), experiment.started_at or 0.0
    exposures: list[Exposure] = []
    outcomes: list[Outcome] = []
    for name, lists, rate, before in zip(
        shoppers.names, shoppers.lists.tolist(), shoppers.rate.tolist(), shoppers.history.tolist(), strict=True
    ):
        ages = rng.uniform(0, 10 * 86_400.0, size=int(before))
        outcomes.extend(Outcome(name, f"old-{n}", "click", start - age) for n, age in enumerate(ages.tolist()))
        arm = assign(experiment, name)
        if arm is None or rng.random() < trouble.lost.get(arm.name, 0.0):
            continue
        clicked = rng.random((lists, PLACES)) < rate * (1 + trouble.effect.get(arm.name, 0.0))
        for n, at in enumerate(np.sort(start + rng.uniform(0, days * 86_400.0, size=lists)).tolist()):
            items = tuple(f"item-{n}-{place}" for place in range(PLACES))
            lag = rng.uniform(0, 5) + trouble.delay_s.get(arm.name, 0.0)
            exposures.append(
                Exposure(
                    exposure_id=f"{name}/{n}", experiment_id=experiment.experiment_id, arm=arm.name, unit=name, at=at,
                    items=items, cold=(False,) * (PLACES - 1) + (True,), source=trouble.source.get(arm.name, "events"),
                    window="the last hour", watermark=at - lag,
                    degraded=bool(rng.random() < trouble.degraded.get(arm.name, 0.002)),
                )
            )  # fmt: skip
            outcomes.extend(
                Outcome(name, items[place], "click", at + 5.0 * (1 + place)) for place in np.flatnonzero(clicked[n])
            )
    return exposures, outcomes
