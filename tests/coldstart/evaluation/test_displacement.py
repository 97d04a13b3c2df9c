import numpy as np
from scipy.sparse import csr_matrix

from coldstart.evaluation.displacement import Displacement, displacement, measure
from coldstart.evaluation.protocols import Protocol

COLD = np.arange(8) >= 6
OWN = np.array([[0, 1, 2, 3]])


def scores(overall: list[int]) -> np.ndarray:
    """The backbone prefers items with small numbers."""
    return -np.array([overall], dtype=np.float32)


def found(*overall: int) -> Displacement:
    return displacement(np.array([overall]), OWN, scores(list(overall)), COLD)


def test_displacing_and_nothing_else() -> None:
    assert found(6, 0, 7, 1) == Displacement(0.5, 1.0, 1.0)


def test_a_warm_item_that_the_backbone_would_not_show_yet_is_not_kept() -> None:
    assert found(6, 0, 7, 2) == Displacement(0.5, 0.5, 1.0)


def test_another_order_shows() -> None:
    assert found(2, 1, 0, 6) == Displacement(0.25, 1.0, 0.0)
    assert found(0, 2, 1, 6) == Displacement(0.25, 1.0, 2 / 3)


def test_lists_of_cold_items_alone_and_empty_places() -> None:
    assert found(6, 7, -1, -1) == Displacement(1.0, 1.0, 1.0)
    assert found(0, 6, -1, -1) == Displacement(0.5, 1.0, 1.0)


def test_an_inner_product_leaves_warm_items_in_the_order_of_its_own_warm_list() -> None:
    """A method against itself: every place that is not cold holds the next warm item."""
    rng = np.random.default_rng(0)
    users, items = rng.standard_normal((30, 5)).astype(np.float32), rng.standard_normal((90, 5)).astype(np.float32)
    cold = np.arange(90) >= 60
    train = csr_matrix((rng.random((30, 90)) < 0.2) & ~cold, dtype=np.float32)
    everyone = csr_matrix(np.ones((30, 90), np.float32))
    protocol = Protocol(train, everyone, everyone, cold)
    same = measure(protocol, (users, items), (users, items))
    assert same is not None and same.kept == same.ordered == 1.0 and 0.1 < same.cold_share < 0.6
    turned = measure(protocol, (users, items), (-users, items), batch=7)
    assert turned is not None and turned.ordered == 0.0


def test_nothing_to_measure_without_overall_lists() -> None:
    nothing = csr_matrix((2, 3), dtype=np.float32)
    protocol = Protocol(nothing, nothing, nothing, np.zeros(3, bool))
    vectors = np.ones((2, 1), np.float32), np.ones((3, 1), np.float32)
    assert measure(protocol, vectors, vectors) is None
