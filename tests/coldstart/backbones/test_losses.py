import math

import pytest
import torch

from coldstart.backbones.losses import bce, bpr, first_of, multinomial, sampled_softmax, squared_error


def test_bpr_of_equal_scores_is_log_2_and_falls_with_the_distance() -> None:
    same = torch.tensor([1.0, -3.0])
    assert bpr(same, same).item() == pytest.approx(math.log(2))
    assert bpr(same + 5, same).item() == pytest.approx(math.log1p(math.exp(-5)))


def test_sampled_softmax_is_cross_entropy_on_cosines() -> None:
    users = torch.tensor([[2.0, 0.0]])
    positives = torch.tensor([[7.0, 0.0]])
    negatives = torch.tensor([[0.0, 3.0], [-4.0, 0.0]])
    wanted = -math.log(math.exp(1 / 0.5) / (math.exp(1 / 0.5) + math.exp(0) + math.exp(-1 / 0.5)))
    assert sampled_softmax(users, positives, negatives, 0.5).item() == pytest.approx(wanted)


def test_the_first_of_a_row_is_told_from_its_others() -> None:
    wanted = (math.log(2) + math.log1p(math.exp(-3))) / 2
    assert first_of(torch.tensor([[1.0, 1.0], [5.0, 2.0]])).item() == pytest.approx(wanted)


def test_multinomial_is_the_mean_over_clicks_of_the_log_softmax() -> None:
    users = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    items = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    rows, columns = torch.tensor([0, 0, 1]), torch.tensor([0, 2, 1])
    first = math.log(2 * math.exp(1 / 0.5) + 1)  # of user 0: scores 1, 0, 1
    second = math.log(2 * math.exp(2 / 0.5) + 1)  # of user 1: scores 0, 2, 2
    wanted = (2 * (first - 1 / 0.5) + (second - 2 / 0.5)) / 3
    assert multinomial(users, items, rows, columns, 0.5).item() == pytest.approx(wanted)


def test_bce_and_squared_error_of_known_values() -> None:
    assert bce(torch.tensor([0.0, 0.0]), torch.tensor([1.0, 0.0])).item() == pytest.approx(math.log(2))
    assert bce(torch.tensor([3.0]), torch.tensor([1.0])).item() == pytest.approx(math.log1p(math.exp(-3)))
    assert squared_error(torch.tensor([1.0, 4.0]), torch.tensor([3.0, 3.0])).item() == pytest.approx(2.5)
