"""How good a model is after so many CPU-seconds of training; judging it does not count."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Point:
    """A score on the test part after so many CPU-seconds of training."""

    seconds: float
    score: float


class Enough(Exception):
    """The course has got where it was to get."""


class Course:
    """The points of one training, from now on.

    Parameters
    ----------
    budget : float
        CPU-seconds after which it is over.
    target : float
        Score at which it is over.
    """

    def __init__(self, *, budget: float, target: float = float("inf")) -> None:
        self.budget, self.target = budget, target
        self.points: list[Point] = []
        self.restart()

    def restart(self) -> None:
        """Count from now on: what came before was importing and reading, not training."""
        self._began, self._judging = time.process_time(), 0.0

    @property
    def seconds(self) -> float:
        """CPU-seconds of training so far, of all threads."""
        return time.process_time() - self._began - self._judging

    def judge(self, score: Callable[[], float]) -> None:
        """Note a point; `Enough` where the course is over."""
        seconds, before = self.seconds, time.process_time()
        self.points.append(Point(seconds, score()))
        self._judging += time.process_time() - before
        if seconds >= self.budget or self.points[-1].score >= self.target:
            raise Enough

    @property
    def best(self) -> float:
        """The best score of its points."""
        return max(point.score for point in self.points)

    def reached(self, score: float) -> float | None:
        """CPU-seconds to the first point that is as good; ``None`` where none is."""
        return next((point.seconds for point in self.points if point.score >= score), None)


@contextmanager
def until_enough() -> Iterator[None]:
    """Training that a course ends."""
    try:
        yield
    except Enough:
        return
