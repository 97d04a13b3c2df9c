from dataclasses import replace

import numpy as np
import pytest

from adapters.content import Contents
from adapters.results import Evaluation
from adapters.studies.ablations import TRAINED, WHOLE, Ablations, variants
from coldstart.terms import count_terms
from tests.adapters.test_evaluation import run_world
from tests.adapters.toy import make_world
from tests.adapters.toy_split import joined


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    run = run_world(make_world(), methods=(), studies=(Ablations(),))
    return Evaluation("toy", "toy", ("text", "image"), "external", (run, run), studies=(Ablations(),))


def test_each_part_has_a_row_beside_the_whole(evaluation: Evaluation) -> None:
    found = evaluation.findings["ablations"]
    names = [row[0] for row in found.section.rows]
    assert names[:2] == [TRAINED, WHOLE] and {"without text", "without image", "without evening out"} <= set(names)
    assert found.document[WHOLE]["cold"]["ndcg@20"]["difference"]["mean"] == 0.0
    assert found.document[WHOLE]["cold"]["recall@20"]["mean"] == pytest.approx(1.0)


def test_the_modality_that_knows_is_missed() -> None:
    world, rng = make_world(), np.random.default_rng(0)

    def noisy(contents: Contents) -> Contents:
        return replace(contents, text=rng.standard_normal(contents.text.shape).astype(np.float32))

    world = replace(world, contents=noisy(world.contents), cold=noisy(world.cold))
    run = run_world(world, methods=(), studies=(Ablations(),))
    found = Evaluation("toy", "toy", ("text", "image"), "external", (run,), studies=(Ablations(),)).findings
    document = found["ablations"].document
    picture, noise_alone = (document[name]["overall"]["ndcg@20"]["mean"] for name in ("without text", "without image"))
    assert noise_alone < picture - 0.02


def test_terms_are_left_out_where_there_are_any() -> None:
    contents = joined(make_world())
    assert "without declared columns' terms" not in variants(contents)
    more = variants(replace(contents, terms=count_terms([{"genre": "tea"}] * len(contents))))
    assert not more["without declared columns' terms"].contents.terms.nnz


def test_a_split_without_cold_validation_cannot_tell() -> None:
    run = run_world(make_world(), methods=(), studies=(Ablations(),), without=("cold_val",))
    assert run.measured["ablations"] is None
    assert not Evaluation("toy", "toy", ("text",), "external", (run,), studies=(Ablations(),)).findings


def test_means_are_of_the_list(evaluation: Evaluation) -> None:
    figures = evaluation.figures["adapter"]["cold"]["ndcg@20"]
    trained = evaluation.findings["ablations"].document[TRAINED]["cold"]["ndcg@20"]["mean"]
    assert np.isclose(figures.mean, trained, atol=1e-5)
