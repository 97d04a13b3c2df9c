"""A small shop, replayed: what the exposure floor promises, and what an experiment's report makes of live traffic."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop and what is trained on it, once for all of these."""
    return tmp_path_factory.mktemp("work")


def told(work: Path, cache: Path, *arguments: str) -> Any:
    """The last line of a benchmark."""
    command = [sys.executable, "-m", *arguments, "--quick", "--work", str(work)]
    environment = os.environ | {"COLDSTART_CACHE_DIR": str(cache)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_with_the_default_floor_every_new_item_is_shown(work: Path, cache: Path) -> None:
    figures = told(work, cache, "benchmarks.exposure")
    by_share = {row["cold_share"]: row for row in figures["curve"]}
    assert by_share[0.1]["reached"] == 1.0 and by_share[0.1]["least"] >= figures["quota"]
    assert by_share[0.0]["least"] < by_share[0.1]["least"]
    assert by_share[0.1]["cost"] < 0.1


def test_a_treatment_that_hears_late_gets_no_verdict(work: Path, cache: Path) -> None:
    figures = told(work, cache, "benchmarks.simulate", "--late", "3600", "--control", "adapter")
    assert figures["decision"] == "refused"
    assert any("older than those of control" in reason for reason in figures["parity"])


def test_the_adapter_is_seen_to_help(work: Path, cache: Path) -> None:
    figures = told(work, cache, "benchmarks.simulate")
    assert figures["true_lift"] > 0 and figures["lift"] > 0 and figures["parity"] == []
    assert figures["arrivals_clicked"] > 0
