import numpy as np

from coldstart.backbones.reranking import RankWeights, rerank

SCORES = np.array([[5.0, 4.0, 3.0, 2.0], [5.0, 4.0, 3.0, -np.inf]], dtype=np.float32)
LOGITS = np.array([[0.0, 0.0, 100.0, 200.0], [1.0, 2.0, 3.0, -np.inf]], dtype=np.float32)
COLD = np.array([[False, False, True, True], [False, False, False, False]])


def order(weights: RankWeights) -> list[list[int]]:
    best = np.argsort(-rerank(SCORES, LOGITS, COLD, weights), axis=1, kind="stable")
    return [row.tolist() for row in best]


def test_without_a_say_nothing_moves() -> None:
    np.testing.assert_array_equal(rerank(SCORES, LOGITS, COLD, RankWeights()), SCORES)


def test_each_kind_is_ordered_among_its_own() -> None:
    """However high the logits of cold items, they change places with one another alone."""
    assert order(RankWeights(cold=1.5)) == [[0, 1, 3, 2], [0, 1, 2, 3]]
    assert order(RankWeights(warm=1.5)) == [[0, 1, 2, 3], [2, 1, 0, 3]]


def test_the_mean_of_a_kind_stays() -> None:
    again = rerank(SCORES, LOGITS, COLD, RankWeights(cold=3.0, warm=2.0))
    np.testing.assert_allclose(again[0, 2:].mean(), 2.5, atol=1e-6)
    np.testing.assert_allclose(again[1, :3].mean(), 4.0, atol=1e-6)


def test_empty_places_stay_last_and_equal_opinions_say_nothing() -> None:
    again = rerank(SCORES, LOGITS, COLD, RankWeights(cold=1.0, warm=1.0))
    assert np.isneginf(again[1, 3]) and np.isfinite(again[1, :3]).all()
    np.testing.assert_array_equal(again[0, :2], SCORES[0, :2])
