from collections.abc import Callable

import numpy as np
import pytest

from coldstart.users import folding
from coldstart.vectors import Matrix, Vector


@pytest.fixture
def items() -> Matrix:
    return np.random.default_rng(0).standard_normal((40, 5)).astype(np.float32)


@pytest.fixture
def users() -> Matrix:
    return (np.random.default_rng(1).standard_normal((200, 5)) * [3, 1, 1, 1, 0.1]).astype(np.float32)


def direction(vector: Vector) -> Vector:
    return np.asarray(vector / np.linalg.norm(vector))


def test_ridge_against_what_is_not_clicked_is_the_fold_in_of_als(items: Matrix) -> None:
    """The normal equations of Hu, Koren and Volinsky, solved as they stand."""
    alpha, penalty, clicked = 7.0, 0.2, items[[3, 8, 21]]
    gram = items.T @ items
    damped = gram + alpha * clicked.T @ clicked + penalty * np.trace(gram) / 5 * np.eye(5)
    expected = np.linalg.solve(damped, (1 + alpha) * clicked.sum(axis=0))
    found = folding.ridge(clicked, folding.unclicked(items, penalty=penalty), confidence=alpha)
    np.testing.assert_allclose(direction(found), direction(expected), atol=1e-5)


def test_a_sure_click_is_believed(items: Matrix) -> None:
    clicked = items[:2]
    found = folding.ridge(clicked, np.eye(5, dtype=np.float32), confidence=1e6)
    np.testing.assert_allclose(clicked @ found, 1.0, atol=1e-4)


def test_newcomers_are_taken_to_differ_as_known_users_do(items: Matrix, users: Matrix) -> None:
    covariance = folding.known_users(users, items)
    assert np.einsum("nd,nd->n", items @ covariance, items).mean() == pytest.approx(1.0, rel=1e-4)
    clicked = np.ones((1, 5), np.float32)
    found = np.abs(folding.ridge(clicked, covariance, confidence=1.0))
    assert found[0] > 4 * found[1] and found[4] < 0.1 * found[1]


def test_a_propagated_user_is_where_lightgcn_puts_them() -> None:
    clicked, degrees = np.array([[2, 0], [0, 3]], np.float32), np.array([4, 9], np.float32)
    np.testing.assert_allclose(folding.propagate(clicked, degrees), [1 / np.sqrt(2)] * 2, rtol=1e-6)
    np.testing.assert_array_equal(folding.propagate(clicked, np.zeros(2, np.float32)), folding.propagate(
        clicked, np.ones(2, np.float32)))  # fmt: skip


@pytest.mark.parametrize(
    "fold",
    [
        folding.mean,
        folding.mean_direction,
        lambda clicked: folding.propagate(clicked, np.ones(len(clicked), np.float32)),
        lambda clicked: folding.ridge(clicked, np.eye(3, dtype=np.float32), confidence=2.0),
    ],
)
def test_one_click_points_at_its_item_and_an_item_that_is_nowhere_at_nothing(fold: Callable[[Matrix], Vector]) -> None:
    item = np.array([[1, 2, 2]], np.float32)
    np.testing.assert_allclose(direction(fold(item)), item[0] / 3, rtol=1e-5)
    assert not fold(np.zeros((2, 3), np.float32)).any()


def test_spaces_in_which_nothing_varies_have_a_prior() -> None:
    nothing = np.zeros((4, 3), np.float32)
    for covariance in (folding.unclicked(nothing, penalty=0.3), folding.known_users(nothing, nothing)):
        assert np.isfinite(covariance).all()


def test_many_clicks_are_folded_in_as_few_are() -> None:
    """More clicks than numbers in a vector take the other form of the same solution."""
    rng = np.random.default_rng(0)
    clicked, root = rng.standard_normal((12, 5)).astype(np.float32), rng.standard_normal((5, 5)).astype(np.float32)
    covariance = root @ root.T
    gram = clicked @ covariance @ clicked.T + np.eye(12) / 3.0
    expected = covariance @ clicked.T @ np.linalg.solve(gram, np.ones(12))
    np.testing.assert_allclose(folding.ridge(clicked, covariance, confidence=3.0), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("k", [3, 9], ids=["few", "many"])
def test_a_click_of_weight_two_is_as_good_as_the_click_twice(items: Matrix, k: int) -> None:
    covariance, weights = np.diag([3, 1, 1, 1, 2]).astype(np.float32), np.ones(k, np.float32)
    weights[0] = 2.0
    twice = items[[0, *range(k)]]
    found = folding.ridge(items[:k], covariance, confidence=0.7, weights=weights)
    np.testing.assert_allclose(found, folding.ridge(twice, covariance, confidence=0.7), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        folding.mean_direction(items[:k], weights), folding.mean_direction(twice), rtol=1e-5, atol=1e-6
    )


def test_a_click_of_hardly_any_weight_says_hardly_anything(items: Matrix) -> None:
    weights = np.array([1.0, 2.0**-20], np.float32)
    for fold in (
        lambda clicked, weights: folding.ridge(clicked, np.eye(5, dtype=np.float32), confidence=1.0, weights=weights),
        folding.mean_direction,
    ):
        np.testing.assert_allclose(direction(fold(items[:2], weights)), direction(items[0]), atol=1e-4)
        assert np.isfinite(fold(items[:2], weights[[1, 1]])).all()


def test_clicks_are_worth_their_number_where_all_weigh_alike() -> None:
    assert folding.worth(np.full(7, 0.125, np.float32)) == pytest.approx(7.0)
    assert 1.0 < folding.worth(np.array([1, 0.1, 0.1], np.float32)) < 1.5
