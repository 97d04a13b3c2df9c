"""What an adapter is tuned on: items treated as cold, and who truly met them."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix, hstack

from adapters.cohort import Warm
from adapters.content import Contents
from adapters.space import Adapter
from adapters.studied import Studied
from coldstart.backbones import FrozenBackbone
from coldstart.dataset import Dataset
from coldstart.evaluation.metrics import rank, recall_ndcg
from coldstart.evaluation.protocols import cold_candidates
from coldstart.splits import Split
from coldstart.vectors import Mask, Matrix, Rows

K = 20
_USERS = 1500
"""Users sampled for tuning: their sampling error (about .01) is the same for every setting that is compared."""


@dataclass(frozen=True)
class Validation:
    """Items treated as cold, with the backbone's users in its row order.

    Parameters
    ----------
    contents : Contents [n]
    own_rows : int64 [n]
        Backbone rows of the items, -1 where it does not know them.
    cold_truth : csr [users, n]
        Held-out meetings with these items.
    warm_truth : csr [users, items], optional
        Held-out meetings with the backbone's items.
    """

    contents: Contents
    own_rows: Rows
    cold_truth: csr_matrix
    warm_truth: csr_matrix | None = None

    @property
    def hidden(self) -> Rows:
        """Backbone rows that must not be used while tuning."""
        return self.own_rows[self.own_rows >= 0]


def split_validation(dataset: Dataset, split: Split, backbone: FrozenBackbone, contents: Contents) -> Validation | None:
    """The split's validation parts in the backbone's rows; ``None`` where no cold item is held out for validation."""
    if len(split.cold_val_items) == 0:
        return None
    rows = cold_candidates(split, part="cold_val")
    users = dataset.users.rows(backbone.users.ids)
    shape = len(dataset.users), len(dataset.items)
    cold = take_known(split.cold_val.matrix(*shape), users)[:, rows].tocsr()
    warm = take_known(split.warm_val.matrix(*shape), users)[:, dataset.items.ids.rows(backbone.items.ids)].tocsr()
    return Validation(contents.take(rows), np.full(len(rows), -1), cold, warm if warm.nnz else None)


def hide_warm_items(
    backbone: FrozenBackbone,
    contents: Contents,
    *,
    fraction: float,
    seed: int,
    warm_truth: csr_matrix | None = None,
) -> Validation:
    """Warm items drawn at random and treated as cold, for data that has no cold validation part.

    The users' frozen vectors have met these items; the neighbour branch and the content profiles have not.
    """
    usable = np.flatnonzero(contents.present.any(axis=1))
    n = max(1, round(fraction * len(usable)))
    rows = np.sort(np.random.default_rng(seed).choice(usable, size=min(n, len(usable)), replace=False))
    return Validation(contents.take(rows), rows, backbone.clicks[:, rows].tocsr(), warm_truth)


def unseen_clicks(backbone: FrozenBackbone, clicks: csr_matrix) -> csr_matrix | None:
    """Those of the clicks [users, items] that the backbone was not trained on; ``None`` where there are none."""
    left = clicks - clicks.multiply(backbone.clicks)
    left.eliminate_zeros()
    return left.tocsr() if left.nnz else None


def take_known(matrix: csr_matrix, rows: Rows) -> csr_matrix:
    """Rows of a csr in this order, empty ones for -1: an imported backbone may have users without interactions.

    >>> take_known(csr_matrix([[1, 0], [0, 2]]), np.array([1, -1, 0])).toarray().tolist()
    [[0, 2], [0, 0], [1, 0]]
    """
    places = np.flatnonzero(rows >= 0)
    ones = np.ones(len(places), dtype=matrix.dtype)
    return csr_matrix((ones, (places, rows[places])), shape=(len(rows), matrix.shape[0])) @ matrix


class Judge:
    """Scores settings of an adapter on a validation part, always over the same sample of users."""

    def __init__(self, validation: Validation, backbone: FrozenBackbone, *, seed: int) -> None:
        self.validation, self.cold_items = validation, Studied(validation.contents)
        rng = np.random.default_rng(seed)
        cold = np.flatnonzero(np.diff(validation.cold_truth.indptr))
        self.cold_users = np.sort(rng.permutation(cold)[:_USERS])
        truth = validation.warm_truth
        # An item that is treated as cold must not be found as a warm one.
        self.warm_items = np.ones(len(backbone.items), dtype=np.bool_)
        self.warm_items[validation.hidden] = False
        truth = csr_matrix(backbone.clicks.shape, dtype=np.float32) if truth is None else truth
        self.warm_truth = truth.multiply(self.warm_items[None, :]).tocsr()
        self.warm_truth.eliminate_zeros()
        warm = np.flatnonzero(np.diff(self.warm_truth.indptr))
        self.warm_users = np.sort(rng.permutation(warm)[:_USERS])
        both = np.intersect1d(cold, warm)
        self.both_users = np.sort(rng.permutation(both)[:_USERS])
        self.seen = backbone.clicks

    def cold(self, adapter: Adapter, items: Matrix) -> float:
        """NDCG@20 over the cold items [n, D] alone."""
        return _ndcg(adapter.user_vectors(self.cold_users), items, self.validation.cold_truth[self.cold_users])

    def warm(self, adapter: Adapter, items: Matrix) -> float:
        """NDCG@20 over the warm items [items, D] alone."""
        users = self.warm_users
        return _ndcg(adapter.user_vectors(users), items, self.warm_truth[users], self.seen[users], self.warm_items)

    def overall(self, adapter: Adapter, warm: Matrix, cold: Matrix) -> float:
        """NDCG@20 over both kinds in one list, for users with held-out meetings of both."""
        users = self.both_users
        truth = hstack([self.warm_truth[users], self.validation.cold_truth[users]], format="csr")
        seen = self.seen[users].copy()
        seen.resize(len(users), truth.shape[1])
        candidates = np.append(self.warm_items, np.ones(len(cold), dtype=np.bool_))
        return _ndcg(adapter.user_vectors(users), np.vstack([warm, cold]), truth, seen, candidates)

    @property
    def beside_warm(self) -> Warm | None:
        """What new items are judged beside; ``None`` where warm lists cannot be judged."""
        return Warm(self.seen, self.warm_truth, self.warm_items) if self.has_warm else None

    @property
    def has_warm(self) -> bool:
        """Whether warm lists can be judged."""
        return len(self.warm_users) > 0


def _ndcg(
    users: Matrix,
    items: Matrix,
    truth: csr_matrix,
    seen: csr_matrix | None = None,
    candidates: Mask | None = None,
) -> float:
    return float(recall_ndcg(rank(users, items, K, seen=seen, candidates=candidates), truth)[1].mean())
