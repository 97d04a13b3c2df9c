"""``coldstart backfill`` and ``/backfills``: real processes beside a real service."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest
from typer.testing import CliRunner, Result

from api.cli import app
from coldstart.catalog import open_item_store
from coldstart.catalog.backfills import BackfillStore
from coldstart.catalog.bulk import Source, State
from tests.api.conftest import Running
from tests.toyshop import Shop
from tests.workers.toy import wait_until

ROWS = 150


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No settings file or variable of this machine takes part; signals are then as they were before."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("COLDSTART_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("COLDSTART_CACHE_DIR", str(cache))
    on_term = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, on_term)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    ids, titles = [f"bulk-{n}" for n in range(ROWS)], [f"Green tea number {n}" for n in range(ROWS)]
    pl.DataFrame({"item_id": ids, "title": titles}).write_parquet(tmp_path / "bulk.parquet")
    return tmp_path / "bulk.parquet"


def run(*arguments: object, code: int = 0) -> Result:
    result = CliRunner().invoke(app, ["backfill", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result


def told(*arguments: object, code: int = 0) -> Any:
    return json.loads(run(*arguments, "--json", code=code).stdout)


def test_items_come_in_beside_a_running_service(service: Running, source: Path) -> None:
    data = ("--data-dir", service.runtime.settings.data_dir)
    done = told(source, "--yes", *data)
    assert (done["state"], done["rows"], done["retrievable"], done["waiting"]) == ("done", ROWS, ROWS, 0)
    assert done["items_per_s"] > 0 and done["eta_s"] == 0
    with httpx.Client(base_url=service.url) as http:
        assert http.get("/items/bulk-149").json()["status"] == "retrievable"
        assert http.get(f"/backfills/{done['backfill_id']}").json() == done
        assert done in http.get("/backfills").json()["backfills"]
        assert http.get(f"/backfills/{done['backfill_id']}/problems").json() == {"problems": []}
        assert http.post(f"/backfills/{done['backfill_id']}/pause").status_code == 409
        assert http.get("/backfills/nobody").status_code == 404
        # Again, when one item was deleted: what is known already is not encoded once more.
        http.delete("/items/bulk-7").raise_for_status()
    again = told(source, "--yes", *data)
    assert (again["unchanged"], again["accepted"], again["state"]) == (ROWS - 1, 1, "done")
    assert f"{again['backfill_id']}  done" in run("--status", *data).stdout


def test_killed_and_resumed_nothing_is_lost_and_nothing_comes_twice(tmp_path: Path) -> None:
    rows = 3000
    frame = pl.DataFrame({"item_id": [f"cut-{n}" for n in range(rows)], "title": ["Mint tea"] * rows})
    frame.write_csv(tmp_path / "items.csv")
    data = ("--data-dir", str(tmp_path / "data"), "--yes", "--no-wait")
    command = [sys.executable, "-m", "api.cli", "backfill", *data, "--rate", "900"]
    url = f"sqlite:///{tmp_path}/data/catalog.sqlite3"
    with closing(BackfillStore(url)) as store, closing(open_item_store(url)) as items:
        for arguments, kill, state in (
            ([str(tmp_path / "items.csv")], signal.SIGKILL, State.RUNNING), (["--resume"], signal.SIGTERM, State.PAUSED)
        ):  # fmt: skip
            before = sum(each.position for each in store.list_backfills())

            def moved(before: int = before) -> bool:
                return sum(each.position for each in store.list_backfills()) > before

            process = subprocess.Popen([*command, *arguments], cwd=Path(__file__).parents[2], stderr=subprocess.DEVNULL)
            try:
                wait_until(moved, what="a chunk", seconds=60)
            finally:
                process.send_signal(kill)
                process.wait(20)
            [found] = store.list_backfills()
            assert found.state is state and before < found.position == found.accepted < rows
        done = told("--resume", *data, "--rate", 1_000_000)
        assert (done["state"], done["accepted"], done["unchanged"], done["overtaken"]) == ("done", rows, 0, 0)
        records = items.get_many([f"cut-{n}" for n in range(rows)])
        assert len(records) == rows and {record.version for record in records.values()} == {1}


def test_a_dry_run_tells_the_cost_and_changes_nothing(shop: Shop, tmp_path: Path) -> None:
    where = ("--data-dir", tmp_path / "data", "--adapter", shop.artifact)
    cost = told(shop.data, "--dry-run", *where)
    assert (cost["rows"], cost["items"], cost["pictures"], cost["addresses"], cost["refused"]) == (16, 16, 16, 0, 0)
    sizes = sum(path.stat().st_size for path in (shop.data / "images").iterdir())
    assert (cost["picture_bytes"], cost["sampled"], cost["problems"]) == (sizes, 16, [])
    assert cost["cpu_hours"] == pytest.approx(16 * cost["cpu_ms_per_item"] / 3.6e6, abs=1e-3)
    assert cost["eta_s"]["1"] > 0 and cost["disk_mb"] > 0
    text = run(shop.data, "--dry-run", *where).stdout
    assert "16 items, 16 with a picture" in text and "by number of workers 1:" in text
    assert not (tmp_path / "data").exists()


def test_the_cost_is_told_before_it_begins(shop: Shop, tmp_path: Path) -> None:
    where = ("--data-dir", tmp_path / "data", "--adapter", shop.artifact, "--no-wait")
    first = run(shop.data, *where)
    assert "CPU-hours" in first.stderr and "16 accepted (0 retrievable, 16 waiting" in first.stdout


def test_problems_are_listed_and_too_many_end_it(tmp_path: Path) -> None:
    (tmp_path / "items.jsonl").write_text('{"item_id": "a", "title": "A"}\n{"item_id": "a", "title": "B"}\n{\n')
    where = (tmp_path / "items.jsonl", "--yes", "--no-wait", "--data-dir", tmp_path / "data")
    failed = told(*where, "--max-problems", 1, code=1)
    assert (failed["state"], failed["accepted"], failed["refused"]) == ("failed", 1, 2)
    shown = run("--status", "--id", failed["backfill_id"], "--data-dir", tmp_path / "data").stdout
    assert "items.jsonl, row 2: a: the id is also in items.jsonl, row 1" in shown
    assert "items.jsonl, row 3: : the line is not JSON" in shown and "2 rows have something wrong" in shown
    done = told("--resume", *where[1:])
    assert (done["state"], done["error"]) == ("done", None)


def test_a_changed_source_and_a_second_load_are_refused(source: Path, tmp_path: Path) -> None:
    where = ("--yes", "--no-wait", "--data-dir", tmp_path / "data")
    with closing(BackfillStore(f"sqlite:///{tmp_path / 'data' / 'catalog.sqlite3'}")) as store:
        store.create("other", Source(str(source), "of before", 1, 1), owner="elsewhere")
        assert "backfill other of it is under way" in run(source, *where, code=2).stderr
        store.end("other", State.PAUSED, owner="elsewhere")
        assert "the source has changed since" in run("--resume", *where, code=2).stderr
        assert told(source, *where)["accepted"] == ROWS
        assert store.get("other").state is State.FAILED


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ([], "there is nothing to load"),
        (["--status", "--resume"], "only one of"),
        (["--resume"], "no backfill was left half way"),
        (["--status", "--id", "x"], "there is no such backfill"),
        (["nowhere", "--yes"], "there is no such file or folder"),
        (["nowhere", "--dry-run"], "there is no such file or folder"),
    ],
)
def test_what_cannot_be_done_is_one_line(arguments: list[str], what: str) -> None:
    result = run(*arguments, "--data-dir", "data", code=2)
    assert result.stderr.count("\n") == 1 and what in result.stderr


def test_one_that_runs_can_be_paused_over_http(service: Running, source: Path) -> None:
    store = service.runtime.backfills
    store.create("idle", Source("/elsewhere/x.csv", "d", 1, 10), owner="dead")
    with httpx.Client(base_url=service.url) as http:
        paused = http.post("/backfills/idle/pause").json()
        assert (paused["state"], paused["items_per_s"], paused["eta_s"]) == ("paused", None, None)
    assert store.beat("idle", owner="dead").state is State.PAUSED
