"""Lists whose items differ from one another. Pure."""

import numpy as np

from coldstart.vectors import Matrix, Rows, Vector, normalise


def mmr(scores: Vector, vectors: Matrix, n: int, *, diversity: float) -> Rows:
    """``n`` rows, each the best of those left by ``(1 - diversity) relevance - diversity x likeness``.

    Maximal marginal relevance (Carbonell and Goldstein 1998). Relevance: the score [k] between the least, 0, and the
    greatest, 1. Likeness: the greatest cosine of the vector [k, D] with one that was taken before.

    >>> scores, vectors = np.array([3.0, 2.9, 1.0]), np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    >>> mmr(scores, vectors, 2, diversity=0.0).tolist(), mmr(scores, vectors, 2, diversity=0.5).tolist()
    ([0, 1], [0, 2])
    """
    if not len(scores):
        return np.empty(0, dtype=np.int64)
    directions = normalise(np.asarray(vectors, dtype=np.float32))
    width = float(scores.max() - scores.min())
    relevance = (scores - scores.min()) / (width if width > 0 else 1.0)
    likeness = np.full(len(scores), -1.0, dtype=np.float32)
    gain = (1 - diversity) * relevance
    taken: list[int] = []
    for place in range(min(n, len(scores))):
        worth = gain - diversity * likeness if place else gain.copy()
        worth[taken] = -np.inf
        row = int(np.argmax(worth))
        taken.append(row)
        likeness = np.maximum(likeness, directions @ directions[row])
    return np.array(taken, dtype=np.int64)
