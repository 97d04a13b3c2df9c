from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from adapters.artifact import EncoderName, save_artifact
from adapters.config import AdapterConfig
from adapters.fit import fit
from adapters.graduation import Lengths, graduate
from adapters.serving import ServedAdapter
from adapters.space import Adapter
from coldstart.vectors import Vector, normalise
from tests.adapters.toy import World, make_world
from tests.adapters.toy_neumf import with_towers

CONFIG = AdapterConfig(neighbours=5, image_dim=8, content_dim=16)


@pytest.fixture(scope="module")
def world() -> World:
    return make_world()


def stored(adapter: Adapter, root: Path) -> ServedAdapter:
    """The adapter after a way to the disk and back."""
    adapter.backbone.save(root / "backbone")
    name = EncoderName("toy", "1")
    save_artifact(adapter, root / "adapter", text=name, image=name, backbone_dir=root / "backbone", card="")
    return ServedAdapter.load(root / "adapter")


@pytest.fixture(scope="module")
def served(world: World, tmp_path_factory: pytest.TempPathFactory) -> ServedAdapter:
    return stored(fit(world.backbone, world.contents, config=CONFIG), tmp_path_factory.mktemp("artifacts"))


@pytest.fixture(scope="module")
def ranking(tmp_path_factory: pytest.TempPathFactory) -> ServedAdapter:
    """On a NeuMF whose vectors say nothing and whose perceptron has a say."""
    world = with_towers(make_world(), blind=True)
    adapter = fit(world.backbone, world.contents, config=CONFIG)
    return stored(adapter.with_scales(cold_ranker=5.0, warm_ranker=5.0), tmp_path_factory.mktemp("ranking"))


def community(world: World, served: ServedAdapter, query: Vector) -> int:
    """The community of most of the ten best cold items."""
    ids = [f"new-{i}" for i in range(len(world.cold))]
    vectors = served.serve(ids, world.cold.text, world.cold.image, world.cold.present).vectors
    return round(float(world.cold_group[np.argsort(-(vectors @ query))[:10]].mean()))


def test_a_batch_may_mix_cold_and_warm(world: World, served: ServedAdapter) -> None:
    warm, cold = world.contents.take(np.arange(2)), world.cold.take(np.arange(2))
    text, image, present = (
        np.stack([a[0], b[0], a[1], b[1]])
        for a, b in ((warm.text, cold.text), (warm.image, cold.image), (warm.present, cold.present))
    )
    mixed = served.serve(["item-0", "new-0", "item-1", "new-1"], text, image, present)
    assert mixed.cold.tolist() == [False, True, False, True]
    alone = served.serve(["new-0"], cold.text[:1], cold.image[:1], cold.present[:1])
    np.testing.assert_allclose(mixed.vectors[1], alone.vectors[0], atol=1e-5)
    np.testing.assert_allclose(mixed.vectors[0, : served.backbone.dim], world.backbone.item_vectors[0], atol=0.5)


def test_clicked_items_are_where_graduation_puts_them_offline(world: World, served: ServedAdapter) -> None:
    """The very numbers that the study was measured on; a user counts once, and strangers do not."""
    clicked_by = [[], ["user-1"], ["user-1", "stranger", "user-1", "user-7"], ["stranger"]]
    contents = world.cold.take(np.arange(4))
    found = served.graduated(contents.text, contents.image, contents.present, [{}] * 4, clicked_by)
    clicks = np.zeros((4, len(world.backbone.users)), dtype=np.float32)
    clicks[1, 1] = clicks[2, [1, 7]] = 1.0
    adapter = served.adapter
    offline = graduate(adapter, Lengths.of(adapter), adapter.blocks(contents), csr_matrix(clicks))
    np.testing.assert_allclose(found.vectors, offline, atol=1e-5)
    assert found.clicks.tolist() == [0, 1, 2, 0]
    half = adapter.scales.half
    np.testing.assert_allclose(found.weights, [0.0, 1 / (1 + half), 2 / (2 + half), 0.0], rtol=1e-6)
    as_served = served.serve([f"new-{i}" for i in range(4)], contents.text, contents.image, contents.present).vectors
    np.testing.assert_allclose(found.vectors[[0, 3]], as_served[[0, 3]], atol=1e-5)
    assert np.abs(found.vectors - as_served)[[1, 2]].max() > 1e-2


def test_clicked_items_keep_what_they_carry_for_the_ranker(world: World, ranking: ServedAdapter) -> None:
    contents = world.cold.take(np.arange(2))
    found = ranking.graduated(contents.text, contents.image, contents.present, [{}] * 2, [["user-1"], []]).vectors
    as_served = ranking.serve(["new-0", "new-1"], contents.text, contents.image, contents.present).vectors
    tail = ranking.adapter.dim
    assert as_served[:, tail:].any() and ranking.dim > tail
    np.testing.assert_allclose(found[:, tail:], as_served[:, tail:], atol=1e-6)


@pytest.mark.parametrize("group", [0, 1])
def test_every_kind_of_user_gets_their_community(world: World, served: ServedAdapter, group: int) -> None:
    known = served.user_vector(f"user-{group}")
    assert known is not None
    rows = np.flatnonzero(world.item_group == group)[:3]
    contents = world.contents.take(rows)
    clicked = served.serve(
        [world.backbone.items.ids[r] for r in rows], contents.text, contents.image, contents.present
    ).vectors
    folded = served.fold_in(clicked)
    sentence = served.query_from_text(world.contents.text[rows[0]])
    for query in (known, folded, sentence, served.blend(known, folded, clicks=3)):
        assert community(world, served, query) == group


def test_clicks_on_cold_items_say_what_clicks_on_warm_ones_do(world: World, served: ServedAdapter) -> None:
    for group in (0, 1):
        rows = np.flatnonzero(world.cold_group == group)[:4]
        clicked = served.serve(["new"] * 4, *(getattr(world.cold, name)[rows] for name in ("text", "image", "present")))
        assert clicked.cold.all()
        assert community(world, served, served.fold_in(clicked.vectors)) == group


@pytest.mark.parametrize("k", [1, 3, 40])
def test_weights_of_one_change_no_bit_of_the_fold_in(served: ServedAdapter, k: int) -> None:
    clicked = np.random.default_rng(k).standard_normal((k, served.dim)).astype(np.float32)
    ones = np.ones(k, np.float32)
    assert served.fold_in(clicked, ones).tobytes() == served.fold_in(clicked).tobytes()


@pytest.mark.parametrize("heavier", [0, 1])
@pytest.mark.parametrize(("most", "least"), [(4.0, 0.25), (1.0, 2.0**-20), (2.0**-15, 2.0**-20)])
def test_the_click_that_weighs_more_decides(
    world: World, served: ServedAdapter, heavier: int, most: float, least: float
) -> None:
    rows = np.array([int(np.flatnonzero(world.item_group == group)[0]) for group in (0, 1)])
    contents = world.contents.take(rows)
    clicked = served.serve(
        [world.backbone.items.ids[r] for r in rows], contents.text, contents.image, contents.present
    ).vectors
    weights = np.full(2, least, np.float32)
    weights[heavier] = most
    assert community(world, served, served.fold_in(clicked, weights)) == heavier


def test_items_without_any_content_fold_into_nothing(served: ServedAdapter) -> None:
    assert not served.fold_in(np.zeros((2, served.dim), np.float32)).any()


def test_blending_moves_with_the_clicks(world: World, served: ServedAdapter) -> None:
    known, other = served.user_vector("user-0"), served.user_vector("user-1")
    assert known is not None and other is not None
    np.testing.assert_array_equal(served.blend(known, other, clicks=0), known)
    assert community(world, served, served.blend(known, other, clicks=50)) == 1


def test_strangers_have_no_vector_and_have_seen_nothing(served: ServedAdapter) -> None:
    assert served.user_vector("nobody") is None
    assert list(served.seen("nobody")) == []


def test_seen_is_what_was_clicked(world: World, served: ServedAdapter) -> None:
    clicked = np.flatnonzero(world.backbone.clicks[3].toarray().ravel())
    assert sorted(served.seen("user-3")) == sorted(f"item-{i}" for i in clicked)
    assert served.clicks_by_item["item-0"] == int(world.backbone.clicks[:, 0].sum())


def test_the_items_of_the_training_come_with_their_embeddings(world: World, served: ServedAdapter) -> None:
    rows = list(served.content())
    assert [item_id for item_id, _, _ in rows] == list(world.backbone.items.ids)
    assert rows[0][1] is not None
    np.testing.assert_allclose(rows[0][1], world.contents.text[0], atol=1e-3)


def test_what_an_item_was_trained_with_is_remembered_by_its_id(served: ServedAdapter) -> None:
    stored = {item_id: (text, image) for item_id, text, image in served.content()}
    item_id = next(item_id for item_id, (text, image) in stored.items() if text is not None and image is not None)
    text, image, present = served.remembered(["a stranger", item_id])
    np.testing.assert_array_equal(text[1], stored[item_id][0])
    np.testing.assert_array_equal(image[1], stored[item_id][1])
    assert present.tolist() == [[False, False], [True, True]]
    assert not text[0].any() and not image[0].any()


def test_the_perceptron_orders_warm_and_cold_items_by_what_their_vectors_carry(
    world: World, ranking: ServedAdapter
) -> None:
    rows = np.arange(10)
    warm = world.contents.take(rows)
    places = {
        False: ranking.serve([f"item-{r}" for r in rows], warm.text, warm.image, warm.present).vectors,
        True: ranking.serve(
            [f"new-{n}" for n in range(20)], world.cold.text, world.cold.image, world.cold.present
        ).vectors,
    }
    for user, group in (("user-0", 0), ("user-1", 1)):
        query, ranker = ranking.user_vector(user), ranking.ranker(user)
        assert query is not None and ranker is not None
        for cold, vectors in places.items():
            scores = (vectors @ query).astype(np.float32)
            names = [f"{'new' if cold else 'item'}-{n}" for n in range(len(vectors))]
            again = ranker(scores, names, vectors if cold else np.zeros_like(vectors), np.full(len(vectors), cold))
            groups = world.cold_group if cold else world.item_group[rows]
            assert (groups[np.argsort(-again)[: len(vectors) // 2]] == group).all()
            assert again.mean() == pytest.approx(scores.mean(), abs=1e-4)


def test_what_vectors_carry_for_the_ranker_moves_no_score_and_no_cosine(world: World, ranking: ServedAdapter) -> None:
    width = ranking.adapter.dim
    assert ranking.dim == width + 2
    cold = world.cold
    vectors = ranking.serve([f"new-{n}" for n in range(20)], cold.text, cold.image, cold.present).vectors
    folded = ranking.fold_in(vectors[:3])
    for query in (ranking.user_vector("user-0"), folded, ranking.query_from_text(cold.text[0])):
        assert query is not None and query.shape == (ranking.dim,)
        assert (query[width:] == 0).all() and query[:width].any()
    np.testing.assert_allclose(
        normalise(vectors) @ normalise(vectors).T, normalise(vectors[:, :width]) @ normalise(vectors[:, :width]).T,
        atol=1e-4,
    )  # fmt: skip


def test_there_is_no_ranker_for_strangers_nor_without_a_say(served: ServedAdapter, ranking: ServedAdapter) -> None:
    assert ranking.ranker("nobody") is None
    assert served.ranker("user-0") is None and served.dim == served.adapter.dim
    world = with_towers(make_world())
    assert ServedAdapter(replace(ranking.artifact, adapter=fit(world.backbone, world.contents, config=CONFIG))).ranker(
        "user-0"
    ) is None  # fmt: skip
