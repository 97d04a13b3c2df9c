"""What each part of the adapter is worth: the closed form without it, tuned anew."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from adapters.calibration import calibrate_prior, calibrate_scales
from adapters.content import MODALITIES, Contents
from adapters.fit import fit
from adapters.placing import place
from adapters.report import format_difference
from adapters.results import estimate_document
from adapters.space import Adapter
from adapters.studies.stage import Finding, Stage
from adapters.validation import Judge, split_validation
from coldstart.evaluation.intervals import Estimate, differences
from coldstart.evaluation.protocols import METRICS, Judged, average
from coldstart.evaluation.report import Bars, Cell, Section, Series

TRAINED, WHOLE = "trained", "closed form"
_MEASURED = ("cold", "overall")
_FEWEST = 2
"""Warm items with any content that a closed form takes."""


@dataclass(frozen=True)
class Variant:
    """The closed form with something missing: other contents, scalars that are held, or hubs as they are."""

    contents: Contents
    held: Mapping[str, float] = field(default_factory=dict)
    hubs: bool = False


Lists = Mapping[str, Judged]


class Ablations:
    """Lists of the adapter as it is, of its closed form, and of that without one part after the other."""

    name = "ablations"

    def measure(self, stage: Stage) -> Mapping[str, Lists] | None:
        """Per variant its lists; ``None`` where no cold item is held out to tune a variant by."""
        if not len(stage.split.cold_val_items):
            return None
        found = {TRAINED: _lists(stage, stage.adapter, stage.contents)}
        for name, variant in variants(stage.contents).items():
            if variant.contents.take(stage.items).present.any(axis=1).sum() < _FEWEST:
                continue
            found[name] = _lists(stage, _closed_form(stage, variant), variant.contents)
        return found

    def find(self, measured: Sequence[Mapping[str, Lists]]) -> Finding:
        """Means over users of the per-user means over seeds, and what is lost against the closed form."""
        pooled = {
            name: {each: average([run[name][each] for run in measured]) for each in lists}
            for name, lists in measured[-1].items()
        }
        names = [each for each in _MEASURED if each in pooled[WHOLE]]
        lost = {
            name: {each: differences(lists[each], pooled[WHOLE][each]) for each in names}
            for name, lists in pooled.items()
        }
        columns = ("", *(f"{each}, {what}" for each in names for what in ("NDCG@20", "against the closed form")))
        rows = tuple((name, *_cells(lists, lost[name], names)) for name, lists in pooled.items())
        return Finding(
            Section(
                "What each part is worth",
                "The closed form, and the same without one of its parts, each tuned anew on the validation parts; "
                f"“{TRAINED}” is what gradient descent made of it. Differences are paired by user.",
                columns,
                rows,
                Bars("NDCG@20", tuple(names), tuple(
                    Series(name, tuple(float(lists[each].ndcg.mean()) for each in names))
                    for name, lists in pooled.items()
                )),
                emphasis=WHOLE,
            ),
            {name: _document(lists, lost[name]) for name, lists in pooled.items()},
        )  # fmt: skip


def variants(contents: Contents) -> dict[str, Variant]:
    """The closed form and what it is without each part that the contents let it have."""
    found = {
        WHOLE: Variant(contents),
        "without the content block": Variant(contents, {"cold_content": 0.0, "warm_content": 0.0}),
        "without the correction of hubs": Variant(contents, hubs=True),
        "without evening out": Variant(contents, {"cold_spread": 0.0, "warm_spread": 0.0}),
        "without expected popularity": Variant(contents, {"strength": 0.0}),
    }
    if contents.terms.nnz:
        terms = csr_matrix(contents.terms.shape, dtype=np.float32)
        present = np.stack([contents.text.any(axis=1), contents.present[:, 1]], axis=1)
        if present.any():
            found["without declared columns' terms"] = Variant(replace(contents, terms=terms, present=present))
    if contents.present.any(axis=0).all():
        for name in MODALITIES:
            rest = [other for other in MODALITIES if other != name]
            found[f"without {name}"] = Variant(contents.only(rest))
    return found


def _closed_form(stage: Stage, variant: Variant) -> Adapter:
    backbone = stage.adapter.backbone
    validation = split_validation(stage.dataset, stage.split, backbone, variant.contents)
    assert validation is not None  # noqa: S101 (asked for in `Ablations.measure`)
    judge = Judge(validation, backbone, seed=stage.seed)
    contents, config = (
        variant.contents.take(stage.items),
        replace(stage.config, hubness=0.0) if variant.hubs else stage.config,
    )
    adapter = fit(backbone, contents, config=config, seed=stage.seed).with_scales(**variant.held)
    return calibrate_scales(calibrate_prior(adapter, judge), judge, held=variant.held)


def _lists(stage: Stage, adapter: Adapter, contents: Contents) -> Lists:
    vectors, _ = place(adapter, contents, items=stage.items, users=stage.users, protocol=stage.protocol)
    judged = {name: stage.protocol.judge(name, *vectors) for name in _MEASURED}
    return {name: each for name, each in judged.items() if each is not None}


def _cells(lists: Lists, lost: Mapping[str, Mapping[str, Estimate]], names: Sequence[str]) -> Iterator[Cell]:
    for each in names:
        yield float(lists[each].ndcg.mean())
        yield format_difference(lost[each]["ndcg@20"])


def _document(lists: Lists, lost: Mapping[str, Mapping[str, Estimate]]) -> dict[str, Any]:
    return {
        name: {
            metric: {
                "mean": round(float(judged.values[metric].mean()), 5),
                "difference": estimate_document(lost[name][metric]),
            }
            for metric in METRICS
        }
        for name, judged in lists.items()
    }
