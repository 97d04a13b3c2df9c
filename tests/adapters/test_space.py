from dataclasses import replace

import numpy as np
import pytest

from adapters.config import AdapterConfig
from adapters.content import Contents
from adapters.fit import fit, reveal
from adapters.neighbours import Anchors, nearest
from adapters.space import Adapter, fuse
from coldstart.errors import InvalidInput
from coldstart.vectors import normalise
from tests.adapters.toy import World, make_world, own_share

CONFIG = AdapterConfig(neighbours=5, image_dim=8, content_dim=64)


@pytest.fixture(scope="module")
def world() -> World:
    return make_world()


@pytest.fixture(scope="module")
def adapter(world: World) -> Adapter:
    return fit(world.backbone, world.contents, config=CONFIG)


def test_cold_items_land_in_their_own_community(world: World, adapter: Adapter) -> None:
    users = adapter.user_vectors(np.arange(len(world.backbone.users)))
    cold = adapter.cold_vectors(adapter.blocks(world.cold))
    assert own_share(world, users, cold, k=10) == 1.0


@pytest.mark.parametrize("modality", ["text", "image"])
def test_one_modality_is_enough(world: World, adapter: Adapter, modality: str) -> None:
    users = adapter.user_vectors(np.arange(len(world.backbone.users)))
    blocks = adapter.blocks(world.cold.only([modality]))
    assert own_share(world, users, adapter.cold_vectors(blocks), k=10) == 1.0
    assert (blocks.gate[:, ["text", "image"].index(modality)] == 1).all()


def test_an_item_without_content_is_nowhere(world: World, adapter: Adapter) -> None:
    vectors = adapter.cold_vectors(adapter.blocks(world.cold.only([])))
    assert (vectors == 0).all()


def test_warm_items_keep_their_frozen_vector_first(world: World, adapter: Adapter) -> None:
    rows = np.arange(len(world.backbone.items))
    plain = adapter.with_scales(warm_neighbours=0.0)
    vectors = plain.warm_vectors(rows, plain.blocks(world.contents, rows))
    np.testing.assert_array_equal(vectors[:, : world.backbone.dim], world.backbone.item_vectors)


def test_profiles_are_ridge_regressions(world: World) -> None:
    """With every axis kept, B_u . y_i equals x_i' (F'F + lambda I)^-1 F' c_u."""
    adapter = fit(world.backbone, world.contents, config=replace(CONFIG, content_dim=10_000))
    text, image, _ = adapter.centering.apply(world.contents)
    fused = fuse(text, image, np.full((len(text), 2), 0.5, np.float32)).astype(np.float64)
    gram = fused.T @ fused + CONFIG.ridge * np.eye(fused.shape[1])
    expected = world.backbone.clicks.toarray() @ fused @ np.linalg.solve(gram, fused.T)
    profiles = world.backbone.clicks @ adapter.warm_content
    np.testing.assert_allclose(profiles @ adapter.warm_content.T, expected, atol=1e-4)


def test_hidden_items_leave_no_trace(world: World) -> None:
    hidden = np.arange(0, 60, 7)
    moved = world.backbone.item_vectors.copy()
    moved[hidden] = 100.0
    vectors = [
        fit(backbone, world.contents, config=CONFIG, hidden=hidden).blocks(world.cold).collaborative
        for backbone in (world.backbone, replace(world.backbone, item_vectors=moved))
    ]
    np.testing.assert_allclose(vectors[0], vectors[1], atol=1e-5)


def test_an_item_is_not_its_own_neighbour() -> None:
    axes = np.eye(4, dtype=np.float32)
    anchors = Anchors.build(np.arange(4), axes, axes, hubness=0.0)
    gate = np.full((4, 2), 0.5, np.float32)
    places, _ = nearest(anchors, axes, axes, gate, k=3, own_rows=np.arange(4))
    assert all(row not in places[row] for row in range(4))
    places, _ = nearest(anchors, axes, axes, gate, k=1)
    assert places.ravel().tolist() == [0, 1, 2, 3]


def test_one_item_has_the_neighbours_that_it_has_among_many() -> None:
    """Whoever is posted alone is to be found where an evaluation of many puts it."""
    rng = np.random.default_rng(0)
    text, image = (normalise(rng.standard_normal((600, d), dtype=np.float32)) for d in (12, 8))
    anchors = Anchors.build(np.arange(500), text[:500], image[:500], hubness=0.3)
    gate = rng.dirichlet([1, 1], 100).astype(np.float32)
    places, similarity = nearest(anchors, text[500:], image[500:], gate, k=20)
    for n in range(100):
        item = slice(500 + n, 501 + n)
        [alone], [cosines] = nearest(anchors, text[item], image[item], gate[n : n + 1], k=20)
        among, order = np.argsort(places[n]), np.argsort(alone)
        assert alone[order].tolist() == places[n][among].tolist()
        np.testing.assert_allclose(cosines[order], similarity[n][among], atol=1e-6)


def test_hubs_are_pushed_away() -> None:
    """Among anchors at equal cosine the one that is near everything loses."""
    text = np.array([[1, 0, 0], [0.8, 0.6, 0], [0.8, -0.6, 0], [0.6, 0, 0.8]], dtype=np.float32)
    anchors = Anchors.build(np.arange(4), text, np.zeros((4, 0), np.float32), hubness=0.5)
    assert anchors.penalty[0, 0] == anchors.penalty[:, 0].max()


def test_no_text_and_no_picture_anywhere_is_refused(world: World) -> None:
    with pytest.raises(InvalidInput, match="only 0 of the backbone's items"):
        fit(world.backbone, world.contents.only([]), config=CONFIG)


def test_contents_of_other_items_are_refused(world: World) -> None:
    with pytest.raises(InvalidInput, match="contents of 3 items for a backbone of 60"):
        fit(world.backbone, world.contents.take(np.arange(3)), config=CONFIG)


def test_nan_is_refused() -> None:
    with pytest.raises(InvalidInput, match="text embeddings: the vector holds NaN"):
        Contents(np.full((1, 2), np.nan, np.float32), np.zeros((1, 0), np.float32), np.array([[True, False]]))


def test_a_modality_that_was_never_trained_is_masked(world: World) -> None:
    adapter = fit(world.backbone, world.contents.only(["text"]), config=CONFIG)
    np.testing.assert_array_equal(
        adapter.blocks(world.cold).collaborative, adapter.blocks(world.cold.only(["text"])).collaborative
    )


def test_revealing_keeps_what_the_parameters_are_about(world: World) -> None:
    """Principal axes of other items would point elsewhere, and the trained projections would mean nothing."""
    hidden = fit(world.backbone, world.contents, config=CONFIG, hidden=np.arange(0, 60, 7))
    revealed = reveal(hidden)
    assert revealed.centering is hidden.centering and revealed.parameters is hidden.parameters
    assert len(revealed.anchors.rows) == 60 and len(hidden.anchors.rows) == 51
    assert (revealed.warm_content[::7] != 0).any() and (hidden.warm_content[::7] == 0).all()


def test_other_scalars_leave_known_profiles_as_they_are(world: World) -> None:
    adapter = fit(world.backbone, world.contents, config=CONFIG)
    queries = adapter.user_vectors(np.arange(4))
    changed = adapter.with_scales(cold=3.0, warm_content=0.1)
    assert changed.warm_content is adapter.warm_content
    np.testing.assert_array_equal(changed.user_vectors(np.arange(4)), queries)
    assert (
        changed.cold_vectors(changed.blocks(world.cold)).max() > adapter.cold_vectors(adapter.blocks(world.cold)).max()
    )
