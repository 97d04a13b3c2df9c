"""The project as others meet it: what an import costs, what an install brings, what the documents say."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions, requires
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
import pytest
from typer.main import get_command

from api.cli import app
from coldstart.settings import Settings

ROOT = Path(__file__).parents[1]
PACKAGES = ("coldstart", "adapters", "workers", "api")
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.py"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def normal(name: str) -> str:
    """A distribution's name without extras, versions and spelling."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\[ ;=<>~!]", name)[0]).lower()


BASE = {normal(each) for each in PROJECT["project"]["dependencies"]}
EXTRAS = {
    extra: {normal(each) for each in names} for extra, names in PROJECT["project"]["optional-dependencies"].items()
}


def modules_after(statement: str) -> set[str]:
    """The top-level modules that a fresh interpreter holds after a statement."""
    code = f"{statement}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_the_core_brings_none_of_the_heavy_parts() -> None:
    assert not {"torch", "polars", "PIL", "fastapi", "celery", "scipy"} & modules_after("import coldstart")


def test_service_and_worker_start_without_what_only_training_needs() -> None:
    training = {
        module for module, names in packages_distributions().items() if EXTRAS["train"] & {normal(n) for n in names}
    }
    assert {"torch", "timm", "implicit", "sentence_transformers"} <= training
    held = modules_after("import api.app, api.cli, workers.main, workers.runtime, coldstart.encoders.onnx")
    assert not training & held


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_carry_their_types(package: str) -> None:
    assert (ROOT / package / "py.typed").is_file()
    assert "py.typed" in PROJECT["tool"]["setuptools"]["package-data"][package]


def test_every_import_is_declared() -> None:
    distributions = packages_distributions()
    declared = BASE | EXTRAS["train"] | EXTRAS["postgresql"] | EXTRAS["redis"] | EXTRAS["kafka"]
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            for module in imported(path) - set(sys.stdlib_module_names) - set(PACKAGES):
                names = {normal(name) for name in distributions.get(module, [])}
                assert names & declared, f"{path.relative_to(ROOT)} imports {module}, which no dependency declares"


def imported(path: Path) -> set[str]:
    """Top-level modules that a file imports anywhere."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


UNPICKLERS = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "jsonpickle"}


@pytest.mark.parametrize("package", PACKAGES)
def test_nothing_in_the_packages_can_unpickle_or_run_code_of_a_model(package: str) -> None:
    for path in (ROOT / package).rglob("*.py"):
        assert not imported(path) & UNPICKLERS, path
        for call in (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)):
            said = {word.arg: ast.unparse(word.value) for word in call.keywords}
            place = f"{path.relative_to(ROOT)}:{call.lineno}: {ast.unparse(call)}"
            name = ast.unparse(call.func)
            if name == "torch.load":
                assert said.get("weights_only") == "True", place
            if name in ("np.load", "numpy.load"):
                assert said.get("allow_pickle") == "False", place
            if name == "SentenceTransformer":
                assert "'use_safetensors': True" in said.get("model_kwargs", ""), place
            assert said.get("trust_remote_code", "False") == "False", place
            assert name not in ("eval", "exec", "torch.jit.load", "torch.package.PackageImporter"), place


@pytest.mark.parametrize("package", PACKAGES)
def test_no_log_line_is_about_a_user(package: str) -> None:
    """Who was erased would go on being told there."""
    for path in (ROOT / package).rglob("*.py"):
        for call in (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)):
            if ast.unparse(call.func).startswith("_log."):
                assert "user" not in ast.unparse(call), f"{path.relative_to(ROOT)}:{call.lineno}: {ast.unparse(call)}"


def test_constraints_pin_everything_exactly() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert [pin for pin in pins if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", pin)] == []
    pinned = {normal(pin) for pin in pins}
    declared = BASE.union(*EXTRAS.values())
    needed = declared | {
        normal(each) for name in declared for each in requires(name) or [] if "extra ==" not in each and ";" not in each
    }
    assert needed - pinned == set()
    assert set(PROJECT["build-system"]["requires"]) <= set(pins)


def prose_of(document: Path) -> str:
    """Its text, without the marks that make it a comment in a notebook's script."""
    text = document.read_text()
    return re.sub(r"^# ?", "", text, flags=re.MULTILINE) if document.suffix == ".py" else text


def code_of(document: Path) -> list[str]:
    """The lines of its code blocks and its inline code."""
    text = prose_of(document)
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    inline = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))
    return [line for block in blocks for line in block.replace("\\\n", " ").splitlines()] + inline


CODE = [(document.name, line) for document in [*DOCUMENTS, *NOTEBOOKS] for line in code_of(document)]


@pytest.mark.parametrize("line", sorted({line for _, line in CODE if re.match(r"(\$ )?coldstart [a-z]", line)}))
def test_documents_name_commands_and_flags_that_exist(line: str) -> None:
    words = iter(line.split("#")[0].removeprefix("$ ").split()[1:])
    command: Any = get_command(app)
    while isinstance(command, click.Group) or hasattr(command, "commands"):
        name = next(words)
        assert name in command.commands, f"coldstart has no command {name}"
        command = command.commands[name]
    known = {flag for parameter in command.params for flag in (*parameter.opts, *parameter.secondary_opts)}
    known.add("--help")
    assert {word.partition("=")[0] for word in words if word.startswith("--")} <= known


def test_documents_name_targets_benchmarks_and_variables_that_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    for document, line in CODE:
        for target in re.findall(r"\bmake ([a-z]+)", line):
            assert target in targets, f"{document}: make {target}"
        for module in re.findall(r"python -m (benchmarks\.\w+)", line):
            assert find_spec(module), f"{document}: {module}"
        for name in re.findall(r"COLDSTART_(?!TEST_)([A-Z_]+)", line):
            assert name.lower() in Settings.model_fields, f"{document}: COLDSTART_{name}"


def test_documents_link_to_files_that_exist() -> None:
    for document in [*DOCUMENTS, *NOTEBOOKS]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", prose_of(document)):
            assert (document.parent / target).exists(), f"{document.name} links to {target}"


def test_the_readme_lists_every_setting_with_its_default() -> None:
    listed = {
        name: default.strip(" `")
        for name, default in re.findall(r"^\| `([a-z_]+)` \|([^|]*)\|", (ROOT / "README.md").read_text(), re.MULTILINE)
    }
    expected = {
        name: "" if field.default in (None, ()) else str(field.default) for name, field in Settings.model_fields.items()
    }
    assert listed == expected
