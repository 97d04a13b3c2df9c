"""NeuMF beside its adapter: it looks again at what served vectors retrieved, items it has never seen included."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from adapters.content import Contents
from adapters.space import Adapter
from adapters.validation import Judge, K
from coldstart.backbones.ranker import NeuMFRanker
from coldstart.backbones.reranking import POOL, RankWeights, rerank
from coldstart.evaluation.intervals import estimate
from coldstart.evaluation.metrics import Metric, rank, recall_ndcg
from coldstart.vectors import Mask, Matrix, Rows

_WEIGHTS = (0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.8)
"""Of the ranker's say, 1 being as much as the served scores'."""
_LEAST_GAIN = 2e-3
"""In NDCG@20: the best of several weights seems to gain half of that by chance, and a second look takes time."""
_BATCH = 256
"""Users whose candidates are scored at once."""


@dataclass(frozen=True)
class Retrieved:
    """What served vectors retrieve for n users, and what the ranker says of it.

    Parameters
    ----------
    rows : int64 [n, k]
        Items, best first, -1 for an empty place.
    scores, logits : float32 [n, k]
        Minus infinity in an empty place.
    cold : bool [n, k]
    """

    rows: Rows
    scores: Matrix
    logits: Matrix
    cold: Mask

    def ranked(self, weights: RankWeights) -> Rows:
        """The first 20 items [n, 20] by both opinions."""
        order = np.argsort(-rerank(self.scores, self.logits, self.cold, weights), axis=1, kind="stable")
        return np.take_along_axis(self.rows, order[:, :K], axis=1)

    def ndcg(self, truth: csr_matrix, weights: RankWeights) -> Metric:
        """NDCG@20 of each user with a true item; ``truth`` is [n, items]."""
        return recall_ndcg(self.ranked(weights), truth)[1]


@dataclass(frozen=True)
class Perceptron:
    """NeuMF's MLP tower with its embeddings of users and items, in the rows of whatever is ranked.

    The GMF tower is not asked: its say is in the served scores already.

    Parameters
    ----------
    users, items : float32 [users, mlp_d], [items, mlp_d]
    cold : bool [items]
        Items that the NeuMF has not seen.
    """

    ranker: NeuMFRanker
    users: Matrix
    items: Matrix
    cold: Mask

    def retrieve(
        self, users: Rows, queries: Matrix, vectors: Matrix, *,
        seen: csr_matrix | None = None, candidates: Mask | None = None,
    ) -> Retrieved:  # fmt: skip
        """The `POOL` best items for n users, with both opinions on them.

        Parameters
        ----------
        users : int64 [n]
        queries, vectors : float32 [n, D], [items, D]
            Of these users and of all items, in the served space.
        seen : csr [n, items], optional
        candidates : bool [items], optional
        """
        rows = rank(queries, vectors, POOL, seen=seen, candidates=candidates)
        scores, logits = np.empty(rows.shape, np.float32), np.empty(rows.shape, np.float32)
        for start in range(0, len(users), _BATCH):
            part = slice(start, start + _BATCH)
            found = rows[part]
            scores[part] = (vectors[found] @ queries[part, :, None])[..., 0]
            asked = np.repeat(self.users[users[part]], found.shape[1], axis=0)
            logits[part] = self.ranker.perceptron(asked, self.items[found.ravel()]).reshape(found.shape)
        empty = rows < 0
        scores[empty] = logits[empty] = -np.inf
        return Retrieved(rows, scores, logits, self.cold[rows] & ~empty)


def item_embeddings(adapter: Adapter, ranker: NeuMFRanker, contents: Contents, own_rows: Rows) -> Matrix:
    """The MLP tower's embeddings of n items [n, mlp_d]: their own, or borrowed from their neighbours.

    Parameters
    ----------
    contents : Contents [n]
    own_rows : int64 [n]
        Rows in the backbone, -1 for cold items.
    """
    cold = np.flatnonzero(own_rows < 0)
    embeddings = ranker.items[own_rows]
    if len(cold):
        embeddings[cold] = adapter.borrow(ranker.items, contents.take(cold))
    return embeddings


def calibrate_ranking(adapter: Adapter, judge: Judge) -> Adapter:
    """The say in the order of cold and of warm items that validation grants the ranker, each on a list of its own.

    Only a NeuMF has a ranker. It keeps a say where the gain in NDCG@20 is worth a second look, and more than the luck
    of which users were asked.
    """
    if adapter.backbone.kind != "neumf":
        return adapter
    ranker, validation = NeuMFRanker.from_backbone(adapter.backbone), judge.validation
    contents, users = validation.contents, judge.cold_users
    borrowed = item_embeddings(adapter, ranker, contents, np.full(len(contents), -1))
    cold = Perceptron(ranker, ranker.users, borrowed, np.ones(len(contents), np.bool_)).retrieve(
        users, adapter.user_vectors(users), adapter.cold_vectors(adapter.blocks(judge.cold_items))
    )
    adapter = adapter.with_scales(cold_ranker=_say(cold, validation.cold_truth[users], "cold"))
    if not judge.has_warm:
        return adapter
    users, rows = judge.warm_users, np.arange(len(adapter.backbone.items))
    warm = Perceptron(ranker, ranker.users, ranker.items, np.zeros(len(rows), np.bool_)).retrieve(
        users, adapter.user_vectors(users), adapter.warm_vectors(rows, adapter.own_blocks),
        seen=judge.seen[users], candidates=judge.warm_items,
    )  # fmt: skip
    return adapter.with_scales(warm_ranker=_say(warm, judge.warm_truth[users], "warm"))


def gains(found: Retrieved, truth: csr_matrix, kind: str) -> dict[float, Metric]:
    """What each weight of the ranker on items of a kind adds to each user's NDCG@20; ``truth`` is [n, items]."""
    alone = found.ndcg(truth, RankWeights())
    return {weight: found.ndcg(truth, RankWeights(**{kind: weight})) - alone for weight in _WEIGHTS}


def _say(found: Retrieved, truth: csr_matrix, kind: str) -> float:
    """The weight with the largest gain; 0 unless that is worth it and its interval above 0."""
    tried = gains(found, truth, kind)
    best = max(tried, key=lambda weight: tried[weight].mean())
    gain = estimate(tried[best])
    return best if gain.mean > _LEAST_GAIN and gain.interval is not None and gain.interval.low > 0 else 0.0
