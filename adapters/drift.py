"""Whether what comes in is still like what the adapter was trained on. Pure."""

import numpy as np

from coldstart.vectors import Matrix


def drift(reference: Matrix, recent: Matrix) -> float:
    """How far the mean of recent embeddings [k, d] is from that of the training's [n, d], in spreads of the latter.

    The spread is the root mean squared distance from the mean. From the squared distance of the means is taken what k
    draws from the training's embeddings would have by chance, 1/k squared spreads, so that no drift is 0 whatever k; at
    1 the typical new item is as far from the training's middle as its outskirts are. 0 where either is empty.

    >>> same = np.array([[0.0, 1.0], [0.0, -1.0]])
    >>> drift(same, same), round(drift(same, same + np.array([3.0, 0.0])), 2)
    (0.0, 2.92)
    """
    if not len(reference) or not len(recent):
        return 0.0
    middle = reference.mean(axis=0, dtype=np.float64)
    spread = float(np.square(reference - middle).sum(axis=1).mean())
    if spread == 0.0:
        return 0.0
    moved = float(np.square(recent.mean(axis=0, dtype=np.float64) - middle).sum())
    return float(np.sqrt(max(0.0, moved / spread - 1 / len(recent))))
