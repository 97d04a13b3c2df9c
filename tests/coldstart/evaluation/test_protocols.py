import numpy as np
import pytest
from scipy.sparse import csr_matrix

from coldstart.dataset import Interactions
from coldstart.evaluation.protocols import Judged, Protocol, average, cold_candidates
from coldstart.splits import Split


def events(*pairs: tuple[int, int]) -> Interactions:
    rows = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return Interactions(rows[:, 0], rows[:, 1])


def split(name: str = "mine") -> Split:
    """Items 0-2 are warm, 3 is cold for validation, 4 and 5 for testing; user 2 has no training interaction."""
    return Split(
        name,
        train=events((0, 0), (1, 1), (1, 2)),
        warm_val=events(),
        warm_test=events((0, 1)),
        cold_val=events((0, 3)),
        cold_test=events((0, 4), (1, 5), (2, 4)),
    )


ITEMS = np.arange(6, dtype=np.float32)[:, None]
USERS = np.ones((3, 1), dtype=np.float32)


def test_cold_candidates_are_all_cold_items() -> None:
    assert np.flatnonzero(Protocol.of(split(), 3, 6).cold).tolist() == [3, 4, 5]


def test_zhu21_ranks_its_test_items_alone() -> None:
    assert np.flatnonzero(Protocol.of(split("zhu21"), 3, 6).cold).tolist() == [4, 5]
    assert cold_candidates(split("zhu21"), part="cold_val").tolist() == [3]


def test_users_unknown_to_training_are_left_out() -> None:
    judged = Protocol.of(split(), 3, 6).judge("cold", USERS, ITEMS)
    assert judged is not None and judged.recall.tolist() == [1.0, 1.0]


def test_overall_is_for_users_with_both_kinds() -> None:
    judged = Protocol.of(split(), 3, 6).judge("overall", USERS, ITEMS)
    assert judged is not None and len(judged.recall) == 1


def test_training_items_are_masked() -> None:
    """User 0 has item 0 in training; if it were ranked first, its only warm test item would come second."""
    best_first = np.array([[9.0], [5.0], [1.0], [0.0], [0.0], [0.0]], dtype=np.float32)
    judged = Protocol.of(split(), 3, 6).judge("warm", USERS, best_first)
    assert judged is not None and judged.ndcg[0] == pytest.approx(1.0)


def test_a_part_that_is_missing_is_not_judged() -> None:
    empty = Split("cold only", split().train, events(), events(), split().cold_val, split().cold_test)
    protocol = Protocol.of(empty, 3, 6)
    assert protocol.judge("warm", USERS, ITEMS) is None
    assert protocol.judge("overall", USERS, ITEMS) is None


def test_the_validation_parts_are_judged_alike() -> None:
    protocol = Protocol.of(split(), 3, 6, part="val")
    judged = protocol.judge("cold", USERS, ITEMS)
    assert judged is not None and judged.users.tolist() == [0]
    assert np.flatnonzero(Protocol.of(split("zhu21"), 3, 6, part="val").cold).tolist() == [3]


def test_the_cold_list_is_judged_deeper_too() -> None:
    """One user's only cold item stands at place 60 of 120."""
    cold = np.arange(121) > 0
    truth = np.zeros((1, 121), np.float32)
    truth[0, 60] = 1.0
    train = np.zeros((1, 121), np.float32)
    train[0, 0] = 1.0
    protocol = Protocol(csr_matrix(train), csr_matrix((1, 121)), csr_matrix(truth), cold)
    judged = protocol.judge("cold", np.ones((1, 1), np.float32), -np.arange(121, dtype=np.float32)[:, None])
    assert judged is not None and {name: v.tolist() for name, v in judged.values.items()} == {
        "recall@20": [0.0], "ndcg@20": [0.0], "recall@100": [1.0],
    }  # fmt: skip


def test_a_sample_keeps_whole_users() -> None:
    rng = np.random.default_rng(0)
    train, warm, cold = (csr_matrix((rng.random((50, 9)) < 0.5).astype(np.float32)) for _ in range(3))
    whole = Protocol(train, warm, cold, np.ones(9, bool))
    few = whole.sampled(10, seed=1)
    users = np.flatnonzero(np.diff(few.cold_test.indptr))
    assert len(users) == 10
    assert (few.warm_test[users] != warm[users]).nnz == (few.cold_test[users] != cold[users]).nnz == 0
    assert set(few.users("warm")) <= set(users)
    assert whole.sampled(50, seed=1) is whole


def test_seeds_are_averaged_for_the_users_of_all_of_them() -> None:
    first = Judged(np.array([1, 4, 6]), np.array([0.0, 1.0, 0.0]), np.array([0.0, 0.5, 1.0]), np.ones(3))
    second = Judged(np.array([4, 6, 9]), np.array([0.0, 1.0, 1.0]), np.array([0.5, 0.0, 1.0]), np.zeros(3))
    found = average([first, second])
    assert found.users.tolist() == [4, 6]
    assert {name: v.tolist() for name, v in found.values.items()} == {
        "recall@20": [0.5, 0.5], "ndcg@20": [0.5, 0.5], "recall@100": [0.5, 0.5],
    }  # fmt: skip
