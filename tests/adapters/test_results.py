from typing import Any

import numpy as np
import pytest

from adapters.results import Evaluation, Run
from coldstart.evaluation.protocols import Judged
from tests.adapters.studies.toy import Count
from tests.adapters.test_evaluation import run_world
from tests.adapters.toy import make_world


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    run = run_world(make_world(), studies=(Count(),))
    return Evaluation("toy", "toy", ("text", "image"), "external", (run, run), 1.0, (Count(),)).document()


def judged(*recall: float) -> Judged:
    values = np.array(recall)
    return Judged(np.arange(len(values)), values, values / 2, values)


def run(lead: float) -> Run:
    """A run whose adapter is better than the backbone by ``lead`` for each of three users."""
    return Run(
        judged={
            "adapter": {"warm": judged(0.2 + lead, 0.4 + lead, 0.6 + lead)},
            "backbone": {"warm": judged(0.2, 0.4, 0.6)},
            "popularity": {},
        },
        chosen={}, displacement=None, curve=(), gates=np.zeros((0, 2), np.float32), modalities=("text", "image"),
        adapter_parameters=1, backbone_parameters=2, sha256_before="a", sha256_after="a",
        seconds={"backbone": 1.0, "adapter": 1.0, "evaluate": 1.0},
    )  # fmt: skip


def test_the_document_keeps_its_contract(document: dict[str, Any]) -> None:
    keys = {"dataset", "split", "seeds", "cold", "warm", "overall", "popularity", "adapter_parameters",
            "backbone_parameters", "backbone_sha256_before", "backbone_sha256_after", "seconds"}  # fmt: skip
    assert keys <= set(document)
    assert document["backbone_sha256_before"] == document["backbone_sha256_after"]
    assert document["seeds"] == 2
    for part in ("recall@20", "ndcg@20"):
        assert set(document["cold"][part]) == {"mean", "std"}
    assert set(document["popularity"]) == {"cold", "warm", "overall"}
    assert set(document["seconds"]) == {"backbone", "encode", "adapter", "evaluate"}
    assert document["cold"]["recall@20"]["std"] == 0.0


def test_what_stands_beside_the_contract(document: dict[str, Any]) -> None:
    assert "recall@100" in document["cold"] and "recall@100" not in document["warm"]
    low, high = document["intervals"]["overall"]["ndcg@20"]
    assert low <= document["overall"]["ndcg@20"]["mean"] <= high
    assert document["methods"]["ridge"]["overall"]["ndcg@20"]["interval"][0] <= 1
    assert document["methods"]["backbone"]["cold"] is None
    assert set(document["differences"]["ridge"]) == {"cold", "warm", "overall"}
    assert "penalty" in document["chosen"]["ridge"]
    assert document["count"] == {"seeds": 2, "items": 20}


def test_seeds_are_averaged_per_user_before_users_are_drawn() -> None:
    found = Evaluation("toy", "toy", ("text",), "als", (run(0.1), run(0.3)))
    figure = found.figures["adapter"]["warm"]["recall@20"]
    assert [figure.mean, figure.std] == pytest.approx([0.6, 0.1])
    lead = found.differences["backbone"]["warm"]["recall@20"]
    assert lead.interval is not None
    assert (lead.interval.low, lead.mean, lead.interval.high) == pytest.approx((0.2, 0.2, 0.2))
    assert figure.interval is not None and figure.interval.high - figure.interval.low > 0.1


def test_means_of_gates_without_any_cold_content_are_zero() -> None:
    assert run(0.0).mean_gates == {"text": 0.0, "image": 0.0}
