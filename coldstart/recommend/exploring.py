"""Drawing lists by chance, so that their propensities are known. Pure given a generator."""

import math
from bisect import bisect_right

import numpy as np

from coldstart.vectors import Rows, Vector


def draw(logits: Vector, n: int, rng: np.random.Generator) -> tuple[Rows, Vector]:
    """``n`` rows without repetition, each drawn by the softmax of the logits [k] of those that are left.

    The Plackett-Luce model (Plackett 1975). The second answer holds each row's propensity: with what chance it was
    drawn for its place, given those before it. Logits of minus infinity are never drawn.

    >>> rows, propensities = draw(np.array([0.0, 50.0, -np.inf]), 3, np.random.default_rng(0))
    >>> rows.tolist(), propensities.tolist()
    ([1, 0], [1.0, 1.0])
    """
    left = np.asarray(logits, dtype=np.float64).copy()
    rows: list[int] = []
    propensities: list[float] = []
    weights = np.zeros_like(left)
    while len(rows) < n:
        total = float((below := np.add.accumulate(weights))[-1]) if len(weights) else 0.0
        if not total:  # at first, and where what is left is nothing beside what was drawn
            if not len(left) or (most := np.maximum.reduce(left)) == -np.inf:
                break
            weights = np.exp(left - most)
            continue
        # What `rng.choice` does with chances, without checking that they are any. `searchsorted` would let go of the
        # interpreter lock, and wait for it again.
        row = bisect_right(below, rng.random() * total)
        rows.append(row)
        propensities.append(float(weights[row]) / total)
        left[row], weights[row] = -np.inf, 0.0
    return np.array(rows, dtype=np.int64), np.array(propensities, dtype=np.float32)


def tempered(scores: Vector, temperature: float) -> Vector:
    """Logits [k] that draw scores [k] by chance: in deviations of the scores, over the temperature.

    >>> tempered(np.array([1.0, 3.0]), 0.5).tolist()
    [-2.0, 2.0]
    """
    n = max(len(scores), 1)
    centred = scores - np.add.reduce(scores) / n
    spread = math.sqrt(np.vdot(centred, centred) / n)
    return np.asarray(centred / ((spread if spread > 0 else 1.0) * temperature), dtype=np.float32)
