"""New items that are clicked one by one, replayed: the same items and the same judged clicks, n of the others known."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.sparse import csr_matrix, hstack

from coldstart.evaluation.metrics import rank, recall_ndcg
from coldstart.evaluation.protocols import Judged, K
from coldstart.vectors import Mask, Matrix, Rows


@dataclass(frozen=True)
class Warm:
    """The items that new ones stand beside.

    Parameters
    ----------
    seen, truth : csr [users, w]
        Training clicks and held-out clicks.
    candidates : bool [w]
        Which of them may be recommended.
    """

    seen: csr_matrix
    truth: csr_matrix
    candidates: Mask


@dataclass(frozen=True)
class Cohort:
    """Items with clicks enough to reveal some and judge by the rest.

    Whoever reveals an item has met it: the pair is no candidate whatever n is, so that the lists of different n differ
    in the items' vectors alone.

    Parameters
    ----------
    items : int64 [c]
        Columns of the clicks it was drawn from.
    pool : int64 [c, depth]
        Users whose clicks may be revealed, in the order in which they are.
    judged : csr [users, c]
        The clicks that never are.
    """

    items: Rows
    pool: Rows
    judged: csr_matrix

    @classmethod
    def draw(cls, clicks: csr_matrix, *, depth: int, least: int, seed: int) -> "Cohort":
        """Items with ``depth + least`` clicks or more, whose order is random.

        Parameters
        ----------
        clicks : csr [users, items]
        depth : int
            How many clicks of each item can be revealed.
        least : int
            How many are left to judge by.
        """
        by_item = clicks.T.tocsr()
        by_item.sort_indices()
        items = np.flatnonzero(np.diff(by_item.indptr) >= depth + least)
        # An item's order is its own: it begins alike in cohorts of every depth.
        orders = [np.random.default_rng((seed, item)).permutation(by_item[item].indices) for item in items.tolist()]
        pool = np.array([order[:depth] for order in orders], dtype=np.int64).reshape(len(items), depth)
        judged = csr_matrix(clicks[:, items] - _clicks(pool, clicks.shape[0]).T)
        judged.eliminate_zeros()
        return cls(items, pool, judged)

    def __len__(self) -> int:
        return len(self.items)

    @property
    def depth(self) -> int:
        """How many clicks of each item can be revealed."""
        return int(self.pool.shape[1])

    def revealed(self, n: int) -> csr_matrix:
        """The first n clicks of each item, csr [c, users]."""
        return _clicks(self.pool[:, :n], self.judged.shape[0])

    @cached_property
    def met(self) -> csr_matrix:
        """Pairs that are no candidates, csr [users, c]."""
        return self.revealed(self.depth).T.tocsr()

    def users(self, warm: Warm | None = None) -> Rows:
        """Who is judged: whoever has a judged click, and a held-out one on a warm item where there are such."""
        users = np.flatnonzero(np.diff(self.judged.indptr))
        return users if warm is None else np.intersect1d(users, np.flatnonzero(np.diff(warm.truth.indptr)))

    def alone(self, users: Matrix, items: Matrix, *, among: Rows | None = None) -> Judged:
        """Recall@20 and NDCG@20 where the cohort's items are the only candidates.

        Parameters
        ----------
        users, items : float32 [users, D], [c, D]
        among : int64 [any], optional
            The judged users; by default all of `users`.
        """
        rows = self.users() if among is None else among
        ranked = rank(users[rows], items, K, seen=self.met[rows])
        return Judged(rows, *recall_ndcg(ranked, self.judged[rows]))

    def beside(
        self, users: Matrix, items: Matrix, warm: Warm, warm_items: Matrix, *, among: Rows | None = None
    ) -> Judged:
        """The same in one list with the warm items [w, D], held-out clicks on those being judged, too."""
        rows = self.users(warm) if among is None else among
        ranked = rank(
            users[rows], np.vstack([warm_items, items]), K,
            seen=hstack([warm.seen[rows], self.met[rows]], format="csr"),
            candidates=np.append(warm.candidates, np.ones(len(self), dtype=np.bool_)),
        )  # fmt: skip
        return Judged(rows, *recall_ndcg(ranked, hstack([warm.truth[rows], self.judged[rows]], format="csr")))


def _clicks(pool: Rows, n_users: int) -> csr_matrix:
    """Ones at the users of each item, csr [c, n_users]."""
    n, depth = pool.shape
    starts = np.arange(n + 1) * depth
    return csr_matrix((np.ones(n * depth, np.float32), pool.ravel(), starts), shape=(n, n_users))
