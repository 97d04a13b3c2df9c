"""How a request meets its arm, and how what was shown is logged without anybody waiting for it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from coldstart.errors import InvalidInput, Unavailable
from coldstart.experiments.design import Arm, Experiment, Kind, Pipeline
from coldstart.experiments.exposure import INTERLEAVED, Exposure
from coldstart.recommend import Recommender, Request
from coldstart.recommend import arms as module
from coldstart.recommend.arms import SOURCE, Arms, Assignment, Served, policy_of
from coldstart.recommend.policy import Policy
from coldstart.telemetry import Telemetry
from tests.coldstart.experiments.toy import running, units_of

WARM = Pipeline(adapter=False)


@dataclass
class Kept:
    """An `ExperimentLog` in memory, which may be away."""

    experiments: list[Experiment] = field(default_factory=list)
    logged: list[Exposure] = field(default_factory=list)
    away: bool = False

    def running(self) -> list[Experiment]:
        return list(self.experiments)

    def log(self, batch: Sequence[Exposure]) -> None:
        if self.away:
            raise Unavailable("the database is away")
        self.logged.extend(batch)


@dataclass
class Bench:
    """Arms around the toy shop."""

    log: Kept
    telemetry: Telemetry
    arms: Arms

    def run(self, *experiments: Experiment) -> None:
        self.log.experiments = list(experiments)
        self.arms.refresh()

    def counted(self, outcome: str) -> float:
        return self.telemetry.registry.get_sample_value("coldstart_exposures_total", {"outcome": outcome}) or 0.0


@pytest.fixture
def bench(shop: Recommender) -> Bench:
    log, telemetry = Kept(), Telemetry()
    ticks = iter(range(10**9))
    served = Served("v1", "als", Policy(cold_share=0.0))
    return Bench(log, telemetry, Arms(shop, log, served, telemetry, clock=lambda: 100.0 + next(ticks)))


def versus(pipeline: Pipeline, **changes: object) -> Experiment:
    return running(arms=(Arm("old", 0.5), Arm("new", 0.5, pipeline)), **changes)


def test_without_experiments_or_a_unit_nothing_is_logged(bench: Bench) -> None:
    assert bench.arms.recommend(Request(), unit="u")[1] == ()
    bench.run(versus(WARM))
    assert bench.arms.recommend(Request())[1] == ()
    own = Request(policy=Policy(diversity=0.5))
    assert bench.arms.recommend(own, unit="u")[1] == ()  # whoever asks for a policy gets it, and is no one's unit
    bench.arms.refresh()
    assert bench.log.logged == []


def test_a_unit_gets_the_lists_of_its_arm_and_always_the_same(bench: Bench) -> None:
    experiment = versus(WARM)
    bench.run(experiment)
    clicked = Request(clicked=("tea-0",), limit=6)
    for arm in ("old", "new"):
        [unit] = units_of(experiment, arm, 1)
        answers = [bench.arms.recommend(clicked, unit=unit) for _ in range(3)]
        assert all(assignments == (Assignment("toy", arm),) for _, assignments in answers)
        cold = [any(row.cold for row in answer.rows) for answer, _ in answers]
        assert cold == [arm == "old"] * 3


def test_what_was_shown_is_logged_with_arm_list_propensities_and_watermark(bench: Bench) -> None:
    experiment = versus(WARM)
    bench.run(experiment)
    [unit] = units_of(experiment, "old", 1)
    answer, _ = bench.arms.recommend(Request(clicked=("tea-0",), limit=4), unit=unit)
    assert bench.log.logged == []
    bench.arms.refresh()
    [found] = bench.log.logged
    assert (found.exposure_id, found.experiment_id, found.arm, found.unit) == (answer.list_id, "toy", "old", unit)
    assert found.items == tuple(row.item_id for row in answer.rows) and len(found.items) == 4
    assert found.cold == tuple(row.cold for row in answer.rows)
    assert found.propensities == tuple(row.propensity for row in answer.rows)
    assert (found.source, found.degraded, found.teams) == (SOURCE, False, ()) and found.watermark < found.at
    assert bench.counted("logged") == 1


def test_who_takes_no_part_gets_what_everybody_gets(bench: Bench) -> None:
    experiment = versus(WARM, share=0.5)
    bench.run(experiment)
    found = Counter(len(bench.arms.recommend(Request(limit=1), unit=f"u{n}")[1]) for n in range(200))
    assert 60 < found[0] < 140 and found[0] + found[1] == 200


def test_a_unit_meets_the_arms_of_two_layers_at_once(bench: Bench) -> None:
    first = versus(WARM)
    second = versus(Pipeline(ranker=False), experiment_id="second", salt="s2", layer="home")
    bench.run(first, second)
    met = {bench.arms.recommend(Request(limit=1), unit=f"u{n}")[1] for n in range(60)}
    assert met == {(Assignment("toy", a), Assignment("second", b)) for a in ("old", "new") for b in ("old", "new")}
    bench.arms.refresh()
    assert len(bench.log.logged) == 120
    assert len({(each.experiment_id, each.exposure_id) for each in bench.log.logged}) == 120


def test_lists_are_drafted_from_both_arms(bench: Bench) -> None:
    bench.run(versus(WARM, kind=Kind.INTERLEAVING))
    teams: Counter[str] = Counter()
    for n in range(40):
        answer, assignments = bench.arms.recommend(Request(clicked=("tea-0",), limit=6), unit=f"u{n}")
        assert assignments == (Assignment("toy", INTERLEAVED),)
        assert len({row.item_id for row in answer.rows}) == len(answer.rows) == 6
    bench.arms.refresh()
    for each in bench.log.logged:
        assert each.arm == INTERLEAVED and len(each.teams) == 6
        assert all(team != "new" for team, cold in zip(each.teams, each.cold, strict=True) if cold)
        assert set(each.propensities) <= {0.5, 1.0}
        teams.update(each.teams)
    assert teams["old"] > 10 and teams["new"] > 10


def test_an_arm_that_cannot_be_served_is_refused_and_if_it_runs_all_the_same_its_lists_are_marked(bench: Bench) -> None:
    for pipeline, reason in (
        (Pipeline(adapter="v9"), "the arm new wants the adapter v9, and this service has v1"),
        (Pipeline(backbone="neumf"), "the arm new wants the backbone neumf, and this service has als"),
    ):
        with pytest.raises(InvalidInput, match=reason):
            bench.arms.served.require(versus(pipeline))
    bench.arms.served.require(versus(Pipeline(adapter="v1", backbone="als")))
    diverse = Served("v1", "als", Policy(diversity=0.5))
    with pytest.raises(InvalidInput, match="explore"):
        diverse.require(versus(Pipeline(explore=0.1)))
    experiment = versus(Pipeline(adapter="v9"))
    bench.run(experiment)
    for arm in ("old", "new"):
        [unit] = units_of(experiment, arm, 1)
        assert bench.arms.recommend(Request(limit=1), unit=unit)[0].rows
    bench.arms.refresh()
    assert [(each.arm, each.degraded) for each in bench.log.logged] == [("old", False), ("new", True)]


def test_while_the_database_is_away_lists_are_made_and_what_was_shown_waits(bench: Bench) -> None:
    bench.run(versus(WARM))
    bench.log.away = True
    for n in range(5):
        assert bench.arms.recommend(Request(limit=1), unit=f"u{n}")[1]
    with pytest.raises(Unavailable):
        bench.arms.refresh()
    bench.arms.recommend(Request(limit=1), unit="u5")
    bench.log.away = False
    bench.arms.refresh()
    assert [each.unit for each in bench.log.logged] == [f"u{n}" for n in range(6)] and bench.counted("logged") == 6


def test_beyond_those_that_may_wait_exposures_are_dropped_and_counted(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_PENDING", 3)
    bench.run(versus(WARM))
    for n in range(5):
        bench.arms.recommend(Request(limit=1), unit=f"u{n}")
    bench.arms.refresh()
    assert [each.unit for each in bench.log.logged] == ["u0", "u1", "u2"]
    assert (bench.counted("logged"), bench.counted("dropped")) == (3, 2)


def test_a_stopped_experiment_assigns_nobody_from_the_next_look_on(bench: Bench) -> None:
    bench.run(versus(WARM))
    assert bench.arms.recommend(Request(limit=1), unit="u")[1]
    bench.run()
    assert bench.arms.recommend(Request(limit=1), unit="u")[1] == ()


def test_pipelines_change_of_the_policy_what_they_name() -> None:
    own = Policy(cold_share=0.3, diversity=0.2)
    assert policy_of([], own) == own == policy_of([Pipeline()], own)
    assert policy_of([Pipeline(adapter="v2", cold_share=0.0)], own) == Policy(cold_share=0.0, diversity=0.2)
    assert policy_of([WARM, Pipeline(ranker=False)], own) == Policy(
        adapter=False, ranker=False, cold_share=0.3, diversity=0.2
    )
