"""Lists as the arms of experiments make them, and a log of what was shown that no request waits for."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from coldstart.entities import ExternalId
from coldstart.errors import InvalidInput
from coldstart.experiments.assignment import arm_of, takes_part
from coldstart.experiments.design import Experiment, Kind, Pipeline
from coldstart.experiments.exposure import INTERLEAVED, Exposure
from coldstart.experiments.interleaving import NEUTRAL, team_draft
from coldstart.recommend.ladder import MET_EVENTS, Recommender
from coldstart.recommend.policy import Policy
from coldstart.recommend.request import RecommendationList, Request
from coldstart.telemetry import Telemetry

SOURCE = "events of the catalogue"
WINDOW = f"the latest {MET_EVENTS} of a user"
MAX_PENDING = 10_000
"""Exposures that wait to be written: with a database that is away, a minute or so of a busy service."""
_LEAST = 1e-300  # a chance that is rounded to nothing is still one
MAX_PLACES = 100
"""Of a list that are logged; nobody clicks on what stands below."""


class ExperimentLog(Protocol):
    """The part of `coldstart.catalog.experiments.ExperimentStore` that serving needs; see there."""

    def running(self) -> list[Experiment]:
        """The experiments that run."""
        ...

    def log(self, batch: Sequence[Exposure]) -> None:
        """Keep what was shown."""
        ...


@dataclass(frozen=True, slots=True)
class Assignment:
    """Which arm made a list; where both did, it is `INTERLEAVED`."""

    experiment: str
    arm: str


@dataclass(frozen=True, slots=True)
class Served:
    """What this process can make lists with: an arm that names another adapter or backbone cannot be served here."""

    adapter_version: str
    backbone: str
    policy: Policy

    def require(self, experiment: Experiment) -> None:
        """Raise `InvalidInput` where an arm of the experiment cannot be served."""
        for arm in experiment.arms:
            for name, wanted, own in (
                ("adapter", arm.pipeline.adapter, self.adapter_version),
                ("backbone", arm.pipeline.backbone, self.backbone),
            ):
                if isinstance(wanted, str) and wanted != own:
                    raise InvalidInput(
                        f"the arm {arm.name} wants the {name} {wanted}, and this service has {own}",
                        subject=experiment.experiment_id, remedy=f"Serve that {name}, or leave it out of the arm",
                    )  # fmt: skip
            policy_of([arm.pipeline], self.policy)

    def can_make(self, pipeline: Pipeline) -> bool:
        """Whether a list of this pipeline can be made."""
        return pipeline.adapter in (True, False, self.adapter_version) and pipeline.backbone in (None, self.backbone)


class Arms:
    """Makes each list as its reader's arms say.

    The running experiments are those that `refresh` last found; a thread of the service calls it every second or so,
    and what was shown is written then. What a process has not written when it is killed is lost: that is chance's
    choice among the arms, and so does them no injustice.

    Parameters
    ----------
    recommender : Recommender
    log : ExperimentLog
    served : Served
    telemetry : Telemetry
        Counts exposures that were logged, and those that were dropped because too many waited.
    clock : callable
        Unix seconds.
    """

    def __init__(
        self,
        recommender: Recommender,
        log: ExperimentLog,
        served: Served,
        telemetry: Telemetry,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.served = served
        self._recommender, self._log, self._telemetry, self._clock = recommender, log, telemetry, clock
        self._running: list[Experiment] = []
        self._pending: deque[Exposure] = deque()
        self._writing = threading.Lock()

    def refresh(self) -> None:
        """Write what was shown, and learn what runs.

        Raises `Unavailable` where the database is away: what is known stays, and what was shown is written the next
        time, as much of it as may wait.
        """
        with self._writing:
            batch = [self._pending.popleft() for _ in range(len(self._pending))]
            try:
                if batch:
                    self._log.log(batch)
            except BaseException:
                self._pending.extendleft(reversed(batch))
                raise
        self._telemetry.exposures.labels("logged").inc(len(batch))
        self._running = self._log.running()

    def recommend(
        self, request: Request, *, unit: ExternalId | None = None, at_hand: bool = False
    ) -> tuple[RecommendationList, tuple[Assignment, ...]]:
        """The list, and the arms that it was made by.

        Parameters
        ----------
        unit : ExternalId, optional
            Whom experiments know the reader by; without it, or for a request with a policy of its own, there is none.
        at_hand : bool
            Raise `coldstart.recommend.at_hand.NotAtHand` rather than ask a store or an encoder.
        """
        recommender = self._recommender.at_hand(request) if at_hand else self._recommender
        running = self._running
        if unit is None or request.policy is not None or not running:
            return recommender.recommend(request), ()
        taking = [each for each in running if takes_part(each, unit)]
        if not taking:
            return recommender.recommend(request), ()
        alone = {each.experiment_id: arm_of(each, unit) for each in taking if each.kind is Kind.AB}
        mixed = next((each for each in taking if each.kind is Kind.INTERLEAVING), None)
        pipelines = [arm.pipeline for arm in alone.values()]
        watermark = self._clock()  # the store is read after this: whatever was committed before is in the list
        if mixed is None:
            answer = recommender.recommend(self._with_policy(request, pipelines))
            made = Made(answer, degraded=self._policy(pipelines) is None)
        else:
            made = self._drafted(recommender, request, pipelines, mixed)
        assignments = [Assignment(experiment_id, arm.name) for experiment_id, arm in alone.items()]
        if mixed is not None:
            assignments.append(Assignment(mixed.experiment_id, INTERLEAVED))
        for each in assignments:
            self._put(self._exposure(made, each, unit, watermark=watermark))
        return made.answer, tuple(assignments)

    def _policy(self, pipelines: Sequence[Pipeline]) -> Policy | None:
        """What the pipelines make of the service's own policy; ``None`` where they cannot be served."""
        if not all(self.served.can_make(each) for each in pipelines):
            return None
        try:
            return policy_of(pipelines, self.served.policy)
        except InvalidInput:
            return None

    def _with_policy(self, request: Request, pipelines: Sequence[Pipeline]) -> Request:
        return replace(request, policy=self._policy(pipelines))

    def _drafted(
        self, recommender: Recommender, request: Request, pipelines: Sequence[Pipeline], mixed: Experiment
    ) -> "Made":
        """One list of the two that the arms make."""
        both = [[*pipelines, arm.pipeline] for arm in mixed.arms]
        first, second = (recommender.recommend(self._with_policy(request, each)) for each in both)
        rows = [{row.item_id: row for row in answer.rows} for answer in (first, second)]
        names = (mixed.arms[0].name, mixed.arms[1].name)
        drafted = team_draft(
            list(rows[0]), list(rows[1]), teams=names, limit=request.limit,
            rng=np.random.default_rng(int(first.list_id, 16)),
        )  # fmt: skip
        own = {names[0]: rows[0], names[1]: rows[1], NEUTRAL: rows[0]}
        picked = [
            own[team][item]._replace(propensity=own[team][item].propensity * chance)
            for item, team, chance in zip(drafted.items, drafted.teams, drafted.propensities, strict=True)
        ]
        answer = replace(first, rows=picked, degraded=first.degraded or second.degraded)
        return Made(answer, drafted.teams, degraded=any(self._policy(each) is None for each in both))

    def _exposure(self, made: "Made", assignment: Assignment, unit: ExternalId, *, watermark: float) -> Exposure:
        rows = made.answer.rows[:MAX_PLACES]
        teams = made.teams[:MAX_PLACES] if assignment.arm == INTERLEAVED else ()
        return Exposure(
            exposure_id=made.answer.list_id, experiment_id=assignment.experiment, arm=assignment.arm, unit=unit,
            at=self._clock(), items=tuple(row.item_id for row in rows), cold=tuple(row.cold for row in rows),
            propensities=tuple(max(row.propensity, _LEAST) for row in rows), teams=teams, source=SOURCE, window=WINDOW,
            watermark=watermark, degraded=made.answer.degraded or made.degraded,
        )  # fmt: skip

    def _put(self, exposure: Exposure) -> None:
        """Never waits: where too many do already, this one is dropped."""
        if len(self._pending) < MAX_PENDING:
            self._pending.append(exposure)
        else:
            self._telemetry.exposures.labels("dropped").inc()


@dataclass(frozen=True, slots=True)
class Made:
    """A list, who drafted its places, and whether it is not what an arm asked for."""

    answer: RecommendationList
    teams: tuple[str, ...] = ()
    degraded: bool = False


def policy_of(pipelines: Iterable[Pipeline], own: Policy) -> Policy:
    """The service's policy with what the pipelines change of it; `InvalidInput` where that is none.

    >>> policy_of([Pipeline(adapter=False), Pipeline(diversity=0.3)], Policy())
    Policy(adapter=False, ranker=True, cold_share=0.1, diversity=0.3, explore=0.0)
    """
    changes: dict[str, Any] = {name: value for each in pipelines for name, value in each.changes.items()}
    return Policy(
        adapter=bool(changes.get("adapter", own.adapter)),
        ranker=changes.get("ranker", own.ranker),
        cold_share=changes.get("cold_share", own.cold_share),
        diversity=changes.get("diversity", own.diversity),
        explore=changes.get("explore", own.explore),
    )
