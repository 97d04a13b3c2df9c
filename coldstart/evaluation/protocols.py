"""The three lists that a cold-start method is judged by: cold items alone, warm items alone, all items together."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Literal

import numpy as np
from scipy.sparse import csr_matrix, diags

from coldstart.evaluation.metrics import Metric, rank, recall_ndcg
from coldstart.splits import Split
from coldstart.vectors import Mask, Matrix, Rows

K = 20
DEEP = 100
"""Figures published for CiteULike-a's split ``heater`` are Recall@100 over the cold items."""
LISTS = ("cold", "warm", "overall")
METRICS = ("recall@20", "ndcg@20")
DEEP_RECALL = "recall@100"

Part = Literal["val", "test"]


def cold_candidates(split: Split, *, part: Literal["cold_val", "cold_test"] = "cold_test") -> Rows:
    """Rows of the items that are ranked when a cold part is judged: all cold items, as ALDI, GAR and Heater do.

    Zhu et al. 2021 (split ``zhu21``) rank those of the part alone.
    """
    if split.name != "zhu21":
        return split.cold_items
    return split.cold_test_items if part == "cold_test" else split.cold_val_items


@dataclass(frozen=True)
class Judged:
    """One list's metrics, per user.

    Parameters
    ----------
    users : int64 [n]
        Rows of the judged users, sorted.
    recall, ndcg : float64 [n]
        Recall@20 and NDCG@20.
    deep_recall : float64 [n], optional
        Recall@100, of the cold list.
    """

    users: Rows
    recall: Metric
    ndcg: Metric
    deep_recall: Metric | None = None

    @property
    def values(self) -> dict[str, Metric]:
        """Each metric [n] by its name."""
        deep = {} if self.deep_recall is None else {DEEP_RECALL: self.deep_recall}
        return {**dict(zip(METRICS, (self.recall, self.ndcg), strict=True)), **deep}

    def at(self, users: Rows) -> "Judged":
        """These users alone, who all were judged."""
        places = np.searchsorted(self.users, users)
        deep = None if self.deep_recall is None else self.deep_recall[places]
        return Judged(users, self.recall[places], self.ndcg[places], deep)


def average(judged: Sequence[Judged]) -> Judged:
    """The same list judged several times (over seeds), averaged per user, for the users who were judged every time."""
    users = reduce(np.intersect1d, [each.users for each in judged])
    same = [each.at(users) for each in judged]
    deep = [each.deep_recall for each in same if each.deep_recall is not None]
    return Judged(
        users,
        np.mean([each.recall for each in same], axis=0),
        np.mean([each.ndcg for each in same], axis=0),
        np.mean(deep, axis=0) if len(deep) == len(same) else None,
    )


@dataclass(frozen=True)
class Protocol:
    """Full ranking of a split's test (or validation) parts; items seen in training are masked.

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
    def of(cls, split: Split, n_users: int, n_items: int, *, part: Part = "test") -> "Protocol":
        """The protocol of a split; of part ``val`` the one that may be looked at while something is chosen."""
        warm_events, cold_events = (
            (split.warm_test, split.cold_test) if part == "test" else (split.warm_val, split.cold_val)
        )
        cold = np.zeros(n_items, dtype=np.bool_)
        cold[cold_candidates(split, part="cold_test" if part == "test" else "cold_val")] = True
        return cls(
            train=split.train.matrix(n_users, n_items),
            warm_test=warm_events.matrix(n_users, n_items),
            cold_test=cold_events.matrix(n_users, n_items),
            cold=cold,
        )

    @property
    def warm(self) -> Mask:
        """Items with a training interaction [items]."""
        return np.asarray(np.diff(self.train.tocsc().indptr) > 0)

    def sampled(self, n: int, *, seed: int) -> "Protocol":
        """The same for n users at most, drawn among those with a cold test item."""
        users = np.flatnonzero(np.diff(self.cold_test.indptr))
        if len(users) <= n:
            return self
        kept = np.zeros(self.train.shape[0], np.float32)
        kept[np.random.default_rng(seed).permutation(users)[:n]] = 1.0
        warm_test, cold_test = (csr_matrix(diags(kept) @ truth) for truth in (self.warm_test, self.cold_test))
        warm_test.eliminate_zeros()
        cold_test.eliminate_zeros()
        return replace(self, warm_test=warm_test, cold_test=cold_test)

    def users(self, name: str) -> Rows:
        """Rows of the users that one of `LISTS` is judged for."""
        known = np.diff(self.train.indptr) > 0
        has_cold, has_warm = np.diff(self.cold_test.indptr) > 0, np.diff(self.warm_test.indptr) > 0
        return np.flatnonzero(known & {"cold": has_cold, "warm": has_warm, "overall": has_cold & has_warm}[name])

    def candidates(self, name: str) -> Mask:
        """The items that one of `LISTS` ranks [items]."""
        return {"cold": self.cold, "warm": self.warm, "overall": self.warm | self.cold}[name]

    def judge(self, name: str, user_vectors: Matrix, item_vectors: Matrix) -> Judged | None:
        """One of `LISTS` for vectors [users, D] and [items, D]; ``None`` where the split has nothing to judge it on."""
        users = self.users(name)
        if len(users) == 0:
            return None
        truth = {"cold": self.cold_test, "warm": self.warm_test, "overall": self.cold_test + self.warm_test}[name]
        ranked = rank(
            user_vectors[users], item_vectors, DEEP if name == "cold" else K,
            seen=self.train[users], candidates=self.candidates(name),
        )  # fmt: skip
        recall, ndcg = recall_ndcg(ranked[:, :K], truth[users])
        return Judged(users, recall, ndcg, recall_ndcg(ranked, truth[users])[0] if name == "cold" else None)
