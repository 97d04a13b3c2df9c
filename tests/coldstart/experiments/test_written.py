import json

import pytest

from coldstart.errors import InvalidInput
from coldstart.experiments.design import Arm, Guardrail, Kind, Metric, Pipeline
from coldstart.experiments.lifecycle import stop
from coldstart.experiments.written import read, write
from tests.coldstart.experiments.toy import draft, running

RICH = draft(
    arms=(
        Arm("a – ä", 1 / 3), Arm("b", 1 / 3, Pipeline(adapter=False)),
        Arm("c", 1 / 3, Pipeline("als", "v2", explore=0.5)),
    ),
    primary=Metric.parse("conversions:purchase"), guardrails=(Guardrail(Metric.parse("cold_share"), 0.1),), share=0.7,
)  # fmt: skip


@pytest.mark.parametrize("experiment", [draft(), RICH, stop(running(kind=Kind.INTERLEAVING), now=9.5)])
def test_what_is_written_is_read_again(experiment: object) -> None:
    assert read(json.loads(json.dumps(write(experiment)))) == experiment  # type: ignore[arg-type]


def test_what_is_no_experiment_is_refused() -> None:
    told = write(draft())
    told["arms"][0]["weight"] = 0.4
    with pytest.raises(InvalidInput, match=r"sum to 0\.9"):
        read(told)
