"""The three lists that a cold-start method is judged by: cold items alone, warm items alone, all items together."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.sparse import csr_matrix

from coldstart.evaluation.metrics import Metric, rank, recall_ndcg
from coldstart.splits import Split
from coldstart.vectors import Mask, Matrix, Rows

K = 20
LISTS = ("cold", "warm", "overall")


def cold_candidates(split: Split, *, part: Literal["cold_val", "cold_test"] = "cold_test") -> Rows:
    """Rows of the items that are ranked when a cold part is judged: all cold items, as ALDI, GAR and Heater do.

    Zhu et al. 2021 (split ``zhu21``) rank those of the part alone.
    """
    if split.name != "zhu21":
        return split.cold_items
    return split.cold_test_items if part == "cold_test" else split.cold_val_items


@dataclass(frozen=True)
class Judged:
    """Recall@20 and NDCG@20 of each judged user of one list."""

    recall: Metric
    ndcg: Metric


@dataclass(frozen=True)
class Protocol:
    """Full ranking of a split's test parts; items seen in training are masked.

    Cold: the cold items are candidates (`cold_candidates`), judged on ``cold_test``. Warm: all items with a training
    interaction, on ``warm_test``. Overall: both, for the users who have both a warm and a cold test item. Users without
    a training interaction are left out: a backbone knows nothing about them.

    Parameters
    ----------
    train, warm_test, cold_test : csr [users, items]
    cold : bool [items]
        The cold candidates.
    """

    train: csr_matrix
    warm_test: csr_matrix
    cold_test: csr_matrix
    cold: Mask

    @classmethod
    def of(cls, split: Split, n_users: int, n_items: int) -> "Protocol":
        """The protocol of a split."""
        cold = np.zeros(n_items, dtype=np.bool_)
        cold[cold_candidates(split)] = True
        return cls(
            train=split.train.matrix(n_users, n_items),
            warm_test=split.warm_test.matrix(n_users, n_items),
            cold_test=split.cold_test.matrix(n_users, n_items),
            cold=cold,
        )

    def judge(self, name: str, user_vectors: Matrix, item_vectors: Matrix) -> Judged | None:
        """One of `LISTS` for vectors [users, D] and [items, D]; ``None`` where the split has nothing to judge it on."""
        warm = np.diff(self.train.tocsc().indptr) > 0
        known = np.diff(self.train.indptr) > 0
        has_cold, has_warm = np.diff(self.cold_test.indptr) > 0, np.diff(self.warm_test.indptr) > 0
        truth, candidates, judged = {
            "cold": (self.cold_test, self.cold, has_cold),
            "warm": (self.warm_test, warm, has_warm),
            "overall": (self.cold_test + self.warm_test, warm | self.cold, has_cold & has_warm),
        }[name]
        users = np.flatnonzero(judged & known)
        if len(users) == 0:
            return None
        ranked = rank(user_vectors[users], item_vectors, K, seen=self.train[users], candidates=candidates)
        return Judged(*recall_ndcg(ranked, truth[users]))
