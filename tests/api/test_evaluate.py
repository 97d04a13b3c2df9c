"""``coldstart evaluate`` from flags to files, on the toy shop."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from typer.testing import CliRunner, Result

from adapters.evaluation import TRAIN_ADAPTER, TRAIN_BACKBONE
from api.cli import app
from api.cli.figures import phases
from tests.browser import chromium
from tests.toyshop import Shop

Run = CliRunner().invoke


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No settings file, variable or cache of this machine takes part."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("COLDSTART_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("COLDSTART_CACHE_DIR", str(cache))
    yield


def test_an_unknown_method_is_refused_before_anything_is_read() -> None:
    result = Run(app, ["evaluate", "missing", "--methods", "rigde"])
    assert result.exit_code == 2 and "'rigde' is no method" in result.stderr and "ridge" in result.stderr


def test_a_report_that_cannot_be_written_is_refused_before_the_work(shop: Shop, tmp_path: Path) -> None:
    result = Run(app, ["evaluate", str(shop.data), "--report", str(tmp_path)])
    assert result.exit_code == 2 and len(result.stderr.splitlines()) == 1 and str(tmp_path) in result.stderr


@pytest.fixture(scope="module")
def evaluated(shop: Shop, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Path]:
    """What the command printed, and the folder of its files."""
    out = tmp_path_factory.mktemp("evaluated") / "out"
    arguments = ["evaluate", str(shop.data), "--cold-fraction", "0.5", "--backbone", "als", "--methods", "all",
                 "--seeds", "2", "--cache-dir", str(cache), "--json", f"{out}/result.json",
                 "--report", f"{out}/report.html"]  # fmt: skip
    return Run(app, arguments), out


def test_tables_json_and_report_say_the_same(evaluated: tuple[Result, Path]) -> None:
    result, out = evaluated
    assert result.exit_code == 0, result.output
    document = json.loads((out / "result.json").read_text())
    assert document["seeds"] == 2 and set(document["methods"]) >= {"ridge", "content-knn", "neighbours"}
    shown = f"{document['cold']['ndcg@20']['mean']:.3f}"
    assert shown in result.stdout and shown in (out / "report.html").read_text()
    assert "seed 1: judging ridge on content" in result.stderr


@pytest.mark.parametrize(("scheme", "width"), [("light", 1200), ("dark", 1200), ("light", 380)])
def test_the_report_fits_the_page_and_asks_for_nothing(
    evaluated: tuple[Result, Path], scheme: Literal["light", "dark"], width: int
) -> None:
    said, asked = list[str](), list[str]()
    with chromium() as browser:
        page = browser.new_page(color_scheme=scheme, viewport={"width": width, "height": 900})
        page.on("console", lambda message: said.append(message.text))
        page.on("request", lambda request: asked.append(request.url))
        page.set_content((evaluated[1] / "report.html").read_text())
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator("svg[role=img]").count() >= 2
    assert (said, asked) == ([], [])


def test_phases_are_lines_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with phases(2, ("adapter", "backbone", "ridge")) as on_phase:
        for _ in range(2):
            for name in (TRAIN_BACKBONE, TRAIN_ADAPTER, "adapter", "backbone", "ridge"):
                on_phase(name)
    lines = capsys.readouterr().err.splitlines()
    told = ("training the backbone", "training the adapter", "judging with adapter", "judging backbone alone",
            "judging ridge on content")  # fmt: skip
    assert lines == [f"seed {seed}: {each}" for seed in (0, 1) for each in told]
