import json
from dataclasses import replace

import numpy as np
import pytest

from coldstart.evaluation.plots import draw
from coldstart.experiments.design import Arm, Experiment, Guardrail, Kind, Metric
from coldstart.experiments.exposure import INTERLEAVED, Exposure, Outcome
from coldstart.experiments.interleaving import team_draft
from coldstart.experiments.lifecycle import stop
from coldstart.experiments.report import POINTS, Report, curve_of, report_on
from coldstart.experiments.simulation import Shoppers, Trouble, simulate_log
from coldstart.experiments.verdict import Decision
from tests.coldstart.experiments.toy import BEGIN, DAY, draft, running, shown, units_of

END = BEGIN + 8 * DAY
AB = running(guardrails=(Guardrail(Metric.parse("cold_share"), 0.02),), expected_units=2_000)


def simulated(
    trouble: Trouble | None = None, *, experiment: Experiment = AB, shoppers: int = 2_000, seed: int = 0
) -> tuple[list[Exposure], list[Outcome]]:
    rng = np.random.default_rng(seed)
    return simulate_log(experiment, Shoppers.draw(shoppers, rng), rng, trouble=trouble)


def reported(trouble: Trouble | None = None, *, experiment: Experiment = AB, shoppers: int = 2_000) -> Report:
    return report_on(experiment, *simulated(trouble, experiment=experiment, shoppers=shoppers), now=END)


def test_a_better_treatment_wins_with_its_guardrails() -> None:
    report = reported(Trouble(effect={"new": 0.5}))
    assert (report.verdict.decision, report.verdict.winner) == (Decision.WINNER, "new")
    [found] = report.comparisons
    assert found.lift.relative == pytest.approx(0.5, abs=0.2) and found.guardrails[0].state == "held"
    assert sum(report.split.units) == 2_000 and report.split.p > 0.001 and report.lists > 5_000


def test_arms_that_are_the_same_are_not_told_apart() -> None:
    assert reported().verdict.sentence.startswith("no difference shown yet: new click_through")


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        (Trouble(delay_s={"new": 60.0}), "made from events more than 1 s older than those of old"),
        (Trouble(lost={"old": 0.25}), "sample ratio mismatch: units are old"),
        (Trouble(source={"new": "replica"}), "new reads replica and old reads events"),
        (Trouble(degraded={"new": 0.2}), "of the lists of new are degraded"),
    ],
)
def test_a_verdict_is_refused_where_the_arms_are_not_comparable_also_where_one_would_win(
    trouble: Trouble, reason: str
) -> None:
    report = reported(replace(trouble, effect={"new": 0.5}))
    assert (report.verdict.decision, report.verdict.winner) == (Decision.REFUSED, None)
    assert report.verdict.sentence.startswith("no verdict: ") and reason in report.verdict.sentence
    assert report.comparisons[0].p < 0.05  # the figures are told all the same


def test_units_that_met_another_arm_than_theirs_refuse_a_verdict() -> None:
    exposures, outcomes = simulated()
    edited = replace(AB, salt="another")
    report = report_on(edited, exposures, outcomes, now=END)
    assert "units met an arm that is not theirs" in report.verdict.sentence
    assert "units met an arm" in report_on(replace(AB, buckets=()), exposures, outcomes, now=END).verdict.sentence


def test_lists_of_another_experiment_or_time_are_left_out() -> None:
    exposures, outcomes = simulated(shoppers=50)
    odd = [
        replace(exposures[0], experiment_id="other"),
        replace(exposures[0], at=BEGIN - 1),
        replace(exposures[0], at=END + 1),
    ]
    assert report_on(AB, [*odd, *exposures], outcomes, now=END) == report_on(AB, exposures, outcomes, now=END)
    stopped = stop(AB, now=BEGIN + 2 * DAY)
    later = report_on(stopped, exposures, outcomes, now=END)
    assert 0 < later.lists < len(exposures) and later.curve[-1].at == BEGIN + 2 * DAY


def test_three_treatments_are_corrected_for_their_number() -> None:
    experiment = running(arms=tuple(Arm(name, 0.25) for name in "abcd"), expected_units=2_000)
    report = reported(Trouble(effect={"c": 0.8}), experiment=experiment)
    assert report.verdict.winner == "c"
    raw = sorted(each.lift.p_always for each in report.comparisons)
    corrected = sorted(each.p for each in report.comparisons)
    assert corrected[0] == pytest.approx(3 * raw[0]) and len(report.curve) == 3 * POINTS


def test_the_curve_narrows_and_is_drawn() -> None:
    report = reported(Trouble(effect={"new": 0.5}))
    known = [point.interval for point in report.curve if point.interval is not None]
    assert known[-1].high - known[-1].low < 0.7 * (known[0].high - known[0].low)
    assert [point.units for point in report.curve] == sorted(point.units for point in report.curve)
    lines = curve_of(report)
    assert lines.series[0].name == "new" and len(lines.series[0].x) == POINTS and lines.series[0].x[0] == 0
    svg = draw(lines, alt="lift over time", key="lift")
    assert svg.startswith("<svg") and "always-valid" in svg


@pytest.mark.parametrize("shoppers", [0, 1, 5, 300])
def test_a_report_is_json_however_little_there_is(shoppers: int) -> None:
    report = reported(shoppers=shoppers)
    told = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert told["verdict"]["decision"] == "open" and told["parity"]["reasons"] == []
    assert told["metric"] == "click_through" and told["kind"] == "ab"


def test_lists_that_were_all_empty_have_nothing_to_report() -> None:
    units = {arm: units_of(AB, arm, 200) for arm in ("old", "new")}
    exposures = [shown(unit, "", arm=arm, at=BEGIN + 1) for arm, names in units.items() for unit in names]
    report = report_on(AB, exposures, [], now=END)
    assert report.lists == 400 and report.verdict.decision is Decision.OPEN
    json.dumps(report.to_dict(), allow_nan=False)
    mixed = [replace(each, arm=INTERLEAVED) for each in exposures]
    report = report_on(running(kind=Kind.INTERLEAVING), mixed, [], now=END)
    assert report.preference is not None and report.preference.tied_units == 400


def interleaved(*, chance: tuple[float, float], coin: bool = True) -> Report:
    """Lists of ten, of which shoppers click each arm's items with these chances."""
    experiment = running(kind=Kind.INTERLEAVING, expected_units=1_000)
    rng = np.random.default_rng(0)
    exposures, outcomes = [], []
    for n in range(1_000):
        first, second = (list(rng.permutation([f"i{n}" for n in range(20)])) for _ in range(2))
        teams = ("old", "new")
        drafted = team_draft(first, second, teams=teams, limit=10, rng=rng if coin else np.random.default_rng(0))
        at = BEGIN + float(n)
        exposures.append(shown(f"u{n}", drafted.items, at=at, arm=INTERLEAVED, teams=drafted.teams))
        for item, team in zip(drafted.items, drafted.teams, strict=True):
            if team and rng.random() < chance[teams.index(team)]:
                outcomes.append(Outcome(f"u{n}", item, "click", at + 5))
    return report_on(experiment, exposures, outcomes, now=END)


def test_an_interleaved_experiment_names_the_preferred_arm() -> None:
    report = interleaved(chance=(0.05, 0.08))
    assert report.preference is not None and report.comparisons == ()
    assert report.verdict.winner == "new" and report.preference.margin == pytest.approx(0.23, abs=0.08)
    assert report.preference.lists == 1_000 and sum(report.split.units) == 1_000
    assert curve_of(report).y_label.startswith("margin of credited clicks")
    assert interleaved(chance=(0.08, 0.05)).verdict.winner == "old"
    assert interleaved(chance=(0.06, 0.06)).verdict.decision is Decision.OPEN


def test_a_coin_that_always_falls_alike_refuses_a_verdict() -> None:
    report = interleaved(chance=(0.05, 0.08), coin=False)
    assert "first picks of the drafts are" in report.verdict.sentence and report.verdict.winner is None


def test_a_draft_has_nothing_to_report() -> None:
    assert report_on(draft(), [], [], now=END).lists == 0
