"""A shop's live traffic, simulated: items arrive, users come back and click by their held-out taste, arms compete.

``python -m benchmarks.simulate [DATA]`` replays a data set (`benchmarks.replay`; a sample shop by default) over some
simulated days. New items arrive from day to day. Users come, each in the arm of an experiment that their id leads to,
get a list from the product's own recommender, click as they are known to like, and what they click moves their next
list. The experiment's report is then held against the truth: what all users would have clicked had all been in one arm
or all in the other. With ``--late SECONDS`` the treatment's events arrive late, with ``--lost SHARE`` that part of its
lists is not logged: the report must refuse a verdict. Ends with one JSON line.
"""

import json
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from rich.progress import Progress

from benchmarks import command
from benchmarks.replay import K, ReplayedShop, replayed
from coldstart.dataset import read_dataset
from coldstart.entities import Event, ExternalId
from coldstart.experiments.assignment import arm_of
from coldstart.experiments.design import Arm, Buckets, Experiment, Metric, Pipeline, Status
from coldstart.experiments.exposure import Exposure, Outcome
from coldstart.experiments.report import Report, report_on
from coldstart.recommend import RecommendationList, Request
from coldstart.recommend.arms import policy_of
from coldstart.recommend.ladder import MET_EVENTS, RECENT_EVENTS
from coldstart.recommend.newcomers import Quota
from coldstart.recommend.policy import Policy
from coldstart.splits import Split, read_split

DAY_S = 86_400.0
ARRIVALS_IN = 10
"""Parts in which the new items arrive, over the first seven tenths of the time."""
PIPELINES = {
    "raw": Pipeline(adapter=False),
    "adapter": Pipeline(),
    "floorless": Pipeline(cold_share=0.0),
    "diverse": Pipeline(diversity=0.3),
}


@dataclass
class Traffic:
    """What happened: lists as logged, clicks as reported, and the clicks that were to be expected of each list."""

    exposures: list[Exposure] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    expected: float = 0.0
    clicked: set[ExternalId] = field(default_factory=set)


@dataclass(frozen=True)
class Play:
    """How the traffic goes.

    Attributes
    ----------
    lists : int
        Served over so many days.
    late_s : float
        By how much events reach the treatment's pipeline later than the control's.
    lost : float
        Part of the treatment's lists that is not logged.
    """

    lists: int
    days: float = 7.0
    late_s: float = 0.0
    lost: float = 0.0
    seed: int = 0


def experiment_of(control: str, treatment: str, *, at: float) -> Experiment:
    """An even split of all users between two of `PIPELINES`, running since a time."""
    arms = tuple(Arm(role, 0.5, PIPELINES[name]) for role, name in (("control", control), ("treatment", treatment)))
    return Experiment(
        experiment_id=f"{treatment} against {control}", salt="simulated", arms=arms, primary=Metric.parse("clicks"),
        status=Status.RUNNING, buckets=(Buckets(0, 10_000),), started_at=at, expected_units=1000,
    )  # fmt: skip


def run(
    shop: ReplayedShop, experiment: Experiment, arrivals: np.ndarray, play: Play, *, only: str | None = None,
    progress: Progress | None = None,
) -> Traffic:  # fmt: skip
    """Serve the lists; with ``only``, every user is in that arm."""
    rng, traffic = np.random.default_rng(play.seed), Traffic()
    visits = rng.choice(shop.users, size=play.lists, p=_activity(len(shop.users), rng))
    waiting = np.array_split(rng.permutation(arrivals), ARRIVALS_IN)
    arms = {arm.name: arm for arm in experiment.arms}
    late = shop.recommender_of(_Late(shop, play.late_s)) if play.late_s else shop.recommender
    task = progress.add_task(f"{only or 'both arms'}", total=play.lists) if progress else None
    for visit, user in enumerate(visits.tolist()):
        shop.clock.now += play.days * DAY_S / play.lists
        if waiting and visit >= play.lists * 0.7 * (1 - len(waiting) / ARRIVALS_IN):
            shop.arrive(waiting.pop(0))
        if visit % 20 == 0:
            shop.floor.refresh()
        arm = arms[only] if only else arm_of(experiment, shop.user_id(user))
        is_late = play.late_s > 0 and arm is not experiment.control
        policy = policy_of([arm.pipeline], Policy())
        request = Request(user_id=shop.user_id(user), limit=K, policy=policy, explain=False)
        answer = (late if is_late else shop.recommender).recommend(request)
        chances = shop.taste.chances(user, shop.rows(answer))
        traffic.expected += float(chances.sum())
        if not (play.lost and arm is not experiment.control and rng.random() < play.lost):
            late_s = play.late_s if is_late else 0.0
            traffic.exposures.append(_exposure(shop, experiment, arm, user, answer, late_s=late_s))
        for place in np.flatnonzero(rng.random(len(chances)) < chances):
            row = answer.rows[place]
            shop.report(user, row.item_id)
            traffic.outcomes.append(Outcome(shop.user_id(user), row.item_id, "click", shop.clock.now))
            if row.cold:
                traffic.clicked.add(row.item_id)
        if progress is not None and task is not None:
            progress.update(task, completed=visit + 1)
    return traffic


def _exposure(
    shop: ReplayedShop, experiment: Experiment, arm: Arm, user: int, answer: RecommendationList, *, late_s: float
) -> Exposure:
    return Exposure(
        exposure_id=answer.list_id,
        experiment_id=experiment.experiment_id,
        arm=arm.name,
        unit=shop.user_id(user),
        at=shop.clock.now,
        items=tuple(row.item_id for row in answer.rows),
        cold=tuple(row.cold for row in answer.rows),
        propensities=tuple(row.propensity for row in answer.rows),
        source="the event log",
        window=f"the last {RECENT_EVENTS} of {MET_EVENTS} events",
        watermark=shop.clock.now - late_s,
        degraded=answer.degraded,
    )


class _Late:
    """A shop's catalogue, of which a pipeline hears later what users do."""

    def __init__(self, shop: ReplayedShop, late_s: float) -> None:
        self._shop, self._late_s = shop, late_s

    def recent_events(self, user_id: ExternalId, *, limit: int) -> list[Event]:
        heard = self._shop.clock.now - self._late_s
        return [each for each in self._shop.store.recent_events(user_id, limit=limit) if each.timestamp <= heard]

    def __getattr__(self, name: str) -> object:
        return getattr(self._shop.store, name)


def _activity(users: int, rng: np.random.Generator) -> np.ndarray:
    """How often each comes [users]: some every day, most now and then."""
    weights = rng.lognormal(sigma=1.0, size=users)
    return np.asarray(weights / weights.sum())


def main() -> None:
    """Run and print."""
    parser = command.parser(__doc__, quick="1,000 lists")
    parser.add_argument("data", nargs="?", type=Path, help="data set folder; by default a sample shop")
    parser.add_argument("--split", default="arrivals", help="split of the data set that has warm clicks held out, too")
    parser.add_argument("--cold-fraction", type=float, help="make a split with so many cold items instead")
    parser.add_argument("--adapter", type=Path, help="adapter trained on the split; by default one is trained")
    parser.add_argument("--control", choices=PIPELINES, default="raw", help="pipeline of the control (raw)")
    parser.add_argument("--treatment", choices=PIPELINES, default="adapter", help="pipeline of the treatment (adapter)")
    parser.add_argument("--lists", type=int, default=20_000, help="lists served (20,000)")
    parser.add_argument("--late", type=float, default=0.0, help="seconds by which the treatment's events are late")
    parser.add_argument("--lost", type=float, default=0.0, help="part of the treatment's lists that is not logged")
    parser.add_argument("--seed", type=int, default=0, help="of visits and clicks (0)")
    options = parser.parse_args()
    data = options.data
    if data is not None and options.cold_fraction:
        data = command.with_cold_split(options.work, data, options.cold_fraction)
        options.split = command.COLD_SPLIT
    data, adapter = command.served_split(options.work, data, split=options.split, adapter=options.adapter)
    dataset = read_dataset(data)
    split: Split = read_split(dataset, options.split)
    play = Play(1000 if options.quick else options.lists, late_s=options.late, lost=options.lost, seed=options.seed)
    expected: dict[str, float] = {}
    worlds: Sequence[str | None] = (None,) if play.late_s or play.lost else (None, "control", "treatment")
    told: tuple[Traffic, Report] | None = None
    with Progress(disable=not sys.stderr.isatty()) as progress:
        for only in worlds:
            with ExitStack() as stack:
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="coldstart-simulate-")))
                shop = stack.enter_context(replayed(dataset, split, adapter, folder, quota=Quota()))
                experiment = experiment_of(options.control, options.treatment, at=shop.clock.now)
                traffic = run(shop, experiment, split.cold_test_items, play, only=only, progress=progress)
                if only is None:
                    found = report_on(experiment, traffic.exposures, traffic.outcomes, now=shop.clock.now)
                    told = traffic, found
                else:
                    expected[only] = traffic.expected
    if told is None:
        raise RuntimeError("no world was played")
    tell(*told, expected, arrivals=len(split.cold_test_items))


def tell(traffic: Traffic, report: Report, expected: dict[str, float], *, arrivals: int) -> None:
    """The report beside the truth, then one line of JSON."""
    lift = report.comparisons[0].lift
    true = expected["treatment"] / expected["control"] - 1 if expected else None
    interval = lift.relative_interval
    figures = {
        "lists": report.lists, "units": lift.units, "clicks": len(traffic.outcomes), "arrivals": arrivals,
        "arrivals_clicked": len(traffic.clicked),
        "true_lift": None if true is None else round(true, 4),
        "lift": None if lift.relative is None else round(lift.relative, 4),
        "low": None if interval is None else round(interval.low, 4),
        "high": None if interval is None else round(interval.high, 4),
        "covered": None if true is None or interval is None else interval.low <= true <= interval.high,
        "srm_p": report.split.p, "parity": list(report.parity.reasons), "decision": str(report.verdict.decision),
        "verdict": report.verdict.sentence,
    }  # fmt: skip
    for name, value in figures.items():
        print(f"{name:<18}{value}")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
