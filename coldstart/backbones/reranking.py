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
    said, finite = np.stack([scores, logits]).astype(np.float64), np.isfinite(scores)
    moved = np.zeros(scores.shape)
    for kind, weight in ((cold, weights.cold), (~cold, weights.warm)):
        if weight and (among := kind & finite).any():
            centred, deviation = _centred(said, among)
            spread = np.where(deviation[1] > 0, deviation[1], np.inf)
            moved += weight * deviation[0] / spread * centred[1]
    return np.asarray(scores + moved, dtype=np.float32)


def _centred(values: NDArray[np.float64], among: Mask) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Values [2, b, k] less their mean among some places [b, k], zeros elsewhere; and their deviation [2, b, 1]."""
    n = np.maximum(among.sum(axis=1, keepdims=True), 1)
    known = np.where(among, values, 0.0)
    centred = np.where(among, known - known.sum(axis=2, keepdims=True) / n, 0.0)
    return centred, np.sqrt(np.square(centred).sum(axis=2, keepdims=True) / n)
