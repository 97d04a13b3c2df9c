from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from adapters.evaluation import run_seed
from adapters.results import Evaluation
from adapters.studies import open_study
from coldstart.backbones import FrozenBackbone
from coldstart.dataset import Interactions
from coldstart.evaluation.report import Lines
from coldstart.ids import IdMap
from tests.adapters.test_evaluation import CONFIG
from tests.adapters.toy import World, make_world
from tests.adapters.toy_split import data_of, joined, nothing

STUDY = open_study("cold-users")


class Trainer:
    """Gives the toy backbone, without the users and items that it is not given clicks of."""

    def __init__(self, world: World) -> None:
        self.world, self.given = world, list[Interactions]()

    def __call__(self, train: Interactions, validation: Interactions | None, seed: int) -> FrozenBackbone:
        self.given.append(train)
        whole = self.world.backbone
        users, items = np.unique(train.user_rows), np.unique(train.item_rows)
        return FrozenBackbone(
            "external", IdMap(whole.users.ids[row] for row in users), IdMap(whole.items.ids[row] for row in items),
            whole.user_vectors[users], whole.item_vectors[items], whole.clicks[users][:, items].tocsr(),
        )  # fmt: skip


def evaluated(world: World, trainer: Trainer, *, seeds: int = 1, without: Sequence[str] = ()) -> Evaluation:
    dataset, split = data_of(world)
    split = replace(split, **{part: nothing() for part in without})  # type: ignore[arg-type]
    runs = [
        run_seed(
            dataset, split, joined(world), train_backbone=trainer, seed=seed, config=replace(CONFIG, epochs=1),
            studies=(STUDY,),
        )
        for seed in range(seeds)
    ]  # fmt: skip
    return Evaluation("toy", "toy", ("text", "image"), "external", tuple(runs), studies=(STUDY,))


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(items=120, users=120)


@pytest.fixture(scope="module")
def trainer(world: World) -> Trainer:
    return Trainer(world)


@pytest.fixture(scope="module")
def evaluation(world: World, trainer: Trainer) -> Evaluation:
    return evaluated(world, trainer, seeds=2)


def test_newcomers_are_a_tenth_of_the_users_and_in_no_click_of_their_backbone(
    world: World, trainer: Trainer, evaluation: Evaluation
) -> None:
    whole, reduced = (np.unique(train.user_rows) for train in trainer.given[:2])
    left_out = np.setdiff1d(whole, reduced)
    assert len(left_out) == 12 == evaluation.findings["cold-users"].document["users"]
    assert (world.backbone.clicks[left_out].sum(axis=1) >= 15).all()


def test_later_seeds_train_no_backbone_more(trainer: Trainer, evaluation: Evaluation) -> None:
    assert len(evaluation.runs) == 2 and len(trainer.given) == 3
    assert len({len(train) for train in trainer.given}) == 2


def test_a_click_says_which_community_a_newcomer_is_of(evaluation: Evaluation) -> None:
    """Of the 60 items of a community half are held out or clicked: 20 places are nearly all hits."""
    recall = {
        name: {k: each["mean"] for k, each in method["recall@20"].items()}
        for name, method in evaluation.findings["cold-users"].document["methods"].items()
    }
    assert min(recall["served"].values()) > 0.6
    assert recall["popular"]["0"] < 0.75 * recall["served"]["1"]
    assert min(recall["sentence"].values()) > 0.6
    assert recall["new items"]["all"] == pytest.approx(1.0)
    assert recall["retrained"]["all"] == pytest.approx(recall["served"]["all"], abs=0.1)


def test_unshown_clicks_in_the_way_cost_recall_until_all_are_shown(evaluation: Evaluation) -> None:
    found = evaluation.findings["cold-users"].document["methods"]
    served, strict = found["served"]["recall@20"], found["strict"]["recall@20"]
    assert strict["1"]["mean"] < 0.8 * served["1"]["mean"]
    assert strict["all"] == served["all"]


def test_the_section_shows_every_method_over_clicks(evaluation: Evaluation) -> None:
    section = evaluation.findings["cold-users"].section
    assert section.columns == ("clicks shown", "0", "1", "3", "5", "10", "all")
    names = [row[0] for row in section.rows]
    assert section.emphasis in names and len(set(names)) == len(names)
    assert isinstance(section.plot, Lines) and section.plot.log_x
    served = next(series for series in section.plot.series if series.name == section.emphasis)
    assert served.x[:5] == (0, 1, 3, 5, 10)


def test_a_split_without_held_out_warm_clicks_tells_nothing(world: World) -> None:
    found = evaluated(world, Trainer(world), without=("warm_val", "warm_test"))
    assert found.runs[0].measured["cold-users"] is None and not found.findings


def test_few_clicks_a_user_tell_nothing() -> None:
    small = make_world(items=20, users=30)
    trainer = Trainer(small)
    assert evaluated(small, trainer).runs[0].measured["cold-users"] is None
    assert len(trainer.given) == 1
