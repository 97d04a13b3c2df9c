"""The section on cold users: a row per way to place one, a column per number of clicks."""

from collections.abc import Mapping
from typing import Any

from adapters.report import format_difference
from adapters.studies.stage import Finding
from coldstart.evaluation.intervals import Estimate, differences, estimates
from coldstart.evaluation.protocols import METRICS, Judged
from coldstart.evaluation.report import Cell, Lines, Section, Series

Curve = Mapping[int, Judged]
_ALL = -1
_LABELS = {
    "mean": "mean of clicked vectors",
    "mean direction": "mean of their directions",
    "propagation": "LightGCN's propagation",
    "ridge": "ridge fold-in of ALS",
    "known users": "ridge fold-in, like known users",
    "sentence": "a sentence that names the items",
    "served": "as served",
    "stated": "popular, of a stated {attribute}",
    "popular": "popular",
    "retrained": "trained with all of it",
    "strict": "as served, unshown clicks in the way",
    "new items": "as served, new items alone",
}
_PLOTTED = ("served", "mean", "propagation", "ridge", "sentence", "retrained")

_TEXT = """A tenth of the users, drawn among those with at least 15 training clicks, is taken out of the training; a
 backbone is trained without them and an adapter fitted on it in closed form. Then k of a newcomer's training clicks
 are shown, drawn at random (three times, averaged), and their held-out clicks are looked for among all items that
 training knows. None of a newcomer's other training clicks is a candidate, so that candidates and hits are the same
 at every k. The row with unshown clicks in the way leaves them in, where
 they take places and count as misses: so the figures of few clicks look where nobody knows what else was liked.

With no click the answer is what is popular among everybody else. As served, a query blends two ridge fold-ins, one
 that expects newcomers to be like known users and, the more they click, one that holds all they did not click against
 them, beside the content of the items. How much of each was chosen on validation clicks of users who stayed in
 training, as was the confidence of the ridge fold-in of ALS. The sentence is the mean text embedding of the items
 shown. The last point of comparison is a backbone and an adapter trained with all of the newcomers' training clicks, by
 gradient where the newcomers' own is a closed form. A share is of the recall that the same method has with all
 clicks. First seed alone.""".replace("\n ", " ")


def tell(curves: Mapping[str, Curve], chosen: Mapping[str, float], *, history: int, attribute: str | None) -> Finding:
    """Table, plot and JSON values of what was measured.

    Parameters
    ----------
    curves : mapping
        Per method, each user's metrics by the number of clicks shown (-1: all).
    chosen : mapping
        Scalars of the fold-in.
    history : int
        Median number of training clicks, which is where ``all`` is drawn.
    """
    found = {name: {k: estimates(judged) for k, judged in curve.items()} for name, curve in curves.items()}
    clicks = (0, *(k for k in curves["served"] if k != _ALL), _ALL)
    leads = {k: differences(curves["served"][k], judged) for k, judged in curves["mean"].items()}
    shares = {name: _shares(found[name]) for name in ("served", "mean", "strict")}
    recall = {name: {k: each["recall@20"] for k, each in curve.items()} for name, curve in found.items()}
    label = {name: text.format(attribute=attribute) for name, text in _LABELS.items()}
    ordered = [name for name in _LABELS if name in found]
    rows: list[tuple[Cell, ...]] = [(label[name], *_cells(recall[name], clicks)) for name in ordered]
    rows += [
        ("as served, NDCG@20", *_cells({k: each["ndcg@20"] for k, each in found["served"].items()}, clicks)),
        (
            "as served minus mean",
            *(format_difference(leads[k]["recall@20"]) if k in leads else None for k in clicks),
        ),
        *(
            (f"share of all clicks: {label[name]}", *(_percent(shares[name].get(k)) for k in clicks))
            for name in ("served", "strict", "mean")
        ),
    ]
    n = len(curves["served"][_ALL].users)
    names = tuple("all" if k == _ALL else f"{k}" for k in clicks)
    section = Section(
        "Users whom training never met",
        f"{_TEXT}\n\n{n:,} newcomers with a median of {history} training clicks; Recall@20 after so many clicks:",
        ("clicks shown", *names),
        tuple(rows),
        Lines("clicks shown", "Recall@20", _lines(recall, label, history), log_x=True),
        emphasis=label["served"],
    )
    return Finding(section, {
        "users": n,
        "median_clicks": history,
        "chosen": dict(chosen),
        "attribute": attribute,
        "methods": {
            name: {metric: {_key(k): _document(each[metric]) for k, each in found[name].items()} for metric in METRICS}
            for name in ordered
        },
        "lead_over_mean": {
            metric: {_key(k): _document(each[metric]) for k, each in leads.items()} for metric in METRICS
        },
        "share_of_all_clicks": {
            name: {_key(k): round(value, 4) for k, value in each.items()} for name, each in shares.items()
        },
    })  # fmt: skip


def _shares(curve: Mapping[int, Mapping[str, Estimate]]) -> dict[int, float]:
    """Recall@20 over that with all clicks."""
    whole = curve[_ALL]["recall@20"].mean
    return {k: each["recall@20"].mean / whole for k, each in curve.items() if k != _ALL and whole > 0}


def _lines(recall: Mapping[str, Mapping[int, Estimate]], label: Mapping[str, str], history: int) -> tuple[Series, ...]:
    """Served starts at what is popular, which is what nothing at all is answered with."""
    drawn = {**recall, "served": {**recall["popular"], **recall["served"]}}
    return tuple(
        Series(
            label[name], tuple(each.mean for each in drawn[name].values()),
            x=tuple(float(history if k == _ALL else k) for k in drawn[name]),
            bounds=tuple(
                None if each.interval is None else (each.interval.low, each.interval.high)
                for each in drawn[name].values()
            ),
        )
        for name in _PLOTTED
    )  # fmt: skip


def _cells(curve: Mapping[int, Estimate], clicks: tuple[int, ...]) -> tuple[Cell, ...]:
    return tuple(_figure(curve[k]) if k in curve else None for k in clicks)


def _figure(found: Estimate) -> str:
    interval = found.interval
    return f"{found.mean:.3f}" + ("" if interval is None else f" [{interval.low:.3f}, {interval.high:.3f}]")


def _percent(share: float | None) -> Cell:
    return None if share is None else f"{share:.0%}"


def _key(k: int) -> str:
    return "all" if k == _ALL else str(k)


def _document(found: Estimate) -> dict[str, Any]:
    interval = found.interval
    bounds = None if interval is None else [round(interval.low, 5), round(interval.high, 5)]
    return {"mean": round(found.mean, 5), "interval": bounds}
