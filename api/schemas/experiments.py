"""What the HTTP interface takes and gives of experiments."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from api.schemas.answers import moment
from coldstart.bodies import Body, Id
from coldstart.experiments import written
from coldstart.experiments.design import MAX_ARMS, Arm, Experiment, Guardrail, Kind, Metric, Pipeline, Status
from coldstart.ids import MAX_ID_CHARACTERS

METRIC = "`click_through`, `clicks`, `cold_share` or `conversions:KIND`"
MAX_GUARDRAILS = 20
MetricName = Annotated[str, Field(min_length=1, max_length=MAX_ID_CHARACTERS, description=METRIC)]
_EXAMPLE: dict[str, JsonValue] = {
    "arms": [
        {"name": "as it is", "weight": 0.5},
        {"name": "diverse", "weight": 0.5, "pipeline": {"diversity": 0.3}},
    ],
    "primary": "click_through",
    "guardrails": [{"metric": "conversions:purchase", "margin": 0.02}],
    "share": 0.2,
}


class PipelineBody(Body):
    """How an arm's lists are made; what is left out is as the service does it."""

    backbone: Id | None = None
    adapter: bool | Id = Field(True, description="Whether there is one, or its version; without one no cold item ranks")
    ranker: bool = Field(True, description="Whether the backbone's ranker orders the candidates, where there is one")
    cold_share: float | None = Field(default=None, ge=0, le=1, description="Of a list, for new items owed impressions")
    diversity: float | None = Field(default=None, ge=0, le=1, description="0 by score alone, 1 by difference alone")
    explore: float | None = Field(default=None, ge=0, le=10, description="Temperature at which the order is drawn")


class ArmBody(Body):
    """A pipeline that takes part."""

    name: Id
    weight: float = Field(gt=0, lt=1, description="Its part of the units; all sum to 1")
    pipeline: PipelineBody = PipelineBody()


class GuardrailBody(Body):
    """What a winner must not harm."""

    metric: MetricName
    margin: float = Field(gt=0, lt=1, description="The relative loss that is still acceptable: 0.02 is 2 %")


class ExperimentBody(Body):
    """An experiment, the first arm of which is its control."""

    model_config = ConfigDict(json_schema_extra={"example": {**_EXAMPLE}})

    arms: Annotated[list[ArmBody], Field(min_length=2, max_length=MAX_ARMS)]
    primary: MetricName
    guardrails: list[GuardrailBody] = Field([], max_length=MAX_GUARDRAILS)
    share: float = Field(1.0, gt=0, le=1, description="Of the layer's users and sessions")
    layer: Id = Field("default", description="Experiments in one layer share no user")
    kind: Kind = Field(Kind.AB, strict=False, description="Whether users meet one arm, or lists are drafted from two")
    attribution_s: float = Field(86_400.0, gt=0, le=1e8, description="Seconds in which an event counts for a list")
    expected_units: int = Field(10_000, ge=1, le=10**12, description="Where the always-valid interval is tightest")
    salt: Id | None = Field(default=None, description="Decides who meets which arm; the id, where it is left out")

    def experiment(self, experiment_id: str) -> Experiment:
        """The draft; `InvalidInput` where it cannot be one."""
        return Experiment(
            experiment_id=experiment_id,
            salt=self.salt or experiment_id,
            arms=tuple(Arm(arm.name, arm.weight, Pipeline(**dict(arm.pipeline))) for arm in self.arms),
            primary=Metric.parse(self.primary),
            guardrails=tuple(Guardrail(Metric.parse(each.metric), each.margin) for each in self.guardrails),
            share=self.share,
            layer=self.layer,
            kind=self.kind,
            attribution_s=self.attribution_s,
            expected_units=self.expected_units,
        )


class NewExperimentBody(ExperimentBody):
    """An experiment and its id."""

    model_config = ConfigDict(json_schema_extra={"example": {"experiment_id": "diversity-1", **_EXAMPLE}})

    experiment_id: Id


class ArmView(BaseModel):
    """An arm; of its pipeline what is not left to the service."""

    name: str
    weight: float
    pipeline: dict[str, bool | float | str]


class GuardrailView(BaseModel):
    """A guardrail."""

    metric: str
    margin: float


class ExperimentView(BaseModel):
    """An experiment as it stands."""

    experiment_id: str
    status: Status
    kind: Kind
    arms: list[ArmView]
    primary: str
    guardrails: list[GuardrailView]
    share: float
    layer: str
    salt: str
    attribution_s: float
    expected_units: int
    buckets: list[tuple[int, int]] = Field(description="Of the layer's 10,000, from and to below")
    started_at: datetime | None
    stopped_at: datetime | None

    @classmethod
    def of(cls, experiment: Experiment) -> Self:
        """As the store holds it."""
        times = {
            name: None if at is None else moment(at)
            for name, at in (("started_at", experiment.started_at), ("stopped_at", experiment.stopped_at))
        }
        return cls.model_validate({**written.write(experiment), **times})


class ExperimentsView(BaseModel):
    """All experiments, oldest first."""

    experiments: list[ExperimentView]
