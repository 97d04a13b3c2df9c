from dataclasses import replace

import pytest

from adapters.report import format_figure, list_table, make_report
from adapters.results import Evaluation, Figure
from coldstart.evaluation.report import render
from tests.adapters.studies.toy import Count
from tests.adapters.test_evaluation import run_world
from tests.adapters.toy import make_world


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    run = run_world(make_world())
    return Evaluation("toy", "toy", ("text", "image"), "external", (run, run), 1.0)


@pytest.fixture(scope="module")
def studied() -> Evaluation:
    """With the study below."""
    run = run_world(make_world(), studies=(Count(),))
    return Evaluation("toy", "toy", ("text", "image"), "external", (run, run), studies=(Count(),))


def titles(evaluation: Evaluation) -> list[str]:
    return [section.title for section in make_report(evaluation).sections]


def test_the_report_tells_it_all(evaluation: Evaluation) -> None:
    html = render(make_report(evaluation))
    for title in titles(evaluation):
        assert title in html
    assert {"Cold items alone", "What happens to warm items", "What the gates weigh"} <= set(titles(evaluation))
    for word in ("mean of neighbours", "content k-NN", "Recall@100", "ridge on content", "±\u00a00.000", "unchanged"):
        assert word in html


def test_a_data_set_may_be_called_anything(evaluation: Evaluation) -> None:
    html = render(make_report(replace(evaluation, dataset="<b>x</b>", split="$\\frac$")))
    assert "<b>x</b>" not in html and "&lt;b&gt;x&lt;/b&gt;" in html


def test_studies_add_sections(studied: Evaluation) -> None:
    assert set(titles(studied)) - set(titles(replace(studied, studies=()))) == {"Cold items"}


def test_one_modality_has_no_gates_to_show(evaluation: Evaluation) -> None:
    assert "What the gates weigh" not in titles(replace(evaluation, modalities=("text",)))


@pytest.mark.parametrize(
    ("without", "missing"),
    [
        (("cold_val",), set()),
        (("warm_val", "warm_test"), {"Warm items alone", "All items in one list", "What happens to warm items"}),
        (("cold_val", "warm_val", "warm_test"), {"Warm items alone", "All items in one list"}),
    ],
)
def test_a_split_with_parts_missing_is_reported_all_the_same(without: tuple[str, ...], missing: set[str]) -> None:
    run = run_world(make_world(), without=without)
    partial = Evaluation("toy", "partial", ("text", "image"), "external", (run,))
    assert not missing & set(titles(partial))
    assert "Cold items alone" in titles(partial)
    assert "nan" not in render(make_report(partial))


def test_a_table_has_a_row_for_each_method_and_names_what_is_not_ranked(evaluation: Evaluation) -> None:
    columns, rows = list_table(evaluation, "cold")
    assert columns[:4] == ("method", "Recall@20", "NDCG@20", "Recall@100")
    by_method = {row[0]: row for row in rows}
    assert len(by_method) == 6
    assert set(by_method["backbone alone"][1:]) == {None}
    columns, overall = list_table(evaluation, "overall", leads=("ndcg@20",))
    assert {len(row) for row in overall} == {len(columns)} == {4}
    assert {row[0]: str(row[-1])[0] for row in overall}["backbone alone"] == "+"


def test_one_seed_has_no_deviation() -> None:
    assert format_figure(Figure(0.5, 0.0, None), seeds=1) == "0.500"
