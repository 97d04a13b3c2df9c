"""What lies in deploy/ fits the service."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.registry import Collector

from api.metrics import request_seconds
from coldstart.telemetry import Telemetry

DASHBOARD = json.loads((Path(__file__).parents[1] / "deploy" / "grafana" / "coldstart.json").read_text())
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]


def samples() -> set[str]:
    """The names under which Prometheus knows the service's metrics."""
    telemetry = Telemetry()
    telemetry.registry.register(request_seconds())
    suffixes = {"counter": ["_total"], "gauge": [""], "histogram": ["_bucket", "_count", "_sum"]}
    collected: Collector = telemetry.registry
    return {family.name + suffix for family in collected.collect() for suffix in suffixes[family.type]}


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_a_panel_shows_metrics_that_there_are(panel: dict[str, Any]) -> None:
    assert panel["targets"]
    for target in panel["targets"]:
        named = set(re.findall(r"coldstart_\w+", target["expr"]))
        assert named and named <= samples(), target["expr"]
        assert target["expr"].count("(") == target["expr"].count(")")


def test_every_metric_is_on_the_dashboard() -> None:
    shown = " ".join(target["expr"] for panel in PANELS for target in panel["targets"])
    missing = {name for name in samples() if not name.endswith(("_sum", "_count")) and name not in shown}
    assert not missing


def test_panels_do_not_overlap() -> None:
    places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in PANELS}
    assert len(places) == len(PANELS) == len({panel["id"] for panel in PANELS})
