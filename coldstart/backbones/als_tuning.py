"""Chooses ALS's two weights on validation clicks: no pair of numbers is good on every data set."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace

from scipy.sparse import csr_matrix

from coldstart.backbones.als import als_factors
from coldstart.backbones.config import ALSConfig
from coldstart.backbones.progress import open_console
from coldstart.backbones.validation import ranking_score
from coldstart.vectors import Matrix

_LEAST_GAIN = 1.002  # smaller ones are noise
_MOST = 12  # trials
_STEPS = (2.5, 1.6)  # factors, coarse and fine

Point = tuple[float, float]
"""Alpha and regularisation."""
Sides = tuple[Matrix, Matrix]
"""Factors of users and items."""


def fit_als(
    clicks: csr_matrix, validation: csr_matrix | None, config: ALSConfig, *, seed: int, progress: bool = False
) -> tuple[Matrix, Matrix, ALSConfig]:
    """Factors [users, d], [items, d] and the config with the weights that were used.

    Missing weights are climbed to a local best on the validation clicks, from those scaled to the data. The best pairs
    lie along a ridge of nearly constant regularisation / alpha, hence the steps that move both.

    Parameters
    ----------
    clicks, validation : csr [users, items]
        Ones. Without validation clicks the scaled weights are used as they are.
    """

    def factors(alpha: float, regularisation: float) -> Sides:
        return als_factors(clicks, config.d, alpha, regularisation, config.iterations, seed)

    here = scaled_weights(clicks, config)
    moves = [] if config.regularisation is not None else [(0, -1), (0, 1)]
    moves += [] if config.alpha is not None else [(1, 0), (-1, 0)]
    moves += [(1, 1), (-1, -1)] if len(moves) == 4 else []
    if validation is None or not moves:
        return *factors(*here), replace(config, alpha=here[0], regularisation=here[1])

    def judged(alpha: float, regularisation: float) -> tuple[float, Sides]:
        sides = factors(alpha, regularisation)
        return ranking_score(*sides, clicks, validation), sides

    console = open_console(progress)
    with console.status("ALS: choosing its weights") if console.is_terminal else nullcontext():
        (alpha, regularisation), sides = _climb(judged, here, moves)
    return *sides, replace(config, alpha=alpha, regularisation=regularisation)


def scaled_weights(clicks: csr_matrix, config: ALSConfig) -> Point:
    """The config's weights, where one is missing scaled to the data: good to a few percent, and at no cost.

    Alpha is so large that clicks weigh .15 of all other pairs, the regularisation .06 of alpha times the clicks of an
    item.
    """
    n_users, n_items = clicks.shape
    alpha = 0.15 * n_users * n_items / clicks.nnz if config.alpha is None else config.alpha
    regularisation = 0.06 * alpha * clicks.nnz / n_items if config.regularisation is None else config.regularisation
    return alpha, regularisation


def _climb(
    judged: Callable[[float, float], tuple[float, Sides]], start: Point, moves: list[tuple[int, int]]
) -> tuple[Point, Sides]:
    """The best point found by moving in log steps for as long as it helps, with its factors.

    A move is (alpha, regularisation).
    """
    here = start
    best, sides = judged(*start)
    tried = {_key(start)}
    for factor in _STEPS:
        moved = True
        while moved:
            moved = False
            for a, r in moves:
                there = (here[0] * factor**a, here[1] * factor**r)
                if _key(there) in tried or len(tried) >= _MOST:
                    continue
                tried.add(_key(there))
                score, others = judged(*there)
                if score > _LEAST_GAIN * best:
                    here, best, sides, moved = there, score, others, True
                    break
    return here, sides


def _key(point: Point) -> tuple[str, str]:
    """The point without the last digits, which a step there and back changes."""
    return f"{point[0]:.3e}", f"{point[1]:.3e}"
