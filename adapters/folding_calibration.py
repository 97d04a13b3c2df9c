"""Fits the scalars of the fold-in on known users: a few of their training clicks against their held-out ones."""

from dataclasses import replace

import numpy as np
from scipy.sparse import csr_matrix

from adapters.calibration import best
from adapters.folding import Folds
from adapters.space import Adapter
from adapters.validation import K
from coldstart.evaluation.histories import draw_histories
from coldstart.evaluation.metrics import rank, recall_ndcg
from coldstart.vectors import Matrix

CLICKS = (1, 3, 5, 10)
"""How many clicks of a user are shown, beside all of them."""
_USERS = 500
_PATIENCE = (0.0, 2.0, 5.0, 10.0, 30.0)
_CONFIDENCE = (1.0, 3.0, 10.0, 30.0)
_CONTENT = (0.0, 0.5, 1.0, 1.5, 2.0)


def calibrate_folding(adapter: Adapter, truth: csr_matrix, *, seed: int) -> Adapter:
    """The adapter with the fold-in that finds the held-out clicks [users, items] best, on average over 1 to all clicks.

    The frozen item vectors have met the clicks that are shown, as clicks of the same user, but not those to be found.
    Users with fewer than ten training clicks are left out; without any others, the scalars stay as they are.
    """
    clicks = adapter.backbone.clicks
    able = np.flatnonzero((np.diff(clicks.indptr) >= max(CLICKS)) & (np.diff(truth.indptr) > 0))
    if not len(able):
        return adapter
    users = np.sort(np.random.default_rng(seed).permutation(able)[:_USERS])
    rows = np.arange(len(adapter.backbone.items))
    items = adapter.warm_vectors(rows, adapter.own_blocks)
    seen, wanted = clicks[users], truth[users]
    histories = [draw_histories(seen, k, seed=seed) for k in (*CLICKS, None)]

    def parts(changed: Adapter) -> list[Folds]:
        return [changed.folds([items[rows] for rows in history]) for history in histories]

    def score(changed: Adapter, folds: list[Folds]) -> float:
        return float(np.mean([_found(changed.join(part), items, seen, wanted) for part in folds]))

    def chosen(adapter: Adapter, name: str, grid: tuple[float, ...], folds: list[Folds] | None = None) -> Adapter:
        def changed(value: float) -> Adapter:
            return replace(adapter, folding=replace(adapter.folding, **{name: value}))

        def score_of(value: float) -> float:
            other = changed(value)
            return score(other, parts(other) if folds is None else folds)

        return changed(best(grid, score_of, start=getattr(adapter.folding, name)))

    folds = parts(adapter)
    adapter = chosen(adapter, "content", _CONTENT, folds)
    adapter = chosen(adapter, "patience", _PATIENCE, folds)
    return chosen(adapter, "confidence", _CONFIDENCE)


def _found(queries: Matrix, items: Matrix, seen: csr_matrix, truth: csr_matrix) -> float:
    """Mean of Recall@20 and NDCG@20 over the users, none of whose training clicks is a candidate."""
    recall, ndcg = recall_ndcg(rank(queries, items, K, seen=seen), truth)
    return float((recall.mean() + ndcg.mean()) / 2)
