from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from coldstart.backbones.fitting import Schedule, fit
from coldstart.errors import ColdstartError


class Point(nn.Module):
    """One number that is pulled towards 3."""

    def __init__(self) -> None:
        super().__init__()
        self.x = nn.Parameter(torch.zeros(()))

    def epoch(self) -> Iterator[Tensor]:
        for _ in range(10):
            yield (self.x - 3).square()


def test_the_module_is_left_at_its_best_epoch() -> None:
    point = Point()
    passed: list[float] = []

    def score() -> float:  # best near 1.5, on the way to 3
        passed.append(point.x.item())
        return -abs(point.x.item() - 1.5)

    record = fit(point, point.epoch, score, Schedule(0.05, 100, 3), label="point", steps=10)
    best = min(range(len(passed)), key=lambda k: abs(passed[k] - 1.5))
    assert record["best_epoch"] == best > 0
    assert record["epochs"] == best + 3 == len(record["scores"]) - 1
    assert point.x.item() == passed[best]


def test_without_a_score_all_epochs_are_run() -> None:
    point = Point()
    record = fit(point, point.epoch, None, Schedule(0.1, 30, 1), label="point", steps=10)
    assert record == {"epochs": 30, "best_epoch": 30, "scores": []}
    assert point.x.item() == pytest.approx(3, abs=0.05)


def test_a_loss_that_is_not_finite_stops_and_tells_where() -> None:
    point = Point()
    step = 0

    def epoch() -> Iterator[Tensor]:
        nonlocal step
        for _ in range(10):
            step += 1
            yield point.x / 0 if step == 13 else point.x.square()

    with pytest.raises(ColdstartError, match=r"point: the loss is nan at epoch 2, step 3\. Lower the learning rate"):
        fit(point, epoch, None, Schedule(0.1, 5, 1), label="point", steps=10)


@pytest.mark.parametrize("rate", [1e20, float("inf")])
def test_weights_that_the_last_step_breaks_are_noticed(rate: float) -> None:
    point = Point()

    def epoch() -> Iterator[Tensor]:
        yield (point.x - 3).square()

    with pytest.raises(
        ColdstartError, match=r"largest weight is (1e\+20|inf) after epoch 1, step 1, where the loss is 9"
    ):
        fit(point, epoch, None, Schedule(rate, 1, 1), label="point", steps=1)


def test_the_bar_shows_when_it_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    point = Point()
    fit(point, point.epoch, None, Schedule(0.1, 1, 1), label="a point", steps=10)
    assert capsys.readouterr().err == ""
    fit(point, point.epoch, None, Schedule(0.1, 1, 1), label="a point", steps=10, progress=True)
    assert "a point" in capsys.readouterr().err


def test_the_watcher_sees_the_start_and_every_epoch() -> None:
    point, seen = Point(), list[tuple[int, float]]()
    fit(
        point, point.epoch, None, Schedule(0.1, 2, 1), label="point", steps=10,
        watch=lambda epochs: seen.append((epochs, point.x.item())),
    )  # fmt: skip
    assert [epochs for epochs, _ in seen] == [0, 1, 2]
    assert 0.0 == seen[0][1] < seen[1][1] < seen[2][1] == point.x.item()
