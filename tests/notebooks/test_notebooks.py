"""The notebooks, executed as a reader would, in one folder and in their order; then asked what they hold."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jupytext
import nbformat
import numpy as np
import pytest
from jupytext.compare import compare_notebooks
from nbclient import NotebookClient

from adapters.artifact import load_artifact
from adapters.encoding import Encoders
from coldstart.backbones import FrozenBackbone
from coldstart.settings import load_settings

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted((ROOT / "notebooks").glob("*.py"))
CELL_SECONDS = 600
pytestmark = pytest.mark.timeout(1200)  # on a machine that does much else; each needs half a minute of a processor


@dataclass(frozen=True)
class Executed:
    """What a notebook showed, and the values of the expressions that it was asked for at its end."""

    text: str
    pictures: int
    answers: dict[str, Any]


@pytest.fixture(scope="module")
def folder(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the notebooks run, under an environment that has nothing of this machine's Jupyter and settings."""
    import matplotlib.font_manager  # noqa: F401  # makes its cache, which would be told of in a notebook

    Encoders.open(load_settings(cache_dir=cache, environ={}))  # exports them where that is yet to be done
    home = tmp_path_factory.mktemp("notebooks")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
            patch.setenv(name, str(home / "jupyter"))
        patch.setenv("COLDSTART_CACHE_DIR", str(cache))
        patch.setenv("PYTHONPATH", str(ROOT))
        (home / "work").mkdir()
        yield home / "work"


def execute(number: int, folder: Path, **questions: str) -> Executed:
    """Run a notebook in a kernel of its own; a cell that raises, or that writes to stderr, fails the test."""
    notebook = jupytext.read(SCRIPTS[number - 1])
    asked = ", ".join(f"{name!r}: {expression}" for name, expression in questions.items())
    question = f"import json\nprint(json.dumps({{{asked}}}))"
    notebook.cells.append(nbformat.v4.new_code_cell(question))  # type: ignore[no-untyped-call]
    client = NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=CELL_SECONDS,
        resources={"metadata": {"path": str(folder)}},
    )
    client.execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert "".join(output.text for output in outputs if output.get("name") == "stderr") == ""
    shown = [output.data for output in outputs if "data" in output]
    told = [output.text for output in outputs if output.get("name") == "stdout"]
    text = "\n".join([*told, *(str(data.get("text/markdown", data.get("text/plain", ""))) for data in shown)])
    return Executed(text, sum("image/png" in data for data in shown), json.loads(told[-1].splitlines()[-1]))


def test_there_are_four() -> None:
    assert [script.name[:2] for script in SCRIPTS] == ["01", "02", "03", "04"]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_pairs_are_in_step_and_carry_no_outputs(script: Path) -> None:
    notebook = nbformat.read(script.with_suffix(".ipynb"), as_version=4)  # type: ignore[no-untyped-call]
    compare_notebooks(notebook, jupytext.read(script), fmt="py:percent")
    assert [cell for cell in notebook.cells if cell.get("outputs") or cell.get("execution_count")] == []


def test_01_a_backbone_is_trained_and_frozen(folder: Path) -> None:
    done = execute(
        1, folder,
        scores="{name: each.config['training']['scores'] for name, each in contenders.items()}",
        best="best", sha256="[backbone.sha256, loaded.sha256]", arrivals="len(arrivals)", known="known",
    )  # fmt: skip
    scores = {name: max(each) for name, each in done.answers["scores"].items()}
    assert scores["LightGCN from random"] > 5 * done.answers["scores"]["LightGCN from random"][0]
    assert scores[done.answers["best"]] == max(scores.values()) > scores["LightGCN from random"]
    assert {FrozenBackbone.load(folder / "notebook-data" / "backbone").sha256} == set(done.answers["sha256"])
    assert (done.answers["arrivals"], done.answers["known"]) == (60, 0)
    assert done.pictures == 6


def test_02_an_adapter_learns_and_the_backbone_stays(folder: Path) -> None:
    done = execute(
        2, folder,
        sha256="[trained.sha256_before, trained.sha256_after]",
        curve="[epoch.cold_ndcg for epoch in trained.curve]", live="len(epochs)",
        parameters="[adapter.trained_parameters, backbone.parameters]",
        version="service.version", cold="placed.cold.tolist()", places="means.tolist()",
    )  # fmt: skip
    frozen = FrozenBackbone.load(folder / "notebook-data" / "backbone")
    assert done.answers["sha256"] == [frozen.sha256] * 2 and done.text.count(frozen.sha256) >= 3
    curve = done.answers["curve"]
    assert max(curve) > 1.1 * curve[0] and done.answers["live"] == len(curve) - 1
    trained, whole = done.answers["parameters"]
    assert trained < whole / 3 and f"{trained:,}" in done.text
    assert load_artifact(folder / "notebook-data" / "adapter").version == done.answers["version"]
    assert all(done.answers["cold"]) and np.mean(done.answers["places"]) > 0.75
    assert done.pictures == 3


def test_03_the_report_says_what_the_evaluation_found(folder: Path) -> None:
    done = execute(3, folder, document="evaluation.document()", frame="report._repr_html_()")
    document = done.answers["document"]
    cold = {name: lists["cold"]["ndcg@20"]["mean"] for name, lists in document["methods"].items() if lists["cold"]}
    assert set(document["methods"]) == {"adapter", "backbone", "popularity", "neighbours", "ridge", "content-knn"}
    assert cold["adapter"] > max(cold["popularity"], cold["neighbours"], cold["content-knn"])
    assert document["backbone_sha256_before"] == document["backbone_sha256_after"]
    page = (folder / "notebook-data" / "report.html").read_text()
    assert f"{cold['adapter']:.3f}" in done.text and f"{cold['adapter']:.3f}" in page
    assert done.answers["frame"].startswith("<iframe srcdoc") and done.pictures == 2


def test_04_imported_vectors_give_the_librarys_scores_and_arrivals_a_place(folder: Path) -> None:
    done = execute(
        4, folder,
        difference="difference", sha256="[backbone.sha256, *(each.sha256 for each in imported.values())]",
        sizes="[len(backbone.items), len(from_file.items), len(split.warm_items)]",
        cold="{name: float(lists['cold'].ndcg.mean()) for name, lists in run.judged.items() if 'cold' in lists}",
        frozen="[run.sha256_before, run.sha256_after]",
    )  # fmt: skip
    assert done.answers["difference"] < 1e-5
    assert {*done.answers["sha256"], *done.answers["frozen"]} == {done.answers["sha256"][0]}
    assert len(set(done.answers["sizes"])) == 1
    assert "broken.npz: the vector of 'p0005' in row 5 is not finite" in done.text
    assert done.answers["cold"]["adapter"] > 2 * done.answers["cold"]["popularity"]
