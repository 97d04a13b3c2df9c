"""What a recommender is shown of a user it does not know: some of their clicks, drawn at random."""

import numpy as np
from scipy.sparse import csr_matrix

from coldstart.vectors import Rows


def draw_histories(clicks: csr_matrix, k: int | None, *, seed: int) -> list[Rows]:
    """Item rows of k clicks of each user, or of all where k is ``None`` or there are fewer.

    By one seed the first k clicks are among the first k + 1: figures over k differ by what was added alone.

    Parameters
    ----------
    clicks : csr [users, items]

    Examples
    --------
    >>> [history.size for history in draw_histories(csr_matrix([[1, 1, 1], [0, 0, 1]]), 2, seed=0)]
    [2, 1]
    """
    rng = np.random.default_rng(seed)
    histories = (clicks.indices[start:stop] for start, stop in zip(clicks.indptr, clicks.indptr[1:], strict=False))
    return [rng.permutation(history.astype(np.int64))[:k] for history in histories]
