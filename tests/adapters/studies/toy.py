"""A study with an obvious answer."""

from collections.abc import Sequence

from adapters.studies import Finding, Stage
from coldstart.evaluation.report import Section


class Count:
    """How many cold candidates there are."""

    name = "count"

    def measure(self, stage: Stage) -> int:
        return int(stage.protocol.cold.sum())

    def find(self, measured: Sequence[int]) -> Finding:
        return Finding(
            Section("Cold items", "How many there are.", ("", "items"), (("mean", sum(measured) / len(measured)),)),
            {"seeds": len(measured), "items": measured[-1]},
        )
