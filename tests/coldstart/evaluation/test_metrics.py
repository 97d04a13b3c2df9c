import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from coldstart.evaluation.metrics import rank, recall_ndcg


def test_rank_is_a_sort_by_score_without_seen_and_foreign_items() -> None:
    users = np.array([[1.0], [-1.0]], dtype=np.float32)
    items = np.array([[3.0], [1.0], [2.0], [9.0]], dtype=np.float32)
    seen = csr_matrix(np.array([[1, 0, 0, 0], [0, 0, 0, 0]], dtype=np.float32))
    candidates = np.array([True, True, True, False])
    assert rank(users, items, 3, seen=seen, candidates=candidates).tolist() == [[2, 1, -1], [1, 2, 0]]


def test_a_batch_border_changes_nothing() -> None:
    rng = np.random.default_rng(0)
    users, items = rng.standard_normal((7, 3)).astype(np.float32), rng.standard_normal((11, 3)).astype(np.float32)
    np.testing.assert_array_equal(rank(users, items, 4, batch=2), rank(users, items, 4))


@given(st.integers(0, 2**32 - 1))
def test_metrics_equal_their_definitions(seed: int) -> None:
    rng = np.random.default_rng(seed)
    ranked = np.stack([rng.permutation(9)[:4] for _ in range(5)])
    truth = rng.random((5, 9)) < 0.3
    recall, ndcg = recall_ndcg(ranked, csr_matrix(truth.astype(np.float32)))
    expected = []
    for row, wanted in zip(ranked, truth, strict=True):
        if wanted.any():
            gains = [1 / np.log2(place + 2) for place, item in enumerate(row) if wanted[item]]
            ideal = sum(1 / np.log2(place + 2) for place in range(min(4, wanted.sum())))
            expected.append((wanted[row].sum() / wanted.sum(), sum(gains) / ideal))
    np.testing.assert_allclose(np.stack([recall, ndcg], axis=1).reshape(-1, 2), np.reshape(expected, (-1, 2)))


def test_an_empty_place_is_no_hit() -> None:
    recall, ndcg = recall_ndcg(np.array([[-1, -1]]), csr_matrix(np.array([[0, 1.0]])))
    assert (recall.tolist(), ndcg.tolist()) == ([0.0], [0.0])


def test_everything_right_is_one() -> None:
    recall, ndcg = recall_ndcg(np.array([[1, 0]]), csr_matrix(np.array([[1, 1.0, 0]])))
    assert recall[0] == 1 and ndcg[0] == pytest.approx(1)
