"""Drawing lists by chance, so that their propensities are known. Pure given a generator."""

import math
from bisect import bisect_right

import numpy as np

from coldstart.vectors import Vector


def draw(logits: Vector, n: int, rng: np.random.Generator) -> tuple[list[int], list[float]]:
    """``n`` rows without repetition, each drawn by the softmax of the logits [k] of those that are left.

    The Plackett-Luce model (Plackett 1975). The second answer holds each row's propensity: with what chance it was
    drawn for its place, given those before it. Logits of minus infinity are never drawn.

    >>> draw(np.array([0.0, 50.0, -np.inf]), 3, np.random.default_rng(0))
    ([1, 0], [1.0, 1.0])
    """
    rows: list[int] = []
    propensities: list[float] = []
    total = left = 0.0  # of the weights below, and of those that are not drawn
    while len(rows) < n:
        if left <= total / 2:  # at first, and so that most of what is drawn is new
            logits = np.array(logits, dtype=np.float64)
            for row in rows:
                logits[row] = -np.inf
            if not len(logits) or (most := np.maximum.reduce(logits)) == -np.inf:
                break
            weights = np.exp(logits - most)
            below = np.add.accumulate(weights)
            total = left = float(below[-1])
        # What `rng.choice` does with chances, without checking that they are any. `searchsorted` would let go of the
        # interpreter lock, and wait for it again.
        row = bisect_right(below, rng.random() * total)
        if row in rows:
            continue
        rows.append(row)
        propensities.append(min(1.0, float(weights[row]) / left))  # what is left is a difference of rounded numbers
        left -= float(weights[row])
    return rows, propensities


def tempered(scores: Vector, temperature: float) -> Vector:
    """Logits [k] that draw scores [k] by chance: in deviations of the scores, over the temperature.

    >>> tempered(np.array([1.0, 3.0]), 0.5).tolist()
    [-2.0, 2.0]
    """
    n = max(len(scores), 1)
    centred = scores - np.add.reduce(scores) / n
    spread = math.sqrt(np.vdot(centred, centred) / n)
    return np.asarray(centred / ((spread if spread > 0 else 1.0) * temperature), dtype=np.float32)
