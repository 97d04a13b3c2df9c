"""An evaluation as a report: protocol in words, a table per list, what the adapter learned, what others measured."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from adapters.results import Evaluation, Figure
from coldstart.evaluation.displacement import Displacement
from coldstart.evaluation.intervals import Estimate, Interval
from coldstart.evaluation.protocols import DEEP_RECALL, LISTS, METRICS
from coldstart.evaluation.report import ABSENT, Bars, Cell, Lines, Report, Section, Series

LABELS = {
    "adapter": "with adapter",
    "backbone": "backbone alone",
    "popularity": "popularity",
    "neighbours": "mean of neighbours",
    "ridge": "ridge on content",
    "content-knn": "content k-NN",
}
"""What the methods are called where people read."""
METRIC_LABELS = {"recall@20": "Recall@20", "ndcg@20": "NDCG@20", DEEP_RECALL: "Recall@100"}
LIST_TITLES = {"cold": "Cold items alone", "warm": "Warm items alone", "overall": "All items in one list"}
_GATE_BINS = 10

_PROTOCOL = """Every list ranks all its candidates in full, by the inner product of a user and an item vector, without
 the items that the user met in training; nothing is sampled. Recall@20 is the share of a user's held-out items among
 the first 20, NDCG@20 also asks how far up they are; both are means over users. Everything that can be
 chosen was chosen on validation clicks; the clicks that are judged here were looked at when nothing was left to
 choose.""".replace("\n", "")
_LIST_TEXTS = {
    "cold": "Candidates are the items that no training click touches, for the users with a held-out click on one. "
    "The backbone has no vector for them, hence no list.",
    "warm": "Candidates are the items with training clicks, for the users with a held-out click on one.",
    "overall": "Candidates are warm and cold items together, for the users with held-out clicks of both kinds. "
    "Here a method must also know how a new item compares with a known one.",
}


def make_report(evaluation: Evaluation) -> Report:
    """Everything that an evaluation found, for people."""
    seeds = len(evaluation.runs)
    repeated = (
        f"Figures are means over {seeds} seeds ± their standard deviation. " if seeds > 1 else "One seed was trained. "
    )
    return Report(
        title=f"Cold start on {evaluation.dataset}",
        text=f"{_PROTOCOL}\n\n{repeated}In brackets: the interval that holds 95 % of the means when users are drawn "
        "anew (percentile bootstrap, 1,000 times). The last columns compare user by user, which says more than two "
        "overlapping intervals: where such an interval lies above zero, the adapter's lead is no luck of the draw.",
        facts=_facts(evaluation),
        sections=tuple(
            section
            for section in (
                _overview(evaluation),
                *(_list(evaluation, name) for name in LISTS if any(name in f for f in evaluation.figures.values())),
                displaced(evaluation),
                *(finding.section for finding in evaluation.findings.values()),
                _curve(evaluation),
                _gates(evaluation),
                _chosen(evaluation),
            )
            if section is not None
        ),
    )


def label(method: str) -> str:
    """What a method is called where people read."""
    return LABELS.get(method, method)


def format_figure(figure: Figure, *, seeds: int) -> str:
    """Mean, deviation over seeds where there are several, interval over users.

    >>> format_figure(Figure(0.4021, 0.001, Interval(0.391, 0.413)), seeds=3)
    '0.402 ± 0.001 [0.391, 0.413]'
    """
    deviation = f" ± {figure.std:.3f}" if seeds > 1 else ""
    return f"{figure.mean:.3f}{deviation}{_bounds(figure.interval)}"


def format_difference(found: Estimate | None) -> str:
    """A signed mean with its interval.

    >>> format_difference(Estimate(0.02, Interval(0.01, 0.03)))
    '+0.020 [+0.010, +0.030]'
    """
    if found is None:
        return ABSENT
    return f"{found.mean:+.3f}{_bounds(found.interval, sign='+')}"


def list_table(
    evaluation: Evaluation, name: str, *, leads: Sequence[str] = METRICS
) -> tuple[tuple[str, ...], tuple[tuple[Cell, ...], ...]]:
    """Columns and rows of one list: each method's metrics, and the adapter's lead over it in those of ``leads``."""
    metrics = [*METRICS, *([DEEP_RECALL] if name == "cold" else [])]
    columns = (
        "method",
        *(METRIC_LABELS[m] for m in metrics),
        *(f"adapter's lead, {METRIC_LABELS[m]}" for m in leads),
    )
    rows: list[tuple[Cell, ...]] = []
    for method, lists in evaluation.figures.items():
        paired = evaluation.differences.get(method, {}).get(name, {})
        if name not in lists:
            rows.append((label(method), *(None for _ in columns[1:])))
            continue
        figures = (format_figure(lists[name][m], seeds=len(evaluation.runs)) for m in metrics)
        rows.append((label(method), *figures, *(format_difference(paired.get(m)) for m in leads)))
    return columns, tuple(rows)


def tell_displacement(found: Displacement) -> str:
    """What cold items did to the warm ones beside them, in a sentence."""
    return (
        f"{found.cold_share:.1%} of the first 20 places hold cold items; of the warm items in the others, "
        f"{found.kept:.1%} are those that the backbone alone puts first, and {found.ordered:.1%} of their pairs stand "
        "in its order"
    )


def displaced(evaluation: Evaluation) -> Section | None:
    """What the adapter does to warm items; ``None`` where no list holds both kinds."""
    found = evaluation.displacement
    if found is None:
        return None
    leads = evaluation.differences["backbone"].get("warm", {})
    rows: list[tuple[Cell, ...]] = [
        (f"{METRIC_LABELS[m]} of the warm list, adapter minus backbone", format_difference(leads.get(m)))
        for m in METRICS
    ]
    rows += [
        ("places of the overall list held by cold items", f"{found.cold_share:.1%}"),
        ("warm items in the others that the backbone alone puts first", f"{found.kept:.1%}"),
        ("pairs of them in the backbone's order", f"{found.ordered:.1%}"),
    ]
    return Section(
        "What happens to warm items",
        "The backbone stays as it was, byte for byte. If c of a user's first 20 places go to cold items and nothing "
        "else changes, the other 20 - c hold the first 20 - c of the backbone's own list, in its order. How close to "
        "that the lists are, as means over users:",
        ("", "figure"),
        tuple(rows),
    )


def _facts(evaluation: Evaluation) -> tuple[tuple[str, Cell], ...]:
    last = evaluation.runs[-1]
    users = {name: len(each.users) for name, each in evaluation.pooled["adapter"].items()}
    same = "unchanged" if last.sha256_before == last.sha256_after else f"changed, now {last.sha256_after}"
    return (
        ("data set", evaluation.dataset),
        ("split", evaluation.split),
        ("content", " and ".join(evaluation.modalities)),
        *([("pictures left out", f"{evaluation.lost_pictures:.0%}")] if evaluation.lost_pictures else []),
        ("backbone", evaluation.backbone),
        ("users judged", ", ".join(f"{name} {n:,}" for name, n in users.items())),
        ("trained parameters", f"{last.adapter_parameters:,} of the adapter, {last.backbone_parameters:,} of the "
                               f"backbone ({last.adapter_parameters / last.backbone_parameters:.1%})"),
        ("backbone's SHA-256", f"{last.sha256_before}, {same} after training the adapter"),
        ("seeds", ", ".join(str(seed) for seed in range(len(evaluation.runs)))),
        ("seconds", ", ".join(f"{name} {value}" for name, value in evaluation.seconds.items())),
    )  # fmt: skip


def _overview(evaluation: Evaluation) -> Section:
    names = tuple(name for name in LISTS if name in evaluation.figures["adapter"])

    def bars(method: str) -> Series:
        found = [evaluation.figures[method].get(name, {}).get("ndcg@20") for name in names]
        return Series(
            label(method),
            tuple(None if each is None else each.mean for each in found),
            bounds=tuple(_pair(each) for each in found),
        )

    return Section(
        "Methods side by side",
        "NDCG@20 of each list; thin lines are the intervals.",
        plot=Bars("NDCG@20", names, tuple(bars(method) for method, lists in evaluation.figures.items() if lists)),
    )


def _list(evaluation: Evaluation, name: str) -> Section:
    columns, rows = list_table(evaluation, name)
    return Section(LIST_TITLES[name], _LIST_TEXTS[name], columns, rows, emphasis=label("adapter"))


def _curve(evaluation: Evaluation) -> Section:
    runs = evaluation.runs
    rows: list[tuple[Cell, ...]] = [
        (f"seed {seed}, epoch {epoch.number}", None if np.isnan(epoch.loss) else epoch.loss, epoch.cold_ndcg,
         "kept" if epoch.kept else None)
        for seed, run in enumerate(runs) for epoch in run.curve
    ]  # fmt: skip
    series = tuple(
        Series(
            f"seed {seed}", tuple(epoch.cold_ndcg for epoch in run.curve),
            x=tuple(float(epoch.number) for epoch in run.curve),
        )
        for seed, run in enumerate(runs)
    )  # fmt: skip
    return Section(
        "How the adapter learned",
        "NDCG@20 after each epoch, over the items held out as cold to tune on. Epoch 0 is the closed form that "
        "training starts from; a later epoch is kept only where it is clearly better.",
        ("", "training loss", "validation NDCG@20", "kept"),
        tuple(rows),
        Lines("epoch", "cold NDCG@20", series),
    )


def _gates(evaluation: Evaluation) -> Section | None:
    """How much each modality weighs; ``None`` where items have one modality, whose weight is 1 by definition."""
    if len(evaluation.modalities) < 2:
        return None
    gates = np.concatenate([run.gates for run in evaluation.runs])
    edges = np.linspace(0, 1, _GATE_BINS + 1)
    names = evaluation.runs[-1].modalities
    shares = [np.histogram(gates[:, n], edges)[0] / max(len(gates), 1) for n in range(len(names))]
    return Section(
        "What the gates weigh",
        "A gate gives each modality of an item a weight; the weights of an item sum to 1, and a modality that is "
        "missing weighs 0. Shares of the cold items with any content:",
        ("modality", "mean weight"),
        tuple((name, float(gates[:, n].mean()) if len(gates) else None) for n, name in enumerate(names)),
        Bars(
            "share of cold items",
            tuple(f"{low:.1f}–{high:.1f}" for low, high in pairwise(edges)),
            tuple(Series(name, tuple(float(s) for s in share)) for name, share in zip(names, shares, strict=True)),
            x_label="gate weight",
        ),
    )


def _chosen(evaluation: Evaluation) -> Section | None:
    rows = tuple(
        (label(method), scalar.replace("_", " "), f"{value:g}")
        for method, scalars in evaluation.runs[-1].chosen.items()
        for scalar, value in scalars.items()
    )
    if not rows:
        return None
    return Section(
        "What validation chose for the baselines",
        "They are tuned on the same validation parts as the adapter (here: the last seed's choice).",
        ("method", "scalar", "value"),
        rows,
    )


def _pair(figure: Figure | None) -> tuple[float, float] | None:
    return None if figure is None or figure.interval is None else (figure.interval.low, figure.interval.high)


def _bounds(interval: Interval | None, *, sign: str = "") -> str:
    return "" if interval is None else f" [{interval.low:{sign}.3f}, {interval.high:{sign}.3f}]"
