import numpy as np
import pytest
from scipy.sparse import csr_matrix

from adapters.config import AdapterConfig
from adapters.fit import fit
from adapters.ranking import Perceptron, calibrate_ranking, item_embeddings
from adapters.space import Adapter
from adapters.validation import Judge, Validation
from coldstart.backbones.ranker import NeuMFRanker
from coldstart.backbones.reranking import POOL, RankWeights
from tests.adapters.toy import World, make_world
from tests.adapters.toy_neumf import SURE, with_towers

CONFIG = AdapterConfig(neighbours=5, image_dim=8, content_dim=16)
COLD = np.full(20, -1)


def fitted(world: World) -> Adapter:
    """Without a content block, so that cold items are placed by borrowed vectors alone."""
    return fit(world.backbone, world.contents, config=CONFIG).with_scales(cold_content=0.0, warm_content=0.0)


def judge_of(world: World) -> Judge:
    likes = (world.user_group[:, None] == world.cold_group[None]).astype(np.float32)
    missed = (world.user_group[:, None] == world.item_group[None]) & (world.backbone.clicks.toarray() == 0)
    validation = Validation(world.cold, COLD, csr_matrix(likes), csr_matrix(missed.astype(np.float32)))
    return Judge(validation, world.backbone, seed=0)


@pytest.fixture(scope="module")
def world() -> World:
    return with_towers(make_world())


def test_a_cold_item_borrows_the_embedding_of_its_community(world: World) -> None:
    ranker = NeuMFRanker.from_backbone(world.backbone)
    borrowed = item_embeddings(fitted(world), ranker, world.cold, COLD)
    assert (borrowed.argmax(axis=1) == world.cold_group).all()
    np.testing.assert_allclose(borrowed.sum(axis=1), 1.0, atol=1e-5)  # a mean of one-hot rows


def test_borrowing_the_backbones_own_vectors_is_the_neighbour_branch(world: World) -> None:
    adapter = fitted(world)  # whose residual is still zero
    borrowed = adapter.borrow(world.backbone.item_vectors, world.cold)
    np.testing.assert_allclose(borrowed, adapter.blocks(world.cold).collaborative, atol=1e-6)
    nothing = adapter.borrow(world.backbone.item_vectors, world.cold.only([]))
    assert (nothing == 0).all()


def test_a_known_item_has_its_own_embedding(world: World) -> None:
    ranker = NeuMFRanker.from_backbone(world.backbone)
    rows = np.array([3, -1, 7])
    embeddings = item_embeddings(fitted(world), ranker, world.contents.take(np.array([3, 4, 7])), rows)
    np.testing.assert_array_equal(embeddings[[0, 2]], ranker.items[[3, 7]])
    assert 0 < embeddings[1].max() < 1 + 1e-6


def test_both_opinions_are_of_the_retrieved_items(world: World) -> None:
    ranker = NeuMFRanker.from_backbone(world.backbone)
    items = world.backbone.item_vectors
    perceptron = Perceptron(ranker, ranker.users, ranker.items, np.zeros(len(items), np.bool_))
    users, candidates = np.array([5, 2]), np.arange(len(items)) < 4
    queries = world.backbone.user_vectors[users]
    found = perceptron.retrieve(users, queries, items, seen=world.backbone.clicks[users], candidates=candidates)
    assert found.rows.shape[1] <= POOL
    for n, user in enumerate(users):
        there = found.rows[n] >= 0
        rows = found.rows[n][there]
        seen = set(world.backbone.clicks[user].indices.tolist())
        assert sorted(rows.tolist()) == sorted({0, 1, 2, 3} - seen)
        np.testing.assert_allclose(found.scores[n][there], items[rows] @ queries[n], atol=1e-6)
        own = world.item_group[rows] == world.user_group[user]
        np.testing.assert_allclose(found.logits[n][there], SURE * own, atol=1e-5)
        assert np.isneginf(found.scores[n][~there]).all() and np.isneginf(found.logits[n][~there]).all()
        ranked = found.ranked(RankWeights(warm=1.0))[n]
        assert (ranked[: len(rows)] >= 0).all() and (ranked[len(rows) :] == -1).all()


def test_a_ranker_that_knows_more_gets_a_say_on_both_kinds() -> None:
    world = with_towers(make_world(), blind=True)
    adapter = calibrate_ranking(fitted(world), judge_of(world))
    assert adapter.ranker.cold > 0 and adapter.ranker.warm > 0


@pytest.mark.parametrize("sense", [0.0, -SURE])
def test_a_ranker_that_knows_nothing_or_the_wrong_thing_gets_none(sense: float) -> None:
    world = with_towers(make_world(), sense=sense)
    adapter = calibrate_ranking(fitted(world), judge_of(world))
    assert adapter.ranker == RankWeights()


def test_without_warm_clicks_to_judge_by_the_order_of_warm_items_stays() -> None:
    world = with_towers(make_world(), blind=True)
    judge = judge_of(world)
    validation = Validation(world.cold, COLD, judge.validation.cold_truth)
    adapter = calibrate_ranking(fitted(world), Judge(validation, world.backbone, seed=0))
    assert adapter.ranker.cold > 0 and adapter.ranker.warm == 0


def test_another_backbone_has_no_ranker() -> None:
    world = make_world()
    assert calibrate_ranking(fitted(world), judge_of(world)).ranker == RankWeights()
