"""What an experiment is: arms that are whole pipelines, the traffic they share, and what is measured of them."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
from enum import StrEnum

from coldstart.entities import ExternalId
from coldstart.errors import InvalidInput
from coldstart.experiments.exposure import INTERLEAVED
from coldstart.ids import check_id

BUCKETS = 10_000
"""Of a layer: a share of traffic is a number of them, so the smallest is .01 %."""
MAX_ARMS = 10
_ORDER = frozenset({"diversity", "explore"})
_SUM_TOLERANCE = 1e-9  # ten thirds of a third do not sum to exactly 1


class Kind(StrEnum):
    """``ab``: each unit meets one arm. ``interleaving``: each list is drafted from both arms."""

    AB = "ab"
    INTERLEAVING = "interleaving"


class Status(StrEnum):
    """A draft may be edited; what runs or has run may not."""

    DRAFT = "draft"
    RUNNING = "running"
    STOPPED = "stopped"


class Figure(StrEnum):
    """What is counted of a unit. Each is a ratio, and more of it is better."""

    CLICK_THROUGH = "click_through"
    """Items clicked, of the items shown."""
    CLICKS = "clicks"
    """Items clicked, a unit."""
    CONVERSIONS = "conversions"
    """Shown items with an event of the kind, a unit."""
    COLD_SHARE = "cold_share"
    """Cold items, of the items shown."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure, and the kind of event that counts for it.

    >>> Metric.parse("conversions:purchase"), str(Metric(Figure.CLICKS))
    (Metric(figure=<Figure.CONVERSIONS: 'conversions'>, kind='purchase'), 'clicks')
    """

    figure: Figure
    kind: str = "click"

    @classmethod
    def parse(cls, text: str) -> "Metric":
        """From ``click_through``, ``clicks``, ``cold_share`` or ``conversions:KIND``; `InvalidInput` otherwise."""
        name, colon, kind = text.partition(":")
        remedy = "Write click_through, clicks, cold_share or conversions:KIND"
        if name not in tuple(Figure) or (name == Figure.CONVERSIONS) != bool(colon and kind):
            raise InvalidInput("there is no such metric", subject=repr(text), remedy=remedy)
        if colon and name != Figure.CONVERSIONS:
            raise InvalidInput("only conversions have a kind", subject=repr(text), remedy=remedy)
        return cls(Figure(name), check_id(kind, kind="kind") if kind else "click")

    def __str__(self) -> str:
        return f"{self.figure}:{self.kind}" if self.figure is Figure.CONVERSIONS else str(self.figure)


@dataclass(frozen=True, slots=True)
class Guardrail:
    """A metric that a winner must not harm: of the control's, it may lose at most the margin (.02 is 2 %)."""

    metric: Metric
    margin: float

    def __post_init__(self) -> None:
        if not 0 < self.margin < 1:
            raise InvalidInput(
                f"the margin cannot be {self.margin}", subject=str(self.metric),
                remedy="Say which relative loss is still acceptable, above 0 and below 1 (0.02 is 2 %)",
            )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Pipeline:
    """How an arm's lists are made. ``None`` stands for what the service does by itself.

    Attributes
    ----------
    backbone : str or None
        The one whose vectors are served.
    adapter : bool or str
        Whether there is one; or which version. Without it the backbone answers alone, and cold items cannot rank.
    ranker : bool
        Whether the backbone's ranker orders the candidates, where there is one.
    cold_share, diversity, explore : float or None
        Of the mix, as in `coldstart.recommend.policy.Policy`.
    """

    backbone: str | None = None
    adapter: bool | str = True
    ranker: bool = True
    cold_share: float | None = None
    diversity: float | None = None
    explore: float | None = None

    def __post_init__(self) -> None:
        for name, text in (("backbone", self.backbone), ("adapter", self.adapter)):
            if isinstance(text, str):
                check_id(text, kind=name)
        mix = (("cold_share", self.cold_share, 1), ("diversity", self.diversity, 1), ("explore", self.explore, 10))
        for name, value, most in mix:
            if value is not None and not 0 <= value <= most:
                raise InvalidInput(f"cannot be {value}", subject=name, remedy=f"Choose 0 to {most}, or leave it out")
        if self.explore and self.diversity:
            raise InvalidInput(
                "cannot go with diversity: no propensity could be told", subject="explore", remedy="Choose one of them"
            )
        if not self.adapter and self.cold_share:
            raise InvalidInput(
                "no cold item can rank without an adapter", subject="cold_share",
                remedy="Leave cold_share out of the arm, or give it an adapter",
            )  # fmt: skip

    @property
    def changes(self) -> dict[str, object]:
        """What is not left to the service.

        >>> Pipeline(ranker=False, diversity=0.2).changes
        {'ranker': False, 'diversity': 0.2}
        """
        plain = Pipeline()
        own = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: value for name, value in own.items() if value != getattr(plain, name)}


@dataclass(frozen=True, slots=True)
class Arm:
    """One of the pipelines compared; ``weight`` is its part of the experiment's units."""

    name: str
    weight: float
    pipeline: Pipeline = Pipeline()

    def __post_init__(self) -> None:
        check_id(self.name, kind="arm's name")
        if self.name == INTERLEAVED:
            raise InvalidInput("lists of both arms are named so", subject=self.name, remedy="Give the arm another name")
        if not 0 < self.weight < 1:
            raise InvalidInput(
                f"the weight cannot be {self.weight}",
                subject=self.name,
                remedy="Give each arm a weight between 0 and 1",
            )


@dataclass(frozen=True, slots=True, order=True)
class Buckets:
    """A layer's buckets from ``start`` to below ``stop``."""

    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """Arms, the first of which is the control, and the traffic that they are compared on.

    Attributes
    ----------
    salt : str
        Decides which units meet which arm.
    share : float
        Of the layer's units, those that take part.
    layer : str
        Experiments in one layer share no unit; those in different layers are independent of each other.
    attribution_s : float
        An event counts for the last list that showed its item, no longer ago than this; seconds.
    expected_units : int
        Where the always-valid interval is to be tightest. It holds at any number, and cannot be chosen afterwards.
    buckets : tuple of Buckets
        The layer's, as claimed at the start.
    started_at, stopped_at : float or None
        Unix seconds.
    """

    experiment_id: ExternalId
    salt: str
    arms: tuple[Arm, ...]
    primary: Metric
    guardrails: tuple[Guardrail, ...] = ()
    share: float = 1.0
    layer: str = "default"
    kind: Kind = Kind.AB
    attribution_s: float = 86_400.0
    expected_units: int = 10_000
    status: Status = Status.DRAFT
    buckets: tuple[Buckets, ...] = ()
    started_at: float | None = None
    stopped_at: float | None = None

    def __post_init__(self) -> None:
        for kind, text in (("experiment_id", self.experiment_id), ("salt", self.salt), ("layer", self.layer)):
            check_id(text, kind=kind)
        self._check_arms()
        self._check_numbers()
        if twice := _twice(str(guardrail.metric) for guardrail in self.guardrails):
            raise self._wrong(f"the guardrail {twice} is there twice", "Give each metric one margin")
        if self.kind is Kind.INTERLEAVING and (self.guardrails or self.primary.figure is Figure.COLD_SHARE):
            raise self._wrong(
                "interleaved lists belong to both arms, so only events on their items can be told apart",
                "Take click_through, clicks or conversions:KIND as the metric and no guardrails, or the kind ab",
            )

    @property
    def touches(self) -> frozenset[str]:
        """The parts of a pipeline that depend on which arm a unit meets; explore and diversity exclude each other."""
        changed = frozenset(part for arm in self.arms for part in arm.pipeline.changes)
        return changed | _ORDER if changed & _ORDER else changed

    @property
    def control(self) -> Arm:
        """What the others are compared with."""
        return self.arms[0]

    @property
    def weights(self) -> tuple[float, ...]:
        """Of the arms, in order."""
        return tuple(arm.weight for arm in self.arms)

    def _check_arms(self) -> None:
        names = [arm.name for arm in self.arms]
        if not 2 <= len(self.arms) <= MAX_ARMS:
            raise self._wrong(f"{len(self.arms)} arms cannot be compared", f"Give it 2 to {MAX_ARMS}")
        if self.kind is Kind.INTERLEAVING and len(self.arms) != 2:
            raise self._wrong(f"{len(self.arms)} arms cannot be interleaved", "Give it exactly two")
        if twice := _twice(names):
            raise self._wrong(f"two arms are named {twice}", "Give each arm a name of its own")
        total = math.fsum(self.weights)
        if abs(total - 1) > _SUM_TOLERANCE:
            raise self._wrong(f"the arms' weights sum to {total:.6g}, not to 1", f"Change those of {', '.join(names)}")

    def _check_numbers(self) -> None:
        if not 1 / BUCKETS <= self.share <= 1:
            raise self._wrong(f"the share of traffic cannot be {self.share}", f"Give it from {1 / BUCKETS} to 1")
        if not 0 < self.attribution_s < math.inf:
            raise self._wrong(f"the attribution window cannot be {self.attribution_s} s", "Give it some seconds")
        if self.expected_units < 1:
            raise self._wrong(f"{self.expected_units} units cannot be expected", "Estimate how many will take part")

    def _wrong(self, what: str, remedy: str) -> InvalidInput:
        return InvalidInput(what, subject=self.experiment_id, remedy=remedy)


def _twice(names: Iterable[str]) -> str | None:
    """The first name that occurs again."""
    met: set[str] = set()
    return next((name for name in names if name in met or met.add(name)), None)  # type: ignore[func-returns-value]
