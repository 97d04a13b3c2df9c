"""Full ranking by inner product and the metrics over it. Pure functions on arrays."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from coldstart.vectors import Mask, Matrix, Rows, largest

Metric = NDArray[np.float64]


def rank(
    user_vectors: Matrix,
    item_vectors: Matrix,
    k: int,
    *,
    seen: csr_matrix | None = None,
    candidates: Mask | None = None,
    batch: int = 1024,
) -> Rows:
    """The k best items of each user, best first.

    Parameters
    ----------
    user_vectors, item_vectors : float32 [users, D], [items, D]
    seen : csr [users, items], optional
        Entries that may not be recommended (training items).
    candidates : bool [items], optional
        Items that may be recommended; all by default.

    Returns
    -------
    int64 [users, k]
        Item rows; -1 fills a list that has fewer than k candidates.
    """
    k = min(k, item_vectors.shape[0])
    if candidates is not None:
        columns = np.flatnonzero(candidates)
        among = rank(
            user_vectors, item_vectors[columns], k, seen=None if seen is None else seen[:, columns], batch=batch
        )
        filled = np.full((user_vectors.shape[0], k), -1, dtype=np.int64)
        filled[:, : among.shape[1]] = np.where(among >= 0, columns[among], -1) if len(columns) else among
        return filled
    ranked = np.empty((user_vectors.shape[0], k), dtype=np.int64)
    if k == 0:
        return ranked
    for start in range(0, user_vectors.shape[0], batch):
        stop = min(start + batch, user_vectors.shape[0])
        scores = user_vectors[start:stop] @ item_vectors.T
        if seen is not None:
            part = seen[start:stop]
            scores[np.repeat(np.arange(stop - start), np.diff(part.indptr)), part.indices] = -np.inf
        top = largest(scores, k)
        top_scores = np.take_along_axis(scores, top, axis=1)
        order = np.argsort(-top_scores, axis=1, kind="stable")
        rows = np.take_along_axis(top, order, axis=1)
        rows[np.isneginf(np.take_along_axis(top_scores, order, axis=1))] = -1
        ranked[start:stop] = rows
    return ranked


def recall_ndcg(ranked: Rows, truth: csr_matrix) -> tuple[Metric, Metric]:
    """Recall@k and NDCG@k of each user with at least one true item; k is the width of ``ranked``.

    Recall is hits / |truth|; the ideal DCG has min(|truth|, k) hits at the top (Järvelin and Kekäläinen 2002).

    Parameters
    ----------
    ranked : int64 [users, k]
        Item rows, -1 for an empty place.
    truth : csr [users, items]

    Returns
    -------
    recall, ndcg : float64 [users with truth]

    Examples
    --------
    >>> recall, ndcg = recall_ndcg(np.array([[2, 0]]), csr_matrix([[1, 1, 0]]))
    >>> float(recall[0]), round(float(ndcg[0]), 3)
    (0.5, 0.387)
    """
    k = ranked.shape[1]
    sizes = np.diff(truth.indptr)
    users = np.flatnonzero(sizes)
    keys = np.repeat(np.arange(truth.shape[0]), sizes) * np.int64(truth.shape[1]) + truth.indices
    wanted = users[:, None] * np.int64(truth.shape[1]) + ranked[users]
    hits = np.isin(wanted, keys) & (ranked[users] >= 0)
    discount = 1.0 / np.log2(np.arange(2, k + 2))
    ideal = np.cumsum(discount)[np.minimum(sizes[users], k) - 1]
    return hits.sum(axis=1) / sizes[users], (hits @ discount) / ideal
