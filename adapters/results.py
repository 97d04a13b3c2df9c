"""What an evaluation found: per-user metrics of every method and seed, and the figures made of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from adapters.studies.stage import Finding, Study
from adapters.training import Epoch
from coldstart.evaluation.displacement import Displacement
from coldstart.evaluation.intervals import Estimate, Interval, differences, estimates
from coldstart.evaluation.protocols import LISTS, Judged, average
from coldstart.vectors import Matrix

Lists = dict[str, Judged]
"""Per list that the split can judge, each user's metrics."""


@dataclass(frozen=True)
class Run:
    """One seed.

    Parameters
    ----------
    judged : mapping
        Per method, its lists.
    chosen : mapping
        Per baseline, the scalars that validation chose for it.
    displacement : Displacement, optional
        The adapter's overall list against the backbone's own warm list.
    curve : tuple of Epoch
        The adapter's learning curve.
    measured : mapping
        Per study, what it measured.
    gates : float32 [cold items, modalities]
        Gate weights of the cold items that have any content.
    modalities : tuple of str
        Names of the gates' columns.
    """

    judged: Mapping[str, Lists]
    chosen: Mapping[str, Mapping[str, float]]
    displacement: Displacement | None
    curve: tuple[Epoch, ...]
    gates: Matrix
    modalities: tuple[str, ...]
    adapter_parameters: int
    backbone_parameters: int
    sha256_before: str
    sha256_after: str
    seconds: Mapping[str, float]
    measured: Mapping[str, Any] = field(default_factory=dict)

    @property
    def mean_gates(self) -> dict[str, float]:
        """Mean gate weight of each modality over the cold items."""
        means = self.gates.mean(axis=0) if len(self.gates) else np.zeros(len(self.modalities))
        return {name: round(float(mean), 4) for name, mean in zip(self.modalities, means, strict=True)}


@dataclass(frozen=True)
class Figure:
    """One metric of one list and method: mean and deviation over the seeds, interval over the users."""

    mean: float
    std: float
    interval: Interval | None


@dataclass(frozen=True)
class Evaluation:
    """All seeds of one data set and split.

    Parameters
    ----------
    studies : tuple of Study
        Those that were asked for.
    lost_pictures : float
        Share of the pictures that were left out on purpose.
    """

    dataset: str
    split: str
    modalities: tuple[str, ...]
    backbone: str
    runs: tuple[Run, ...] = field(default=())
    encode_seconds: float = 0.0
    studies: tuple[Study, ...] = ()
    lost_pictures: float = 0.0

    @property
    def methods(self) -> tuple[str, ...]:
        """Names of the methods that were judged."""
        return tuple(self.runs[-1].judged)

    @cached_property
    def pooled(self) -> dict[str, Lists]:
        """Per method and list, each user's metrics averaged over the seeds."""
        return {
            method: {name: average([run.judged[method][name] for run in self.runs]) for name in lists}
            for method, lists in self.runs[-1].judged.items()
        }

    @cached_property
    def figures(self) -> dict[str, dict[str, dict[str, Figure]]]:
        """Per method, list and metric; without the lists that cannot be judged."""
        return {
            method: {name: self._figures(method, name, judged) for name, judged in lists.items()}
            for method, lists in self.pooled.items()
        }

    @cached_property
    def differences(self) -> dict[str, dict[str, dict[str, Estimate]]]:
        """Adapter minus each other method, paired by user: per method, list and metric."""
        mine = self.pooled["adapter"]
        return {
            method: {name: differences(mine[name], judged) for name, judged in lists.items() if name in mine}
            for method, lists in self.pooled.items()
            if method != "adapter"
        }

    @cached_property
    def findings(self) -> dict[str, Finding]:
        """Per study, what all seeds together say; without the studies that the data could not tell anything."""
        measured = {study: [run.measured[study.name] for run in self.runs] for study in self.studies}
        return {
            study.name: study.find(found)
            for study, found in measured.items()
            if all(each is not None for each in found)
        }

    @property
    def displacement(self) -> Displacement | None:
        """Mean over the seeds."""
        found = [run.displacement for run in self.runs if run.displacement is not None]
        if not found:
            return None
        return Displacement(
            *(float(np.mean([getattr(each, name) for each in found])) for name in Displacement.__dataclass_fields__)
        )

    @property
    def seconds(self) -> dict[str, float]:
        """What each phase took, mean over the seeds."""
        return {
            "encode": round(self.encode_seconds, 1),
            **{
                name: round(float(np.mean([run.seconds[name] for run in self.runs])), 1)
                for name in ("backbone", "adapter", "evaluate")
            },
        }

    def document(self) -> dict[str, Any]:
        """The JSON form."""
        last = self.runs[-1]
        moved = self.displacement
        return {
            **{name: dict(finding.document) for name, finding in self.findings.items()},
            "dataset": self.dataset,
            "split": self.split,
            "modalities": list(self.modalities),
            "backbone": self.backbone,
            "seeds": len(self.runs),
            "lost_pictures": self.lost_pictures,
            **self._lists("adapter"),
            "popularity": self._lists("popularity"),
            "backbone_alone": self._lists("backbone"),
            "methods": {method: self._lists(method, intervals=True) for method in self.methods},
            "intervals": self._intervals(),
            "differences": {
                method: {name: {metric: estimate_document(each) for metric, each in found.items()}
                         for name, found in lists.items()}
                for method, lists in self.differences.items()
            },
            "chosen": {method: dict(scalars) for method, scalars in last.chosen.items() if scalars},
            "displacement": None if moved is None else {
                name: round(getattr(moved, name), 5) for name in Displacement.__dataclass_fields__
            },
            "gates": last.mean_gates,
            "adapter_parameters": last.adapter_parameters,
            "backbone_parameters": last.backbone_parameters,
            "backbone_sha256_before": last.sha256_before,
            "backbone_sha256_after": last.sha256_after,
            "seconds": self.seconds,
        }  # fmt: skip

    def _figures(self, method: str, name: str, judged: Judged) -> dict[str, Figure]:
        seeds = [{m: float(v.mean()) for m, v in run.judged[method][name].values.items()} for run in self.runs]
        return {
            metric: Figure(
                float(np.mean([seed[metric] for seed in seeds])),
                float(np.std([seed[metric] for seed in seeds])),
                each.interval,
            )
            for metric, each in estimates(judged).items()
        }

    def _lists(self, method: str, *, intervals: bool = False) -> dict[str, Any]:
        """The three lists of a method, ``None`` for one that cannot be judged."""
        found = self.figures[method]
        return {
            name: {
                metric: {
                    "mean": round(figure.mean, 5),
                    "std": round(figure.std, 5),
                    **({"interval": _bounds(figure.interval)} if intervals else {}),
                }
                for metric, figure in found[name].items()
            } if name in found else None
            for name in LISTS
        }  # fmt: skip

    def _intervals(self) -> dict[str, Any]:
        return {
            name: {metric: _bounds(figure.interval) for metric, figure in metrics.items()}
            for name, metrics in self.figures["adapter"].items()
        }


def estimate_document(found: Estimate) -> dict[str, Any]:
    """A mean with its interval as JSON values."""
    return {"mean": round(found.mean, 5), "interval": _bounds(found.interval)}


def _bounds(interval: Interval | None) -> list[float] | None:
    return None if interval is None else [round(interval.low, 5), round(interval.high, 5)]
