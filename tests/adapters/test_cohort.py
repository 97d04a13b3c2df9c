import numpy as np
import pytest
from scipy.sparse import csr_matrix

from adapters.cohort import Cohort, Warm


@pytest.fixture
def clicks() -> csr_matrix:
    """Item i of 8 has the clicks of the first 3 i of 21 users."""
    return csr_matrix((np.arange(21)[:, None] < 3 * np.arange(8)[None]).astype(np.float32))


def test_items_need_clicks_to_reveal_and_to_judge_by(clicks: csr_matrix) -> None:
    cohort = Cohort.draw(clicks, depth=6, least=2, seed=0)
    assert cohort.items.tolist() == [3, 4, 5, 6, 7] and cohort.depth == 6
    assert (cohort.revealed(6).T + cohort.judged != clicks[:, cohort.items]).nnz == 0
    assert cohort.judged.sum(axis=0).tolist() == [[3, 6, 9, 12, 15]]


def test_clicks_are_revealed_one_after_the_other_alike_at_every_depth(clicks: csr_matrix) -> None:
    deep, shallow = (Cohort.draw(clicks, depth=depth, least=9, seed=1) for depth in (6, 3))
    both = np.isin(shallow.items, deep.items)
    np.testing.assert_array_equal(deep.pool[:, :3], shallow.pool[both])
    assert deep.revealed(0).nnz == 0
    assert (deep.revealed(4) - deep.revealed(2)).nnz == 2 * len(deep)
    assert (Cohort.draw(clicks, depth=6, least=9, seed=2).pool != deep.pool).any()


def test_too_few_clicks_make_an_empty_cohort(clicks: csr_matrix) -> None:
    assert len(Cohort.draw(clicks, depth=30, least=1, seed=0)) == 0


def test_whoever_revealed_an_item_is_not_offered_it() -> None:
    """Two users, two items; the first user revealed the first item, so that the second is all they can be shown."""
    cohort = Cohort(np.arange(2), np.array([[0], [1]]), csr_matrix(np.array([[0, 1], [1, 0]], np.float32)))
    users, items = np.ones((2, 1), np.float32), np.array([[2.0], [1.0]], np.float32)
    assert cohort.alone(users, items).ndcg.tolist() == [1.0, 1.0]


def test_beside_warm_items_both_kinds_are_judged() -> None:
    cohort = Cohort(np.arange(1), np.array([[1]]), csr_matrix(np.array([[1], [0], [1]], np.float32)))
    warm = Warm(
        seen=csr_matrix(np.array([[0, 0, 1]] * 3, np.float32)),
        truth=csr_matrix(np.array([[1, 0, 0], [1, 0, 0], [0, 0, 0]], np.float32)),
        candidates=np.array([True, False, True]),
    )
    assert cohort.users().tolist() == [0, 2] and cohort.users(warm).tolist() == [0]
    ones = np.ones((3, 1), np.float32)
    judged = cohort.beside(ones, ones, warm, np.array([[1.0], [9.0], [9.0]], np.float32))
    assert judged.users.tolist() == [0] and judged.recall.tolist() == judged.ndcg.tolist() == [1.0]
