"""The score that early stopping watches."""

import numpy as np
from scipy.sparse import csr_matrix

from coldstart.evaluation.metrics import rank, recall_ndcg
from coldstart.vectors import Matrix

K = 20


def ranking_score(user_vectors: Matrix, item_vectors: Matrix, seen: csr_matrix, truth: csr_matrix) -> float:
    """Mean of Recall@20 and NDCG@20 over the users [users] of ``truth``, all items [items] being candidates.

    The mean of both, since a training that is started well gains first in the order of the hits, which recall alone
    does not see.
    """
    users = np.flatnonzero(np.diff(truth.indptr))
    ranked = rank(user_vectors[users], item_vectors, K, seen=seen[users])
    recall, ndcg = recall_ndcg(ranked, truth[users])
    return float((recall.mean() + ndcg.mean()) / 2)
