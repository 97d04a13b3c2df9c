"""What training and judging make of data that lacks, repeats or says nothing."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from adapters.baseline_tuning import BASELINES
from adapters.config import AdapterConfig
from adapters.content import Contents
from adapters.evaluation import run_seed
from adapters.training import train_adapter
from coldstart.vectors import Matrix
from tests.adapters.toy import World, make_world, own_share
from tests.adapters.toy_split import data_of, joined

CONFIG = AdapterConfig(neighbours=5, image_dim=8, content_dim=16, epochs=2, batch_items=16)


@pytest.fixture(scope="module")
def world() -> World:
    return make_world()


def constant(contents: Contents) -> Contents:
    return Contents(np.ones_like(contents.text), np.ones_like(contents.image), contents.present)


def cold_vectors(world: World, contents: Contents, cold: Contents) -> tuple[Matrix, Matrix]:
    """Users and cold items as an adapter that was trained on these contents places them."""
    adapter = train_adapter(world.backbone, contents, config=CONFIG).adapter
    return adapter.user_vectors(np.arange(len(world.user_group))), adapter.cold_vectors(adapter.blocks(cold))


def test_histories_of_no_and_of_one_item_harm_nobody(world: World) -> None:
    clicks = world.backbone.clicks.toarray()
    clicks[:2] = 0
    clicks[1, 1] = 1
    bare = replace(world, backbone=replace(world.backbone, clicks=csr_matrix(clicks)))
    users, items = cold_vectors(bare, world.contents, world.cold)
    assert np.isfinite(users).all() and own_share(world, users, items, k=10) == 1.0


def test_items_without_content_teach_nothing_and_harm_nothing(world: World) -> None:
    present = world.contents.present.copy()
    present[::3] = False
    users, items = cold_vectors(world, replace(world.contents, present=present), world.cold)
    assert own_share(world, users, items, k=10) == 1.0


@pytest.mark.parametrize("width", [0, 10])
def test_a_modality_that_nobody_has_is_done_without(world: World, width: int) -> None:
    def unseen(contents: Contents) -> Contents:
        image = np.zeros((len(contents), width), np.float32)
        return Contents(contents.text, image, contents.present & np.array([True, False]))

    users, items = cold_vectors(world, unseen(world.contents), unseen(world.cold))
    assert own_share(world, users, items, k=10) == 1.0


def test_constant_embeddings_place_all_cold_items_alike(world: World) -> None:
    users, items = cold_vectors(world, constant(world.contents), constant(world.cold))
    assert np.isfinite(users).all() and np.isfinite(items).all()
    np.testing.assert_allclose(items, np.broadcast_to(items[0], items.shape), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("only_warm", [True, False])
def test_constant_embeddings_leave_the_baselines_without_a_vector_for_cold_items(world: World, only_warm: bool) -> None:
    dataset, split = data_of(world)
    contents = constant(joined(world))
    if only_warm:
        n = len(world.item_group)
        contents.text[n:], contents.image[n:] = world.cold.text, world.cold.image
    run = run_seed(
        dataset, split, contents, train_backbone=lambda *_: world.backbone, seed=0, methods=BASELINES, config=CONFIG
    )
    assert all(np.isfinite(lists["cold"].ndcg).all() for name, lists in run.judged.items() if name in BASELINES)
