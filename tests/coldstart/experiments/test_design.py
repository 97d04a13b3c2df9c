import math
from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from coldstart.errors import InvalidInput
from coldstart.experiments.design import Arm, Guardrail, Kind, Metric, Pipeline
from tests.coldstart.experiments.toy import draft

OLD, NEW = Arm("old", 0.5), Arm("new", 0.5)
CLICKS = Metric.parse("clicks")


def test_weights_that_do_not_sum_to_one_are_refused_with_the_sum_and_the_arms() -> None:
    with pytest.raises(InvalidInput, match=r"toy: the arms' weights sum to 0\.9, not to 1\. Change those of old, new"):
        draft(arms=(OLD, Arm("new", 0.4)))


def test_thirds_and_tenths_sum_to_one() -> None:
    draft(arms=tuple(Arm(name, 1 / 3) for name in "abc"))
    draft(arms=tuple(Arm(name, 0.1) for name in "abcdefghij"))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"arms": (Arm("old", 0.99999),)}, "1 arms cannot be compared"),
        ({"arms": tuple(Arm(str(n), 1 / 11) for n in range(11))}, "11 arms cannot be compared"),
        ({"arms": (OLD, OLD)}, "two arms are named old"),
        ({"kind": Kind.INTERLEAVING, "arms": tuple(Arm(n, 1 / 3) for n in "abc")}, "3 arms cannot be interleaved"),
        ({"kind": Kind.INTERLEAVING, "guardrails": (Guardrail(CLICKS, 0.02),)}, "belong to both arms"),
        ({"kind": Kind.INTERLEAVING, "primary": Metric.parse("cold_share")}, "belong to both arms"),
        ({"guardrails": (Guardrail(CLICKS, 0.02), Guardrail(CLICKS, 0.03))}, "the guardrail clicks is there twice"),
        ({"share": 0.0}, "the share of traffic cannot be 0.0"),
        ({"share": 1.01}, "the share of traffic cannot be 1.01"),
        ({"share": math.nan}, "the share of traffic cannot be nan"),
        ({"attribution_s": 0.0}, "the attribution window cannot be 0.0 s"),
        ({"attribution_s": math.nan}, "the attribution window cannot be nan s"),
        ({"expected_units": 0}, "0 units cannot be expected"),
        ({"experiment_id": " "}, "the experiment_id is empty"),
        ({"salt": "a\0b"}, "the salt holds NUL"),
        ({"layer": ""}, "the layer is empty"),
    ],
)
def test_a_design_that_cannot_be_run_is_refused_with_the_reason(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        draft(**changes)
    assert reason in str(caught.value) and caught.value.status == 422


@pytest.mark.parametrize("weight", [0.0, -0.5, 1.0, math.nan, math.inf])
def test_an_arm_without_a_proper_weight_is_refused(weight: float) -> None:
    with pytest.raises(InvalidInput, match="old: the weight cannot be"):
        Arm("old", weight)


@pytest.mark.parametrize(
    "changes", [{"cold_share": 1.2}, {"diversity": -0.1}, {"explore": math.nan}, {"explore": 11}, {"adapter": ""}]
)
def test_a_pipeline_out_of_range_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        Pipeline(**changes)


def test_what_explores_cannot_be_diversified() -> None:
    with pytest.raises(InvalidInput, match="no propensity could be told"):
        Pipeline(explore=0.1, diversity=0.3)


def test_an_experiment_touches_what_any_arm_changes() -> None:
    arms = (OLD, Arm("new", 0.5, Pipeline(adapter="v2", cold_share=0.0)))
    assert draft(arms=arms).touches == {"adapter", "cold_share"} and draft().touches == set()
    arms = (OLD, Arm("new", 0.5, Pipeline(explore=0.1)))
    assert draft(arms=arms).touches == {"diversity", "explore"}  # an arm that explores cannot meet one that diversifies


def test_a_cold_share_needs_an_adapter() -> None:
    with pytest.raises(InvalidInput, match="without an adapter"):
        Pipeline(adapter=False, cold_share=0.2)
    Pipeline(adapter="v2", cold_share=0.2)


def test_an_arm_is_not_named_like_the_lists_of_both() -> None:
    with pytest.raises(InvalidInput, match="interleaved: lists of both arms"):
        Arm("interleaved", 0.5)


@pytest.mark.parametrize("margin", [0.0, 1.0, -0.1, math.nan])
def test_a_guardrail_needs_a_margin_between_nothing_and_everything(margin: float) -> None:
    with pytest.raises(InvalidInput, match="clicks: the margin"):
        Guardrail(CLICKS, margin)


@pytest.mark.parametrize("text", ["click_through", "clicks", "cold_share", "conversions:purchase", "conversions:a:b"])
def test_a_metric_is_what_it_was_written_as(text: str) -> None:
    assert str(Metric.parse(text)) == text


@pytest.mark.parametrize("text", ["", "sales", "conversions", "conversions:", "clicks:", "clicks:purchase", "a:b"])
def test_any_other_metric_is_refused_with_those_there_are(text: str) -> None:
    with pytest.raises(InvalidInput, match="conversions:KIND"):
        Metric.parse(text)


def test_nothing_of_an_experiment_can_be_changed_in_place() -> None:
    experiment = draft()
    assert experiment.control == OLD and experiment.weights == (0.5, 0.5)
    with pytest.raises(FrozenInstanceError):
        experiment.salt = "another"  # type: ignore[misc]
