"""Experiments as JSON holds them: in the database, in requests and in answers."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from coldstart.experiments.design import Arm, Buckets, Experiment, Guardrail, Kind, Metric, Pipeline, Status


def write(experiment: Experiment) -> dict[str, Any]:
    """Lists, texts and numbers; metrics as they are written, parts of pipelines only where they are not the service's.

    >>> arms = Arm("old", 0.5), Arm("new", 0.5, Pipeline(ranker=False))
    >>> told = write(Experiment(experiment_id="e", salt="s", arms=arms, primary=Metric.parse("clicks")))
    >>> told["arms"][1], told["primary"]
    ({'name': 'new', 'weight': 0.5, 'pipeline': {'ranker': False}}, 'clicks')
    """
    return {
        **asdict(experiment),
        "arms": [{"name": arm.name, "weight": arm.weight, "pipeline": arm.pipeline.changes} for arm in experiment.arms],
        "primary": str(experiment.primary),
        "guardrails": [{"metric": str(each.metric), "margin": each.margin} for each in experiment.guardrails],
        "kind": str(experiment.kind),
        "status": str(experiment.status),
        "buckets": [[each.start, each.stop] for each in experiment.buckets],
    }


def read(told: Mapping[str, Any]) -> Experiment:
    """The experiment that was written; `InvalidInput` where it is none."""
    return Experiment(
        experiment_id=told["experiment_id"],
        salt=told["salt"],
        arms=tuple(Arm(each["name"], each["weight"], Pipeline(**each["pipeline"])) for each in told["arms"]),
        primary=Metric.parse(told["primary"]),
        guardrails=tuple(Guardrail(Metric.parse(each["metric"]), each["margin"]) for each in told["guardrails"]),
        share=told["share"],
        layer=told["layer"],
        kind=Kind(told["kind"]),
        attribution_s=told["attribution_s"],
        expected_units=told["expected_units"],
        status=Status(told["status"]),
        buckets=tuple(Buckets(start, stop) for start, stop in told["buckets"]),
        started_at=told["started_at"],
        stopped_at=told["stopped_at"],
    )
