import pytest

from adapters.report import make_report
from adapters.results import Evaluation
from adapters.studies import open_study
from coldstart.evaluation.report import render
from tests.adapters.test_evaluation import run_world
from tests.adapters.toy import World, make_world
from tests.adapters.toy_neumf import with_towers


def evaluate(world: World, *, without: tuple[str, ...] = ()) -> Evaluation:
    study = open_study("ranking")
    run = run_world(world, studies=(study,), without=without, methods=())
    return Evaluation("toy", "toy", ("text", "image"), world.backbone.kind, (run,), studies=(study,))


@pytest.fixture(scope="module")
def blind() -> Evaluation:
    """Vectors that retrieve by content alone, and a perceptron that knows better."""
    return evaluate(with_towers(make_world(), blind=True))


def test_it_tells_what_the_second_look_gains_on_each_list(blind: Evaluation) -> None:
    document = blind.document()["ranking"]
    assert document["kept"]["warm"]
    warm = document["warm"]["ndcg@20"]
    assert warm["ranked"] > warm["retrieved"]
    assert warm["difference"]["mean"] == pytest.approx(warm["ranked"] - warm["retrieved"], abs=2e-5)
    assert warm["difference"]["interval"][0] > 0
    assert set(document) >= {"cold", "warm", "overall"}
    assert document["validation"]["warm"]["0.5"]["mean"] > 0


def test_what_was_retrieved_is_the_adapters_own_list(blind: Evaluation) -> None:
    for name in ("cold", "warm", "overall"):
        for metric in ("recall@20", "ndcg@20"):
            own = blind.figures["adapter"][name][metric].mean
            assert blind.document()["ranking"][name][metric]["retrieved"] == pytest.approx(own, abs=1e-5)


def test_a_ranker_without_a_say_changes_nothing() -> None:
    document = evaluate(with_towers(make_world(), sense=-10.0)).document()["ranking"]
    assert document["kept"] == {"cold": False, "warm": False} and document["weights"] == {"cold": [0.0], "warm": [0.0]}
    for name in ("cold", "warm", "overall"):
        assert document[name]["ndcg@20"]["difference"] == {"mean": 0.0, "interval": [0.0, 0.0]}
    assert max(gain["mean"] for gain in document["validation"]["cold"].values()) <= 0


def test_the_report_shows_it(blind: Evaluation) -> None:
    html = render(make_report(blind))
    assert "NeuMF ranks again" in html and "gain in NDCG@20" in html


def test_other_backbones_have_nothing_to_tell() -> None:
    assert "ranking" not in evaluate(make_world()).document()


def test_a_split_with_cold_parts_alone_tells_of_cold_items() -> None:
    document = evaluate(with_towers(make_world(), blind=True), without=("warm_val", "warm_test")).document()["ranking"]
    assert "cold" in document and "warm" not in document and document["weights"]["warm"] == [0.0]
