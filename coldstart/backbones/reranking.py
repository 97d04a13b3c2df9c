"""What a ranker thinks of retrieved candidates, added to the scores that retrieved them. Pure and deterministic."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coldstart.vectors import Mask, Matrix

POOL = 100
"""Candidates of a list that are looked at again."""


@dataclass(frozen=True, slots=True)
class RankWeights:
    """The ranker's say beside the served scores' on candidates of each kind: 0 none, 1 as much."""

    cold: float = 0.0
    warm: float = 0.0


def rerank(scores: Matrix, logits: Matrix, cold: Mask, weights: RankWeights) -> Matrix:
    """New scores of each list's candidates [b, k], of the same mean and scale.

    Both are standardised among the list's candidates of one kind, and then added. So the ranker moves cold items among
    cold ones and warm among warm; how the two kinds compare stays what the served scores say.

    Parameters
    ----------
    scores, logits : float32 [b, k]
        Inner products that retrieved the candidates, and what the ranker says; minus infinity for an empty place.
    cold : bool [b, k]

    Examples
    --------
    >>> scores = np.array([[3.0, 2.0, 1.0]], dtype=np.float32)
    >>> logits = np.array([[-9.0, 0.0, 9.0]], dtype=np.float32)
    >>> rerank(scores, logits, np.array([[False, False, False]]), RankWeights(cold=0.0, warm=2.0)).tolist()
    [[1.0, 2.0, 3.0]]
    """
    moved = np.zeros(scores.shape, dtype=np.float64)
    for kind, weight in ((cold, weights.cold), (~cold, weights.warm)):
        if weight:
            among = kind & np.isfinite(scores)
            said, _ = _standardised(logits, among)
            _, deviation = _standardised(scores, among)
            moved += weight * deviation * said
    return np.asarray(scores + moved, dtype=np.float32)


def _standardised(values: Matrix, among: Mask) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Values [b, k] over their deviation [b, 1], about their mean; zeros elsewhere and where all are alike."""
    n = np.maximum(among.sum(axis=1, keepdims=True), 1)
    known = np.where(among, values, 0.0).astype(np.float64)
    centred = np.where(among, known - known.sum(axis=1, keepdims=True) / n, 0.0)
    deviation = np.sqrt(np.square(centred).sum(axis=1, keepdims=True) / n)
    return centred / np.where(deviation > 0, deviation, 1.0), deviation
