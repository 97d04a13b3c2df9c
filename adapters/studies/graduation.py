"""What new items gain by their first clicks, nothing being retrained."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from adapters.cohort import Cohort, Warm
from adapters.graduation import Lengths, click_weight, graduate
from adapters.graduation_tuning import FEWEST, STEPS
from adapters.space import Adapter, Blocks
from adapters.studies.stage import Finding, Stage
from adapters.validation import take_known
from coldstart.evaluation.intervals import Estimate, estimates
from coldstart.evaluation.protocols import METRICS, Judged, average
from coldstart.evaluation.report import Cell, Lines, Section, Series
from coldstart.vectors import Matrix

_DEPTHS = (10, 30)
_LEAST = 5
"""Clicks left of each item to judge it by."""
_DRAW = 0
"""Seed of which clicks are revealed: the same for every seed of the evaluation, whose figures are averaged by user."""
_LISTS = {"overall": "beside warm items", "alone": "among each other"}
_WAYS = ("content", "clicks", "blend")
_LABELS = {"recall@20": "Recall@20", "ndcg@20": "NDCG@20"}

Curve = tuple[Judged | None, ...]
"""A list judged after each number of clicks; ``None`` where there is no vector."""
Told = tuple[Mapping[str, Estimate] | None, ...]
"""The same as means with their intervals, per metric."""
Figures = Mapping[str, Mapping[str, Told]]
"""Per list and way."""


@dataclass(frozen=True)
class Growth:
    """What a cohort's lists were, click by click.

    Parameters
    ----------
    clicks : tuple of int
        Numbers of clicks, 0 first.
    items, left : int
        Size of the cohort, and the clicks that its lists are judged by.
    weights : tuple of float
        Of the clicks in the blend.
    curves : mapping
        Per list and way.
    """

    clicks: tuple[int, ...]
    items: int
    left: int
    weights: tuple[float, ...]
    curves: Mapping[str, Mapping[str, Curve]]


class Graduation:
    """Lists of new items after n clicks, by content, by clicks, and by both."""

    name = "graduation"

    def measure(self, stage: Stage) -> tuple[Growth, ...] | None:
        """A growth for each depth that enough items reach; ``None`` where they reach none."""
        rows = np.flatnonzero(stage.protocol.cold)
        clicks = take_known(stage.protocol.cold_test, stage.users)[:, rows].tocsr()
        cohorts = [Cohort.draw(clicks, depth=depth, least=_LEAST, seed=_DRAW) for depth in _DEPTHS]
        cohorts = [cohort for cohort in cohorts if len(cohort) >= FEWEST]
        if not cohorts:
            return None
        held_out = take_known(stage.protocol.warm_test, stage.users)[:, stage.items].tocsr()
        warm = Warm(stage.adapter.backbone.clicks, held_out, np.ones(len(stage.items), dtype=np.bool_))
        users = stage.adapter.user_vectors(np.arange(len(stage.adapter.backbone.users)))
        return tuple(
            _grow(
                cohort, stage.adapter, stage.adapter.blocks(stage.contents.take(rows[cohort.items])), users,
                warm if held_out.nnz else None, stage.vectors[1][stage.items],
            )
            for cohort in cohorts
        )  # fmt: skip

    def find(self, measured: Sequence[tuple[Growth, ...]]) -> Finding:
        """Means over users of the per-user means over seeds."""
        growths = tuple(_average(seeds) for seeds in zip(*measured, strict=True))
        figures = [_figures(growth) for growth in growths]
        deepest = growths[-1]
        rows = tuple(
            row for growth, found in zip(growths, figures, strict=True) for row in _rows(growth, found, deepest.clicks)
        )
        sizes = "; ".join(
            f"{growth.items:,} items with {growth.clicks[-1] + _LEAST} clicks or more, judged by {growth.left:,}"
            for growth in growths
        )
        plotted = next(name for name in _LISTS if name in deepest.curves)
        return Finding(
            Section(
                "Graduation: new items as clicks come in",
                "Clicks of new items are revealed in random order, and lists are judged by the others: after every "
                "number of clicks the same items by the same clicks. Frozen vectors stay as they were. By content an "
                "item stays where its text and picture put it; by clicks the mean direction of its users takes the "
                "place of the adapter's vector; the blend weighs the two by n / (n + h), h fitted on validation. "
                f"In the table, by how many clicks at most are revealed: {sizes}.",
                ("", *(f"n = {n}" for n in deepest.clicks)),
                rows,
                Lines("clicks", f"NDCG@20, {_LISTS[plotted]}", _series(deepest, figures[-1][plotted]), log_x=True),
            ),
            {"cohorts": [_document(growth, found) for growth, found in zip(growths, figures, strict=True)]},
        )


def _grow(
    cohort: Cohort, adapter: Adapter, blocks: Blocks, users: Matrix, warm: Warm | None, warm_items: Matrix
) -> Growth:
    """Every list and way of a cohort whose blocks [c] are given."""
    steps = (0, *(n for n in STEPS if n <= cohort.depth))
    clicks_alone, lengths = adapter.with_scales(half=0.0), Lengths.of(adapter)
    both = warm is not None and len(cohort.users(warm)) > 0

    def judge(items: Matrix) -> dict[str, Judged]:
        lists = {"alone": cohort.alone(users, items)}
        if both and warm is not None:
            lists["overall"] = cohort.beside(users, items, warm, warm_items)
        return lists

    cold = judge(adapter.cold_vectors(blocks))
    clicks, blend = (
        [judge(graduate(each, lengths, blocks, cohort.revealed(n))) for n in steps[1:]]
        for each in (clicks_alone, adapter)
    )
    curves: dict[str, dict[str, Curve]] = {
        name: {
            "content": (first,) * len(steps),
            "clicks": (None, *(lists[name] for lists in clicks)),
            "blend": (first, *(lists[name] for lists in blend)),
        }
        for name, first in cold.items()
    }
    weights = click_weight(np.array(steps), adapter.scales.half).tolist()
    return Growth(steps, len(cohort), int(cohort.judged.nnz), tuple(weights), curves)


def _average(seeds: Sequence[Growth]) -> Growth:
    """Per user over the seeds, which all judged the same users."""
    first = seeds[0]

    def averaged(name: str, way: str, place: int) -> Judged | None:
        judged = [each for seed in seeds if (each := seed.curves[name][way][place]) is not None]
        return average(judged) if judged else None

    return Growth(
        first.clicks, first.items, first.left, tuple(np.mean([seed.weights for seed in seeds], axis=0).tolist()),
        {name: {way: tuple(averaged(name, way, place) for place in range(len(first.clicks))) for way in ways}
         for name, ways in first.curves.items()},
    )  # fmt: skip


def _figures(growth: Growth) -> Figures:
    """Means with their intervals, each list resampled once however often it stands in the curves."""
    judged = {id(each): each for ways in growth.curves.values() for curve in ways.values() for each in curve if each}
    found = {key: estimates(each) for key, each in judged.items()}
    return {
        name: {way: tuple(found.get(id(each)) for each in curve) for way, curve in ways.items()}
        for name, ways in growth.curves.items()
    }


def _rows(growth: Growth, figures: Figures, clicks: Sequence[int]) -> list[tuple[Cell, ...]]:
    """A row per list, metric and way; nothing where a cohort is not as deep as the table."""
    missing = (None,) * (len(clicks) - len(growth.clicks))
    depth = f"up to {growth.clicks[-1]}"
    rows: list[tuple[Cell, ...]] = [
        (f"{depth}: {_LABELS[metric]} {_LISTS[name]}, by {way}", *_cells(figures[name][way], metric), *missing)
        for name in _LISTS if name in figures for metric in METRICS for way in _WAYS
    ]  # fmt: skip
    return [*rows, (f"{depth}: weight of the clicks", *growth.weights, *missing)]


def _cells(curve: Told, metric: str) -> list[Cell]:
    cells: list[Cell] = []
    for found in curve:
        if found is None:
            cells.append(None)
            continue
        mean, interval = found[metric].mean, found[metric].interval
        cells.append(f"{mean:.3f}" + ("" if interval is None else f" [{interval.low:.3f}, {interval.high:.3f}]"))
    return cells


def _series(growth: Growth, ways: Mapping[str, Told]) -> tuple[Series, ...]:
    """NDCG over clicks, a line a way."""
    lines = []
    for way in _WAYS:
        told = zip(growth.clicks, ways[way], strict=True)
        found = [(n, each["ndcg@20"]) for n, each in told if each is not None]
        lines.append(
            Series(
                way, tuple(each.mean for _, each in found), x=tuple(float(n) for n, _ in found),
                bounds=tuple(None if (i := each.interval) is None else (i.low, i.high) for _, each in found),
            )
        )  # fmt: skip
    return tuple(lines)


def _document(growth: Growth, figures: Figures) -> dict[str, Any]:
    def figure(found: Estimate) -> dict[str, Any]:
        interval = found.interval
        return {
            "mean": round(found.mean, 5),
            "interval": None if interval is None else [round(interval.low, 5), round(interval.high, 5)],
        }

    return {
        "items": growth.items,
        "judged_clicks": growth.left,
        "clicks": list(growth.clicks),
        "weights": [round(weight, 4) for weight in growth.weights],
        **{
            name: {
                way: [None if each is None else {metric: figure(each[metric]) for metric in METRICS}
                      for each in curve]
                for way, curve in ways.items()
            } for name, ways in figures.items()
        },
    }  # fmt: skip
