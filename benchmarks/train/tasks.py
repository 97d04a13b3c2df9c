"""What is trained on and judged by: full rankings of warm items, and one held-out click of each user among 100."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix

from coldstart.backbones.sampling import Sampler
from coldstart.dataset import Dataset, Interactions, read_dataset
from coldstart.evaluation.metrics import rank, recall_ndcg
from coldstart.splits import Split, read_split
from coldstart.vectors import Matrix, Rows, Vector

K, HIT_K, OTHERS = 20, 10, 99
_USERS = 500  # judged at once


@dataclass(frozen=True)
class Ranking:
    """The warm part of a split.

    Parameters
    ----------
    train, validation, test : csr [users, items]
        Ones; users and items are those of the training part, as a backbone's rows are.
    """

    dataset: Dataset
    split: Split
    train: csr_matrix
    validation: csr_matrix
    test: csr_matrix

    def recall(self, users: Matrix, items: Matrix) -> float:
        """Recall@20 among all items but those of training, as vectors [users, d], [items, d] rank them."""
        who = np.flatnonzero(np.diff(self.test.indptr))
        ranked = rank(users[who], items, K, seen=self.train[who])
        return float(recall_ndcg(ranked, self.test[who])[0].mean())


def read_ranking(data: Path, split: str) -> Ranking:
    """The warm parts of a published split."""
    dataset = read_dataset(data)
    parts = read_split(dataset, split)
    users, shape = np.unique(parts.train.user_rows), (len(dataset.users), len(dataset.items))
    warm = (p.matrix(*shape)[users][:, parts.warm_items] for p in (parts.train, parts.warm_val, parts.warm_test))
    return Ranking(dataset, parts, *warm)


@dataclass(frozen=True)
class LeaveOneOut:
    """Each user's clicks but two, of which one is to choose by and one to judge by (He et al. 2017).

    Parameters
    ----------
    shape : (int, int)
        Users and items.
    users : int64 [n]
        Those with a test click.
    candidates : int64 [n, 100]
        The test click first, then items that the user has not met in any part.
    """

    train: Interactions
    validation: Interactions
    shape: tuple[int, int]
    users: Rows
    candidates: Rows

    def hit_rate(self, score: Callable[[Rows, Rows], Vector]) -> float:
        """HR@10: how often the test click is among the first 10; ``score`` makes scores [n] of users and items [n]."""
        width, hits = self.candidates.shape[1], 0
        for part in np.array_split(np.arange(len(self.users)), -(-len(self.users) // _USERS)):
            rows = self.candidates[part]
            scores = score(np.repeat(self.users[part], width), rows.ravel()).reshape(rows.shape)
            hits += int(((scores[:, 1:] >= scores[:, :1]).sum(axis=1) < HIT_K).sum())
        return hits / len(self.users)


def leave_one_out(data: Path, *, every: int = 1, seed: int = 0) -> LeaveOneOut:
    """Two clicks of each user drawn at random: the data set has no timestamps. Of every n-th user alone, where told."""
    dataset = read_dataset(data)
    clicks, shape = dataset.interactions, (-(-len(dataset.users) // every), len(dataset.items))
    clicks = clicks.take(clicks.user_rows % every == 0)
    clicks = replace(clicks, user_rows=clicks.user_rows // every)
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(clicks))
    order = order[np.argsort(clicks.user_rows[order], kind="stable")]
    place = np.arange(len(order)) - np.searchsorted(clicks.user_rows[order], clicks.user_rows[order])
    enough = np.bincount(clicks.user_rows, minlength=shape[0])[clicks.user_rows[order]] > 2
    parts = np.where(enough & (place < 2), place, 2)
    test, validation, train = (clicks.take(np.sort(order[parts == part])) for part in range(3))
    others = Sampler(clicks.matrix(*shape)).draw(np.repeat(test.user_rows, OTHERS), generator).reshape(-1, OTHERS)
    return LeaveOneOut(
        train, validation, shape, test.user_rows, np.concatenate([test.item_rows[:, None], others], axis=1)
    )
