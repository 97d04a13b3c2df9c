"""``coldstart backup`` and ``coldstart restore`` on the command line."""

import json
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from api.cli import app
from coldstart.catalog import Draft, open_item_store
from coldstart.entities import Item
from tests.toyshop import Shop

Run = CliRunner().invoke


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("COLDSTART_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def flags(shop: Shop, tmp_path: Path) -> Iterator[list[str]]:
    """Of a deployment of one item."""
    with closing(open_item_store(f"sqlite:///{tmp_path}/state/catalog.sqlite3")) as store:
        store.accept([Draft(Item("a", "A"))])
        yield ["--data-dir", str(tmp_path / "state"), "--adapter", str(shop.artifact)]


def test_a_deployment_goes_into_a_folder_and_back(flags: list[str], shop: Shop) -> None:
    saved = Run(app, ["backup", "backups/monday", "--json", *flags])
    assert saved.exit_code == 0, saved.output
    told = json.loads(saved.stdout)
    assert told["database"] == "sqlite" and told["files"] == 7 and told["bytes"] > 10_000 and told["seconds"] >= 0
    back = Run(app, ["restore", "backups/monday", "--json", "--data-dir", "bare"])
    assert back.exit_code == 0, back.output
    restored = json.loads(back.stdout)
    assert restored["items"]["pending"] == 1
    assert restored["adapter"] == told["adapter"] and restored["created_at"] == told["created_at"]
    assert (Path("bare") / "artifacts" / "adapter" / "config.json").exists()
    assert "doctor --reconcile" not in back.stderr


def test_people_are_told_line_by_line(flags: list[str]) -> None:
    assert "database    sqlite" in Run(app, ["backup", "saved", *flags]).stdout
    assert "'pending': 1" in Run(app, ["restore", "saved", "--data-dir", "bare"]).stdout


def test_a_refusal_is_one_line_that_says_what_to_do(flags: list[str]) -> None:
    assert Run(app, ["backup", "saved", *flags]).exit_code == 0
    for arguments, words in (
        (["backup", "saved", *flags], "saved: it is there already. Name a folder that does not exist"),
        (["restore", "saved", *flags], "catalog.sqlite3: there is a catalogue"),
        (["restore", "nowhere"], "nowhere: the folder holds no backup"),
        (["backup", "new", "--data-dir", "nothing"], "the folder holds no adapter"),
    ):
        result = Run(app, arguments)
        assert result.exit_code == 2 and result.stderr.count("\n") == 1
        assert words in result.stderr, result.stderr


def test_an_index_on_a_server_may_be_ahead(flags: list[str]) -> None:
    Run(app, ["backup", "saved", *flags])
    back = Run(app, ["restore", "saved", "--data-dir", "bare", "--qdrant-url", "http://127.0.0.1:1"])
    assert back.exit_code == 0 and "run coldstart doctor --reconcile" in back.stderr
