from dataclasses import replace

import numpy as np
import pytest

from adapters.baseline_tuning import METHODS
from adapters.config import AdapterConfig
from adapters.evaluation import TRAIN_ADAPTER, TRAIN_BACKBONE, run_seed
from adapters.results import Evaluation, Run
from adapters.studies import Study
from adapters.validation import split_validation
from coldstart.ids import IdMap
from tests.adapters.toy import World, make_world
from tests.adapters.toy_split import data_of, joined, nothing

CONFIG = AdapterConfig(neighbours=5, image_dim=8, content_dim=16, epochs=2)


def run_world(
    world: World, *, without: tuple[str, ...] = (), seed: int = 0, methods: tuple[str, ...] = METHODS,
    studies: tuple[Study, ...] = (),
) -> Run:  # fmt: skip
    """One seed on the toy world, with some parts of its split missing."""
    dataset, split = data_of(world)
    for part in without:
        split = replace(split, **{part: nothing()})  # type: ignore[arg-type]
    return run_seed(
        dataset, split, joined(world), train_backbone=lambda *_: world.backbone, seed=seed, config=CONFIG,
        methods=methods, studies=studies,
    )  # fmt: skip


@pytest.fixture(scope="module")
def run() -> Run:
    return run_world(make_world())


def mean(run: Run, method: str, name: str, metric: str = "ndcg@20") -> float:
    return float(run.judged[method][name].values[metric].mean())


def test_users_that_only_an_imported_backbone_knows_have_no_held_out_clicks() -> None:
    """They have no row in the data set, and the last row of it is somebody else's."""
    world = make_world()
    dataset, split = data_of(world)
    users = IdMap([*world.backbone.users.ids[:-1], "stranger"])
    stranger = replace(world.backbone, users=users)
    validation = split_validation(dataset, split, stranger, joined(world))
    assert validation is not None and validation.warm_truth is not None
    assert validation.cold_truth[-2].nnz > 0 and validation.warm_truth[-2].nnz > 0
    assert validation.cold_truth[-1].nnz == validation.warm_truth[-1].nnz == 0


def test_the_adapter_finds_what_the_backbone_cannot(run: Run) -> None:
    assert mean(run, "adapter", "cold", "recall@20") == pytest.approx(1.0)
    assert "cold" not in run.judged["backbone"]
    assert mean(run, "adapter", "overall") > mean(run, "backbone", "overall")
    assert mean(run, "adapter", "warm", "recall@20") >= mean(run, "backbone", "warm", "recall@20")


def test_every_method_is_judged_for_the_same_users(run: Run) -> None:
    assert tuple(run.judged) == METHODS
    for name in ("warm", "overall"):
        first, *others = (lists[name].users.tolist() for lists in run.judged.values())
        assert len(first) and all(users == first for users in others)


def test_gates_are_of_the_cold_items_and_weigh_what_is_there(run: Run) -> None:
    assert run.gates.shape == (20, 2)
    np.testing.assert_allclose(run.gates.sum(axis=1), 1.0, rtol=1e-5)
    assert sum(run.mean_gates.values()) == pytest.approx(1.0, abs=1e-3)


def test_cold_items_displace_warm_ones_and_nothing_else(run: Run) -> None:
    assert run.displacement is not None
    assert 0.1 < run.displacement.cold_share < 0.9
    assert run.displacement.kept > 0.7


def test_phases_are_told_in_order() -> None:
    world, told = make_world(items=20, users=12, cold=8), list[str]()
    dataset, split = data_of(world)
    run_seed(
        dataset, split, joined(world), train_backbone=lambda *_: world.backbone, seed=0, config=CONFIG,
        methods=("ridge",), on_phase=told.append,
    )  # fmt: skip
    assert told == [TRAIN_BACKBONE, TRAIN_ADAPTER, "adapter", "backbone", "popularity", "ridge"]


def test_the_same_seed_gives_the_same_figures() -> None:
    world = make_world()
    first, second = (Evaluation("toy", "toy", ("text",), "external", (run_world(world, seed=3),)) for _ in range(2))
    one, two = first.document(), second.document()
    assert {**one, "seconds": None} == {**two, "seconds": None}


def test_a_split_without_warm_parts_has_a_cold_list_alone() -> None:
    run = run_world(make_world(), without=("warm_val", "warm_test"))
    document = Evaluation("toy", "cold only", ("text", "image"), "external", (run,)).document()
    assert document["warm"] is document["overall"] is document["displacement"] is None
    assert document["cold"]["recall@20"]["mean"] == pytest.approx(1.0)
    assert document["backbone_alone"] == {"cold": None, "warm": None, "overall": None}


def test_a_split_without_cold_validation_leaves_the_baselines_their_defaults() -> None:
    run = run_world(make_world(), without=("cold_val",))
    assert run.chosen["ridge"] == {"penalty": 10.0}
    assert run.chosen["neighbours"] == {}
    assert mean(run, "ridge", "cold", "recall@20") == pytest.approx(1.0)


def test_validation_parts_can_be_judged_instead() -> None:
    world = make_world()
    dataset, split = data_of(world)
    hidden = replace(split, warm_test=nothing())
    run = run_seed(
        dataset, hidden, joined(world), train_backbone=lambda *_: world.backbone, seed=0, config=CONFIG, part="val"
    )
    assert mean(run, "adapter", "overall") > mean(run, "backbone", "overall")
