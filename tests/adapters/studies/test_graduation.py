from dataclasses import replace

import numpy as np
import pytest

from adapters.studies.graduation import Graduation, Growth
from coldstart.evaluation.report import Lines
from tests.adapters.test_evaluation import run_world
from tests.adapters.toy import World, make_world


@pytest.fixture(scope="module")
def growths() -> tuple[Growth, ...]:
    """Every new item of the toy world has the clicks of its community, 20: ten can be revealed, thirty cannot."""
    return measured(make_world(cold=60))


def measured(world: World, *, without: tuple[str, ...] = ()) -> tuple[Growth, ...]:
    run = run_world(world, studies=(Graduation(),), methods=(), without=without)
    return run.measured["graduation"]  # type: ignore[no-any-return]


def test_only_depths_that_enough_items_reach_are_told(growths: tuple[Growth, ...]) -> None:
    assert [growth.clicks for growth in growths] == [(0, 1, 3, 10)]
    assert growths[0].items == 30 and growths[0].left == 30 * 10


def test_every_number_of_clicks_is_judged_for_the_same_users(growths: tuple[Growth, ...]) -> None:
    for ways in growths[0].curves.values():
        users = {tuple(judged.users.tolist()) for curve in ways.values() for judged in curve if judged is not None}
        assert len(users) == 1


def test_content_alone_does_not_move_and_the_blend_starts_there(growths: tuple[Growth, ...]) -> None:
    for ways in growths[0].curves.values():
        first, *others = ways["content"]
        assert first is not None and ways["clicks"][0] is None
        assert all(each is not None and (each.ndcg == first.ndcg).all() for each in others)
        blend = ways["blend"][0]
        assert blend is not None and (blend.ndcg == first.ndcg).all()
    assert growths[0].weights[0] == 0 and list(growths[0].weights) == sorted(growths[0].weights)


def test_clicks_help_where_content_misleads() -> None:
    """New items that look like the other community are placed wrong until they are clicked."""
    world = make_world(cold=60)
    misled = replace(world, cold=world.cold.take(np.arange(60) ^ 1))
    curve = measured(misled)[0].curves["alone"]["blend"]
    ndcg = [float(judged.ndcg.mean()) for judged in curve if judged is not None]
    assert ndcg[0] < 0.5 < ndcg[-1]


def test_without_held_out_warm_clicks_new_items_are_judged_among_each_other() -> None:
    growth = measured(make_world(cold=60), without=("warm_val", "warm_test"))[0]
    assert set(growth.curves) == {"alone"}


def test_a_split_without_clicks_enough_tells_nothing() -> None:
    assert measured(make_world(cold=20)) is None


def test_the_finding_tells_table_plot_and_document_alike(growths: tuple[Growth, ...]) -> None:
    finding = Graduation().find((growths, growths))
    cohort = finding.document["cohorts"][0]
    mean = cohort["overall"]["blend"][-1]["ndcg@20"]["mean"]
    rows = {row[0]: row for row in finding.section.rows}
    assert str(rows["up to 10: NDCG@20 beside warm items, by blend"][-1]).startswith(f"{mean:.3f} [")
    assert rows["up to 10: NDCG@20 beside warm items, by clicks"][1] is None
    plot = finding.section.plot
    assert isinstance(plot, Lines) and plot.log_x
    assert {line.name: line.x for line in plot.series}["clicks"] == (1.0, 3.0, 10.0)
    assert plot.series[2].y[-1] == pytest.approx(mean, abs=1e-5)
