import numpy as np
import pytest

from coldstart.dataset import Interactions
from coldstart.evaluation.protocols import Protocol, cold_candidates
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
