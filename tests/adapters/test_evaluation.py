from dataclasses import replace

import numpy as np
import pytest

from adapters.config import AdapterConfig
from adapters.content import Contents
from adapters.evaluation import Evaluation, Run, run_seed, split_validation
from coldstart.dataset import Dataset, Interactions, Items
from coldstart.ids import IdMap
from coldstart.splits import Split
from tests.adapters.toy import World, make_world

CONFIG = AdapterConfig(neighbours=5, image_dim=8, content_dim=16, epochs=2)


@pytest.fixture(scope="module")
def run() -> Run:
    """The toy world as a data set whose last 20 items are cold: half for validation, half for testing."""
    world = make_world()
    dataset, split = data_of(world)
    return run_seed(dataset, split, joined(world), train_backbone=lambda _: world.backbone, seed=0, config=CONFIG)


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


def data_of(world: World) -> tuple[Dataset, Split]:
    n_warm, n_cold = len(world.item_group), len(world.cold_group)
    ids = IdMap([*world.backbone.items.ids, *(f"new-{i}" for i in range(n_cold))])
    items = Items(ids, ("",) * len(ids), ("",) * len(ids), (None,) * len(ids), ({},) * len(ids))
    dataset = Dataset("toy", items, world.backbone.users, Interactions(np.empty(0, np.int64), np.empty(0, np.int64)))
    return dataset, split_of(world, n_warm, n_cold)


def joined(world: World) -> Contents:
    """Contents of the warm items, then of the cold ones."""
    return Contents(
        *(np.concatenate([getattr(world.contents, name), getattr(world.cold, name)])
          for name in ("text", "image", "present"))
    )  # fmt: skip


def split_of(world: World, n_warm: int, n_cold: int) -> Split:
    likes = np.argwhere(world.user_group[:, None] == world.cold_group[None, :])
    clicks = np.argwhere(world.backbone.clicks.toarray() > 0)
    missed = np.argwhere((world.user_group[:, None] == world.item_group[None]) & (world.backbone.clicks.toarray() == 0))

    def events(pairs: np.ndarray, offset: int = 0) -> Interactions:
        return Interactions(pairs[:, 0], pairs[:, 1] + offset)

    val, test = likes[likes[:, 1] < n_cold // 2], likes[likes[:, 1] >= n_cold // 2]
    return Split(
        "toy", events(clicks), events(missed[::2]), events(missed[1::2]), events(val, n_warm), events(test, n_warm)
    )


def test_the_adapter_finds_what_the_backbone_cannot(run: Run) -> None:
    assert run.adapter["cold"]["recall@20"] == pytest.approx(1.0)
    assert "cold" not in run.backbone
    assert run.adapter["overall"]["ndcg@20"] > run.backbone["overall"]["ndcg@20"]
    assert run.adapter["warm"]["recall@20"] >= run.backbone["warm"]["recall@20"]


def test_the_document_keeps_its_contract(run: Run) -> None:
    document = Evaluation("toy", "toy", ("text", "image"), "external", (run, run), 1.0).document()
    keys = {"dataset", "split", "seeds", "cold", "warm", "overall", "popularity", "adapter_parameters",
            "backbone_parameters", "backbone_sha256_before", "backbone_sha256_after", "seconds"}  # fmt: skip
    assert keys <= set(document)
    assert document["backbone_sha256_before"] == document["backbone_sha256_after"]
    assert document["seeds"] == 2
    assert set(document["cold"]["recall@20"]) == {"mean", "std"}  # type: ignore[index]
    assert set(document["seconds"]) == {"backbone", "encode", "adapter", "evaluate"}  # type: ignore[call-overload]
    assert document["cold"]["recall@20"]["std"] == 0.0  # type: ignore[index]
