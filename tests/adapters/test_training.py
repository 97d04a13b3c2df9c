from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from adapters.config import AdapterConfig
from adapters.training import train_adapter
from adapters.validation import Judge, Validation, hide_warm_items, unseen_clicks
from coldstart.errors import InvalidInput
from tests.adapters.toy import World, make_world, own_share

CONFIG = AdapterConfig(neighbours=5, image_dim=8, content_dim=16, epochs=3, batch_items=16)


@pytest.fixture(scope="module")
def world() -> World:
    return make_world()


def test_the_backbone_stays_frozen_and_cold_items_find_their_users(world: World) -> None:
    trained = train_adapter(world.backbone, world.contents, config=CONFIG)
    assert trained.sha256_before == trained.sha256_after == world.backbone.sha256
    users = trained.adapter.user_vectors(np.arange(len(world.backbone.users)))
    assert own_share(world, users, trained.adapter.cold_vectors(trained.adapter.blocks(world.cold)), k=10) == 1.0
    assert len(trained.adapter.hidden) == 0


def test_training_keeps_only_what_improves_on_the_closed_form(world: World) -> None:
    curve = train_adapter(world.backbone, world.contents, config=CONFIG).curve
    assert curve[0].number == 0 and curve[0].kept
    best = curve[0].cold_ndcg
    for epoch in curve[1:]:
        assert epoch.kept == (epoch.cold_ndcg > best)
        best = max(best, epoch.cold_ndcg)


def test_the_same_seed_gives_the_same_adapter(world: World) -> None:
    first, second = (train_adapter(world.backbone, world.contents, config=CONFIG, seed=3).adapter for _ in range(2))
    for name, value in first.parameters.items():
        np.testing.assert_array_equal(value, second.parameters[name], err_msg=name)
    assert first.scales == second.scales


def test_gradient_descent_moves_gates_and_residual(world: World) -> None:
    from adapters.fit import fit
    from adapters.training import _descend

    validation = hide_warm_items(world.backbone, world.contents, fraction=0.2, seed=0)
    start = fit(world.backbone, world.contents, config=CONFIG, hidden=validation.hidden)
    _, curve = _descend(start, Judge(validation, world.backbone, seed=0), seed=0, on_epoch=None)
    assert curve[-1].loss < curve[1].loss


def test_an_empty_validation_part_is_refused(world: World) -> None:
    nobody = csr_matrix((len(world.backbone.users), len(world.cold)), dtype=np.float32)
    validation = Validation(world.cold, np.full(len(world.cold), -1), nobody)
    with pytest.raises(InvalidInput, match="no click on any item of the validation part"):
        train_adapter(world.backbone, world.contents, config=CONFIG, validation=validation)


def test_a_backbone_that_came_without_its_clicks_teaches_nothing(world: World) -> None:
    silent = replace(world.backbone, clicks=csr_matrix(world.backbone.clicks.shape, dtype=np.float32))
    likes = csr_matrix((world.user_group[:, None] == world.cold_group[None]).astype(np.float32))
    validation = Validation(world.cold, np.full(len(world.cold), -1), likes)
    with pytest.raises(InvalidInput, match=r"came without interactions.* --interactions"):
        train_adapter(silent, world.contents, config=CONFIG, validation=validation)


def test_a_catalogue_without_any_content_teaches_nothing(world: World) -> None:
    bare = replace(world.contents, present=np.zeros_like(world.contents.present))
    with pytest.raises(InvalidInput, match="none of the backbone's items has a text or a picture"):
        train_adapter(world.backbone, bare, config=CONFIG)


def test_divergence_is_named(world: World) -> None:
    config = AdapterConfig(neighbours=5, image_dim=8, content_dim=16, epochs=3, learning_rate=1e30)
    with pytest.raises(InvalidInput, match=r"training diverged in epoch 1, step 0: the loss is \S+, a weight \S+"):
        train_adapter(world.backbone, world.contents, config=config)


def test_clicks_that_the_backbone_missed_tune_cold_against_warm(world: World) -> None:
    all_clicks = csr_matrix((world.user_group[:, None] == world.item_group[None]).astype(np.float32))
    missed = unseen_clicks(world.backbone, all_clicks)
    assert missed is not None
    assert missed.nnz == all_clicks.nnz - world.backbone.clicks.nnz
    assert missed.multiply(world.backbone.clicks).nnz == 0
    validation = hide_warm_items(world.backbone, world.contents, fraction=0.2, seed=0, warm_truth=missed)
    judge = Judge(validation, world.backbone, seed=0)
    assert judge.has_warm and not judge.warm_items[validation.hidden].any()
    assert unseen_clicks(world.backbone, world.backbone.clicks) is None


def test_warm_lists_stay_the_backbones_own_where_content_does_not_help(world: World) -> None:
    """Held-out warm clicks that the frozen vectors rank first leave nothing to gain."""
    scores = world.backbone.user_vectors @ world.backbone.item_vectors.T
    unseen = np.where(world.backbone.clicks.toarray() > 0, -np.inf, scores)
    perfect = csr_matrix((unseen >= np.sort(unseen, axis=1)[:, -5:-4]).astype(np.float32))
    validation = hide_warm_items(world.backbone, world.contents, fraction=0.1, seed=0, warm_truth=perfect)
    scales = train_adapter(world.backbone, world.contents, config=CONFIG, validation=validation).adapter.scales
    assert (scales.warm_content, scales.warm_neighbours) == (0.0, 0.0)
