from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from adapters.config import AdapterConfig
from adapters.fit import fit
from adapters.graduation import Lengths, fold_in, graduate
from adapters.space import Adapter, Blocks, spread
from coldstart.vectors import Matrix, Rows
from tests.adapters.toy import World, make_world

CONFIG = AdapterConfig(neighbours=5, image_dim=8, content_dim=16)


@pytest.fixture(scope="module")
def world() -> World:
    return make_world()


@pytest.fixture(scope="module")
def adapter(world: World) -> Adapter:
    return fit(world.backbone, world.contents, config=CONFIG)


@pytest.fixture(scope="module")
def blocks(world: World, adapter: Adapter) -> Blocks:
    return adapter.blocks(world.cold)


def clicked_by(users: Rows, world: World, n: int) -> csr_matrix:
    """Each cold item clicked by the first n of these users."""
    clicks = np.zeros((len(world.cold), len(world.backbone.users)), np.float32)
    clicks[:, users[:n]] = 1.0
    return csr_matrix(clicks)


def graduated(adapter: Adapter, blocks: Blocks, clicks: csr_matrix) -> Matrix:
    return graduate(adapter, Lengths.of(adapter), blocks, clicks)


def likes(adapter: Adapter, world: World, vectors: Matrix) -> Matrix:
    """Mean score of each item with the users of each group [n, 2]."""
    scores = vectors @ adapter.user_vectors(np.arange(len(world.backbone.users))).T
    return np.stack([scores[:, world.user_group == group].mean(axis=1) for group in (0, 1)], axis=1)


def test_without_clicks_an_item_stays_where_its_content_put_it(world: World, adapter: Adapter, blocks: Blocks) -> None:
    nobody = csr_matrix((len(world.cold), len(world.backbone.users)), dtype=np.float32)
    np.testing.assert_array_equal(graduated(adapter, blocks, nobody), adapter.cold_vectors(blocks))


def test_clicks_of_the_other_community_win_over_content(world: World, adapter: Adapter, blocks: Blocks) -> None:
    """Items that look like community 0 and are clicked by community 1 alone move over, a click at a time."""
    other = np.flatnonzero(world.user_group == 1)
    mine = world.cold_group == 0
    leads = []
    for n in (0, 1, 3, 10, 20):
        scores = likes(adapter, world, graduated(adapter, blocks, clicked_by(other, world, n)))[mine]
        leads.append((scores[:, 1] - scores[:, 0]).mean())
    assert leads[0] < 0 and leads == sorted(leads)
    collaborative = graduated(adapter, blocks, clicked_by(other, world, 20))[mine, : world.backbone.dim]
    assert (collaborative[:, 1] > collaborative[:, 0]).all()


def test_an_item_with_many_clicks_is_as_a_warm_one(world: World, adapter: Adapter, blocks: Blocks) -> None:
    only_clicks = adapter.with_scales(half=0.0)
    clicks = clicked_by(np.flatnonzero(world.user_group == 0), world, 20)
    vectors, d = graduated(only_clicks, blocks, clicks), world.backbone.dim
    folded = fold_in(world.backbone.user_vectors, clicks)
    np.testing.assert_allclose(
        vectors[:, :d] / np.linalg.norm(vectors[:, :d], axis=1, keepdims=True),
        folded / np.linalg.norm(folded, axis=1, keepdims=True), atol=1e-5,
    )  # fmt: skip
    expected = np.full(len(vectors), Lengths.of(adapter).after(np.array(20)))
    np.testing.assert_allclose(spread(vectors[:, :d], adapter.statistics.users), expected, rtol=1e-4)


def test_lengths_follow_the_clicks_of_warm_items(world: World, adapter: Adapter) -> None:
    """Frozen vectors whose spread is the root of their clicks."""
    clicks = np.asarray(world.backbone.clicks.sum(axis=0)).ravel()
    directions = world.backbone.item_vectors / spread(world.backbone.item_vectors, adapter.statistics.users)[:, None]
    scaled = replace(world.backbone, item_vectors=(0.1 * np.sqrt(clicks)[:, None] * directions).astype(np.float32))
    lengths = Lengths.of(replace(adapter, backbone=scaled))
    assert (lengths.base, lengths.exponent, lengths.typical) == pytest.approx((0.1, 0.5, clicks.mean()), rel=1e-4)
    assert lengths.after(np.array([0, 30])).tolist() == pytest.approx(
        [0.1 * clicks.mean() ** 0.5, 0.1 * (clicks.mean() + 30) ** 0.5], rel=1e-4
    )


def test_items_of_equal_clicks_tell_no_exponent(world: World, adapter: Adapter) -> None:
    everyone = replace(world.backbone, clicks=csr_matrix(np.ones(world.backbone.clicks.shape, np.float32)))
    lengths = Lengths.of(replace(adapter, backbone=everyone))
    assert lengths.exponent == 0 and lengths.typical == 40


def test_the_scales_move_without_a_jump(world: World, adapter: Adapter, blocks: Blocks) -> None:
    """Ever smaller weights of the clicks come ever closer to the cold item."""
    clicks = clicked_by(np.arange(3), world, 3)
    cold = adapter.cold_vectors(blocks)
    gaps = [np.abs(graduated(adapter.with_scales(half=half), blocks, clicks) - cold).max() for half in (1e1, 1e3, 1e5)]
    assert gaps == sorted(gaps, reverse=True) and gaps[-1] < 1e-3 * np.abs(cold).max()


def test_an_item_without_content_is_found_by_its_users(world: World, adapter: Adapter) -> None:
    mute = adapter.blocks(world.cold.only([]))
    vectors = graduated(adapter, mute, clicked_by(np.flatnonzero(world.user_group == 1), world, 2))
    scores = likes(adapter, world, vectors)
    assert np.isfinite(vectors).all() and (scores[:, 1] > scores[:, 0]).all()


def test_a_user_counts_by_direction_alone(world: World) -> None:
    """A user who clicked a thousand items has a long vector and one voice."""
    users, clicks = world.backbone.user_vectors, clicked_by(np.arange(4), world, 4)
    longer = users * np.arange(1, 41, dtype=np.float32)[:, None]
    np.testing.assert_allclose(fold_in(longer, clicks), fold_in(users, clicks), rtol=1e-5)
