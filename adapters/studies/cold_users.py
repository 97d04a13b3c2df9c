"""Users whom the backbone never met: what nothing, a sentence and a few of their clicks are worth."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial

import numpy as np
from scipy.sparse import csr_matrix

from adapters.folding import Folding
from adapters.studies.cold_users_report import tell
from adapters.studies.newcomers import Newcomers, hold_out_users
from adapters.studies.stage import Finding, Stage
from adapters.studies.stated import popular_by_attribute
from coldstart.evaluation.histories import draw_histories
from coldstart.evaluation.metrics import rank, recall_ndcg
from coldstart.evaluation.protocols import Judged, K, average
from coldstart.users import folding
from coldstart.vectors import Matrix, Rows, Vector

CLICKS = (1, 3, 5, 10)
ALL = -1
"""Stands for all training clicks where clicks are counted."""
_DRAWS = 3
"""Random choices of the clicks that are shown, averaged per user."""

Curve = Mapping[int, Judged]
"""Per number of clicks shown, each user's metrics."""
Queries = Callable[[Sequence[Rows]], Matrix]
"""From clicked item rows of each user to query vectors [n, D]."""


@dataclass(frozen=True)
class Measured:
    """One seed.

    Parameters
    ----------
    curves : mapping
        Per method, its curve.
    folding : Folding
        What other users' validation clicks chose.
    history : int
        Median number of a user's training clicks.
    attribute : str, optional
        The declared column that a newcomer states a value of.
    """

    curves: Mapping[str, Curve]
    folding: Folding
    history: int
    attribute: str | None


class ColdUsers:
    """Fold-in from 0, 1, 3, 5, 10 and all clicks of held-out users, against a full retrain."""

    name = "cold-users"

    def measure(self, stage: Stage) -> Measured | None:
        """The first seed alone: it trains one more backbone. ``None`` there where too few users have clicks enough."""
        if stage.seed:
            return _LATER
        people = hold_out_users(stage)
        if people is None:
            return None
        methods = _methods(people)
        curves = {name: _curve(people, *method) for name, method in methods.items()}
        histories = draw_histories(people.clicks, None, seed=stage.seed)
        popularity = people.degrees
        stated = popular_by_attribute(stage.dataset.items.attributes, popularity, histories)
        everyone = np.ones((len(people.users), 1), np.float32)
        curves["popular"] = {0: _judge(people, everyone, popularity[:, None])}
        if stated is not None:
            curves["stated"] = {0: _judge(people, stated.users, stated.items)}
        curves["retrained"] = {ALL: _judge(people, stage.vectors[0][people.users], stage.vectors[1])}
        curves["strict"] = _curve(people, *methods["served"], strict=True)
        if people.new.nnz:
            curves["new items"] = _curve(people, *methods["served"], new=True)
        length = int(np.median(np.diff(people.clicks.indptr)))
        return Measured(curves, people.adapter.folding, length, None if stated is None else stated.attribute)

    def find(self, measured: Sequence[Measured]) -> Finding:
        """What the first seed says."""
        first = measured[0]
        return tell(first.curves, asdict(first.folding), history=first.history, attribute=first.attribute)


_LATER = Measured({}, Folding(), 0, None)
"""A seed that was not asked."""


def _methods(people: Newcomers) -> dict[str, tuple[Matrix, Queries]]:
    """Per method, the item vectors [items, D] that it ranks, and how it makes a user of clicks."""
    adapter, frozen, degrees = people.adapter, people.frozen, people.degrees
    likeness, contrast = adapter.priors
    confidence = adapter.folding.confidence

    def each(items: Matrix, fold: Callable[[Matrix], Vector]) -> tuple[Matrix, Queries]:
        return items, lambda histories: np.stack([fold(items[rows]) for rows in histories])

    return {
        "mean": each(frozen, folding.mean),
        "mean direction": each(frozen, folding.mean_direction),
        "propagation": (
            frozen, lambda histories: np.stack([folding.propagate(frozen[rows], degrees[rows]) for rows in histories])
        ),
        "ridge": each(frozen, lambda clicked: folding.ridge(clicked, contrast, confidence=confidence)),
        "known users": each(frozen, lambda clicked: folding.ridge(clicked, likeness, confidence=1.0)),
        "sentence": (people.served, partial(_sentences, people)),
        "served": each(people.served, adapter.fold_in),
    }  # fmt: skip


def _sentences(people: Newcomers, histories: Sequence[Rows]) -> Matrix:
    """Queries from the mean text embedding of the clicked items: what a sentence that names them all would say."""
    texts = np.stack([people.texts[rows].mean(axis=0) for rows in histories])
    return people.adapter.text_queries(texts)


def _curve(
    people: Newcomers, items: Matrix, queries: Queries, *, strict: bool = False, new: bool = False
) -> dict[int, Judged]:
    """A method judged after each number of clicks, over several draws of which they are."""
    curve = {}
    for k in (*CLICKS, ALL):
        judged = []
        for draw in range(1 if k == ALL else _DRAWS):
            histories = draw_histories(people.clicks, None if k == ALL else k, seed=draw)
            shown = _rows_matrix(histories, people.clicks.shape[1]) if strict else people.clicks
            judged.append(_judge(people, queries(histories), items, shown=shown, new=new))
        curve[k] = average(judged)
    return curve


def _judge(
    people: Newcomers, queries: Matrix, items: Matrix, *, shown: csr_matrix | None = None, new: bool = False
) -> Judged:
    """Recall@20 and NDCG@20 of the held-out clicks, without the training clicks (or those ``shown`` [n, items])."""
    truth, candidates = (people.new, people.cold) if new else (people.truth, people.warm)
    has = np.flatnonzero(np.diff(truth.indptr))
    ranked = rank(queries[has], items, K, seen=(people.clicks if shown is None else shown)[has], candidates=candidates)
    return Judged(people.users[has], *recall_ndcg(ranked, truth[has]))


def _rows_matrix(histories: Sequence[Rows], n_items: int) -> csr_matrix:
    """Ones at each user's items, csr [n, items]."""
    ends = np.cumsum([0, *(len(rows) for rows in histories)])
    return csr_matrix((np.ones(ends[-1], np.float32), np.concatenate(histories), ends), shape=(len(histories), n_items))
