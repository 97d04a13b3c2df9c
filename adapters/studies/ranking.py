"""What NeuMF's second look at retrieved candidates is worth, list by list."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from adapters.baselines import scatter
from adapters.ranking import Perceptron, Retrieved, gains, item_embeddings
from adapters.report import LIST_TITLES, METRIC_LABELS, format_difference
from adapters.results import Lists
from adapters.studies.stage import Finding, Stage
from coldstart.backbones.ranker import NeuMFRanker
from coldstart.backbones.reranking import POOL, RankWeights
from coldstart.evaluation.intervals import Estimate, differences, estimate
from coldstart.evaluation.metrics import recall_ndcg
from coldstart.evaluation.protocols import LISTS, METRICS, Judged, Protocol, average
from coldstart.evaluation.report import Cell, Lines, Section, Series
from coldstart.vectors import Rows

_USERS = 1500
"""Users sampled for the curves, as for the choice itself."""
Curve = Mapping[float, Estimate]
"""Per weight, the gain in NDCG@20."""


@dataclass(frozen=True)
class Reranked:
    """One seed: every list as retrieved and as ranked again, and what was to be gained on validation lists.

    Parameters
    ----------
    weights : RankWeights
        What validation granted the ranker.
    curves : mapping
        Per kind of item, the gain on its own validation list by the ranker's weight.
    """

    weights: RankWeights
    before: Lists
    after: Lists
    curves: Mapping[str, Curve]


class Ranking:
    """Retrieval alone against NeuMF's order of its first 100; for a NeuMF backbone."""

    name = "ranking"

    def measure(self, stage: Stage) -> Reranked | None:
        """Both orders of every list; ``None`` for a backbone without a perceptron."""
        if stage.adapter.backbone.kind != "neumf":
            return None
        perceptron, weights = _perceptron(stage), stage.adapter.ranker
        before, after, curves = {}, {}, {}
        for name in LISTS:
            if len(users := stage.protocol.users(name)):
                found, truth = _retrieve(stage, perceptron, stage.protocol, name)
                before[name] = _judged(users, found, truth, RankWeights())
                after[name] = _judged(users, found, truth, weights)
        validation = stage.validation.sampled(_USERS, seed=stage.seed)
        for kind in ("cold", "warm"):
            if len(validation.users(kind)):
                found, truth = _retrieve(stage, perceptron, validation, kind)
                curves[kind] = {weight: estimate(gain) for weight, gain in gains(found, truth, kind).items()}
        return Reranked(weights, before, after, curves)

    def find(self, measured: Sequence[Reranked]) -> Finding:
        """Means over users, paired, after averaging each user's metrics over the seeds."""
        names = tuple(measured[-1].before)
        found = {name: _compare([each.before[name] for each in measured], [each.after[name] for each in measured])
                 for name in names}  # fmt: skip
        says = {"cold": [each.weights.cold for each in measured], "warm": [each.weights.warm for each in measured]}
        rows: list[tuple[Cell, ...]] = [
            (f"{LIST_TITLES[name]}, {METRIC_LABELS[metric]}", before, after, format_difference(difference))
            for name, metrics in found.items() for metric, (before, after, difference) in metrics.items()
        ]  # fmt: skip
        section = Section(
            "NeuMF ranks again",
            f"An inner product, which the GMF tower is, retrieves a user's first {POOL} candidates; NeuMF's other "
            "tower, a perceptron, then looks at them once more. A new item's embedding in it is borrowed from the "
            "item's neighbours. What it adds to the logits, standardised among the candidates of a kind, is added to "
            "the served scores with a weight that the kind's own validation list chose; it is kept only where the "
            "interval of the gain lies above zero.\n\n"
            f"Weight granted on cold items: {_listed(says['cold'])}; on warm items: {_listed(says['warm'])}. The "
            "curves show what each weight would gain on the validation lists (last seed).",
            ("", "retrieved", "ranked again", "difference"),
            tuple(rows),
            _plot(measured[-1].curves),
        )
        return Finding(section, {
            "candidates": POOL,
            "weights": says,
            "kept": {kind: any(weights) for kind, weights in says.items()},
            "validation": {
                kind: {f"{weight:g}": _document(gain) for weight, gain in curve.items()}
                for kind, curve in measured[-1].curves.items()
            },
            **{
                name: {
                    metric: {"retrieved": round(before, 5), "ranked": round(after, 5), "difference": _document(each)}
                    for metric, (before, after, each) in metrics.items()
                }
                for name, metrics in found.items()
            },
        })  # fmt: skip


def _perceptron(stage: Stage) -> Perceptron:
    """The backbone's MLP tower in the data set's rows."""
    ranker = NeuMFRanker.from_backbone(stage.adapter.backbone)
    n_users, n_items = stage.protocol.train.shape
    own = np.full(n_items, -1)
    own[stage.items[stage.items >= 0]] = np.flatnonzero(stage.items >= 0)
    items = item_embeddings(stage.adapter, ranker, stage.contents, own)
    return Perceptron(ranker, scatter(ranker.users, stage.users, n_users), items, own < 0)


def _retrieve(stage: Stage, perceptron: Perceptron, protocol: Protocol, name: str) -> tuple[Retrieved, csr_matrix]:
    """Candidates and held-out items [n, items] of the users that a list is judged for."""
    users = protocol.users(name)
    truth = {"cold": protocol.cold_test, "warm": protocol.warm_test, "overall": protocol.cold_test + protocol.warm_test}
    found = perceptron.retrieve(
        users, stage.vectors[0][users], stage.vectors[1], seen=protocol.train[users],
        candidates=protocol.candidates(name),
    )  # fmt: skip
    return found, truth[name][users]


def _judged(users: Rows, found: Retrieved, truth: csr_matrix, weights: RankWeights) -> Judged:
    return Judged(users, *recall_ndcg(found.ranked(weights), truth))


def _compare(before: Sequence[Judged], after: Sequence[Judged]) -> dict[str, tuple[float, float, Estimate]]:
    """Per metric: both means over users, and the paired difference."""
    one, two = average(before), average(after)
    paired = differences(two, one)
    return {
        metric: (float(one.values[metric].mean()), float(two.values[metric].mean()), paired[metric])
        for metric in METRICS
    }


def _plot(curves: Mapping[str, Curve]) -> Lines | None:
    series = tuple(
        Series(
            f"{kind} items", tuple(gain.mean for gain in curve.values()), x=tuple(curve),
            bounds=tuple(None if e.interval is None else (e.interval.low, e.interval.high) for e in curve.values()),
        )
        for kind, curve in curves.items()
    )  # fmt: skip
    return Lines("NeuMF's weight beside the served score", "gain in NDCG@20", series) if series else None


def _listed(weights: Sequence[float]) -> str:
    return ", ".join(f"{weight:g}" if weight else "none" for weight in dict.fromkeys(weights))


def _document(found: Estimate) -> dict[str, Any]:
    interval = found.interval
    bounds = None if interval is None else [round(interval.low, 5), round(interval.high, 5)]
    return {"mean": round(found.mean, 5), "interval": bounds}
