"""The command line: flags, clear refusals, a service in a process of its own, and the examination."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import cast

import httpx
import pytest
from typer.testing import CliRunner

from adapters.serving import ServedAdapter
from api.cli import app
from api.cli.serve import listen, loading
from coldstart.catalog.experiments import ExperimentStore
from coldstart.errors import Conflict
from coldstart.experiments.design import Arm, Guardrail, Metric, Pipeline
from coldstart.index import open_index_store
from coldstart.settings import Settings
from tests.coldstart.experiments.toy import draft
from tests.toyshop import Shop
from tests.workers.toy import wait_until
from workers.runtime import Runtime

Run = CliRunner().invoke


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No settings file, variable or cache of this machine takes part; signals are then as they were before."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("COLDSTART_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("COLDSTART_CACHE_DIR", str(cache))
    on_term = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, on_term)


@contextmanager
def serving(shop: Shop, data_dir: Path, *more: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """``coldstart serve`` on a free port, once it says where it is."""
    command = [sys.executable, "-m", "api.cli", "serve", "--data-dir", str(data_dir), "--adapter", str(shop.artifact)]
    root = Path(__file__).parents[2]
    process = subprocess.Popen(
        [*command, "--port", "0", "--log-level", "WARNING", *more], stdout=subprocess.PIPE, text=True, cwd=root
    )
    try:
        assert process.stdout is not None
        found = re.search(r"http://[\d.:]+", process.stdout.readline())
        assert found, "the service ended before it listened"
        yield process, found.group()
    finally:
        process.terminate()
        process.wait(20)
        if process.stdout is not None:
            process.stdout.close()


def test_every_setting_is_a_flag() -> None:
    text = Run(app, ["serve", "--help"], env={"COLUMNS": "300"}).output
    for name in Settings.model_fields:
        assert f"--{name.replace('_', '-')}" in text


def test_help_needs_none_of_the_heavy_parts() -> None:
    code = "import sys, api.cli; print({'torch', 'fastapi', 'celery', 'qdrant_edge', 'polars'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.stdout == "set()\n", done.stderr


def test_a_missing_adapter_is_one_line_that_says_how_to_get_one(tmp_path: Path) -> None:
    result = Run(app, ["serve", "--data-dir", str(tmp_path / "new"), "--port", "0"])
    assert result.exit_code == 2 and result.stderr.count("\n") == 1
    assert "coldstart train adapter" in result.stderr and "coldstart demo" in result.stderr


def test_a_host_that_is_not_ours_is_named() -> None:
    result = Run(app, ["serve", "--host", "nowhere.invalid", "--port", "0"])
    assert result.exit_code == 2 and "nowhere.invalid:0: cannot listen here" in result.stderr


def test_a_port_in_use_says_what_to_do(tmp_path: Path) -> None:
    with listen("127.0.0.1", 0) as taken:
        result = Run(app, ["serve", "--port", str(taken.getsockname()[1])])
        assert result.exit_code == 2 and "in use" in result.stderr and "--port" in result.stderr
        with pytest.raises(Conflict):
            listen(*taken.getsockname())


def test_what_is_trained_into_a_data_folder_is_what_is_served_from_it(shop: Shop, tmp_path: Path) -> None:
    there = ["--data-dir", str(tmp_path / "data")]
    trained = Run(app, ["train", "backbone", str(shop.data), "--json", *there])
    frozen = json.loads(trained.stdout)
    assert trained.exit_code == 0 and frozen["users"] == len(shop.dataset.users)
    fitted = Run(app, ["train", "adapter", str(shop.data), "--json", *there])
    made = json.loads(fitted.stdout)
    assert made["backbone_sha256_before"] == made["backbone_sha256_after"] == frozen["sha256"]
    assert f"coldstart serve --data-dir {tmp_path / 'data'} --data {shop.data}\n" in fitted.stderr
    found = {line["subject"]: line for line in json.loads(Run(app, ["doctor", "--json", *there]).stdout)}
    assert found["adapter"]["state"] == "ok" and made["version"] in found["adapter"]["what"]


def test_a_demo_that_could_not_be_served_is_refused_before_the_work(tmp_path: Path) -> None:
    with listen("127.0.0.1", 0) as taken:
        result = Run(app, ["demo", "--data-dir", str(tmp_path / "shop"), "--port", str(taken.getsockname()[1])])
    assert result.exit_code == 2 and "in use" in result.stderr
    assert not (tmp_path / "shop").exists()


def test_a_path_that_cannot_be_used_is_one_line(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    for arguments in (
        ["serve", "--port", "0", "--adapter", str(shop.artifact), "--data-dir", str(tmp_path / "taken")],
        ["evaluate", str(shop.data), "--json", str(tmp_path)],
        ["evaluate", str(shop.data), "--json", str(tmp_path / "taken" / "result.json")],
    ):
        result = Run(app, arguments)
        assert result.exit_code == 2 and len(result.stderr.splitlines()) == 1 and str(tmp_path) in result.stderr


@pytest.mark.parametrize(
    ("arguments", "env", "words"),
    [
        (["serve"], {"COLDSTART_PROT": "1"}, ("COLDSTART_PROT", "Did you mean 'port'?")),
        (["serve", "--port", "70000"], {}, ("--port", "port", "65535")),
        (["serve", "--config", "missing.toml"], {}, ("missing.toml", "does not exist")),
        (["serve", "--data", "missing", "--port", "0"], {}, ("missing", "does not exist")),
        (["worker"], {}, ("broker",)),
    ],
)
def test_bad_settings_are_refused_by_name(arguments: list[str], env: dict[str, str], words: tuple[str, ...]) -> None:
    result = Run(app, arguments, env=env)
    assert result.exit_code == 2 and "Traceback" not in result.output
    assert all(word in result.stderr for word in words), result.stderr


def test_flags_win_over_variables_and_files(tmp_path: Path) -> None:
    (tmp_path / "coldstart.toml").write_text('claim_batch = 8\nthreads = 2\nlog_level = "ERROR"\n')
    env = {"COLDSTART_THREADS": "3", "COLDSTART_IMAGE_HOSTS": "a.example,b.example"}
    settled = json.loads(Run(app, ["doctor", "--json", "--claim-batch", "4"], env=env).stdout)[1]["what"]
    for line in (
        "claim_batch = 4 from --claim-batch",
        "threads = 3 from COLDSTART_THREADS",
        "log_level = ERROR from coldstart.toml",
        "image_hosts = ('a.example', 'b.example') from COLDSTART_IMAGE_HOSTS",
    ):
        assert line in settled


def test_secrets_are_not_printed() -> None:
    result = Run(app, ["doctor", "--broker-url", "redis://user:hunter2@127.0.0.1:1/0", "--qdrant-api-key", "hunter2"])
    assert "hunter2" not in result.output and "qdrant_api_key from --qdrant-api-key" in result.output


def test_the_catalogue_is_not_being_loaded_any_more_when_the_store_is_closed() -> None:
    started, ended = threading.Event(), threading.Event()

    class Large:
        def seed(self, dataset: None, *, stopping: Callable[[], bool]) -> None:
            started.set()
            wait_until(stopping)
            ended.set()

    with loading(cast(Runtime, Large()), None):
        assert started.wait(5)
    assert ended.is_set()


def test_serve_loads_data_refuses_a_second_owner_and_ends_politely(shop: Shop, tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    with serving(shop, data_dir, "--data", str(shop.data)) as (process, url):
        wait_until(lambda: httpx.get(f"{url}/health/ready").status_code == 200, seconds=60, what="readiness")
        wait_until(lambda: httpx.get(f"{url}/status").json()["counts"]["retrievable"] == 16, what="the data")
        second = Run(app, ["serve", "--data-dir", str(data_dir), "--adapter", str(shop.artifact), "--port", "0"])
        assert second.exit_code == 2 and f"in use by process {process.pid}" in second.stderr
        refused = Run(app, ["doctor", "--reconcile", "--data-dir", str(data_dir), "--adapter", str(shop.artifact)])
        assert refused.exit_code == 1 and "A service compares by itself, every 86400 s" in refused.stdout
        looked = Run(app, ["doctor", "--data-dir", str(data_dir), "--adapter", str(shop.artifact)])
        assert looked.exit_code == 0 and f"in use by process {process.pid}" in looked.stdout
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    healthy = Run(app, ["doctor", "--json", "--data-dir", str(data_dir), "--adapter", str(shop.artifact)])
    findings = {each["subject"]: each for each in json.loads(healthy.stdout)}
    assert {each["state"] for each in findings.values()} == {"ok"}, findings
    assert findings["index"]["what"].startswith("16 points")
    adapter = ServedAdapter.load(shop.artifact)
    with closing(open_index_store(root=data_dir / "index")) as indexes:
        index = indexes.create(adapter.version, adapter.dim)
        index.delete({"tea-0": 2})
    for figures in ({"missing": 1, "repaired": 1}, {"checked": 15}):  # then it is owed, till a service starts
        told = Run(
            app, ["doctor", "--reconcile", "--json", "--data-dir", str(data_dir), "--adapter", str(shop.artifact)]
        )
        last = json.loads(told.stdout)[-1]
        assert last["subject"] == "reconcile" and figures.items() <= json.loads(last["what"]).items(), last


def test_a_killed_service_keeps_what_it_accepted(shop: Shop, tmp_path: Path) -> None:
    with serving(shop, tmp_path) as (process, url):
        for n in range(20):
            assert httpx.put(f"{url}/items/kept-{n}", json={"title": f"Kept {n}"}).status_code == 202
        process.kill()
        process.wait(10)
    with serving(shop, tmp_path) as (_, url):
        wait_until(
            lambda: httpx.get(f"{url}/status").json()["counts"]["retrievable"] == 20 + len(shop.dataset.items),
            seconds=60,
            what="what was accepted and the backbone's own items are retrievable",
        )


def test_the_examination_fails_where_something_is_broken(shop: Shop, tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    (data_dir / "catalog.sqlite3").write_bytes(b"this is no database" * 100)
    arguments = ["doctor", "--json", "--data-dir", str(data_dir), "--broker-url", "redis://127.0.0.1:1/0"]
    result = Run(app, arguments)
    states = {each["subject"]: each["state"] for each in json.loads(result.stdout)}
    assert result.exit_code == 1
    assert states["database"] == states["adapter"] == states["broker"] == "fail" and states["folder"] == "ok"


def test_doctor_makes_nothing(shop: Shop, tmp_path: Path) -> None:
    """Not even the tables of a catalogue that is missing beside its index."""
    adapter = ServedAdapter.load(shop.artifact)
    indexes = open_index_store(root=tmp_path / "data" / "index")
    indexes.create(adapter.version, adapter.dim)
    indexes.close()
    before = sorted(path.name for path in (tmp_path / "data").iterdir())
    looked = Run(app, ["doctor", "--json", "--data-dir", str(tmp_path / "data"), "--adapter", str(shop.artifact)])
    findings = {finding["subject"]: finding for finding in json.loads(looked.stdout)}
    assert findings["index"]["state"] == "warn" and "no tables" in findings["index"]["what"]
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == before


def test_a_key_is_shown_once_listed_and_revoked(tmp_path: Path) -> None:
    there = ["--data-dir", str(tmp_path / "data")]
    made = Run(app, ["keys", "create", "--scope", "write", "--name", "feed", *there])
    token = made.stdout.strip()
    assert made.exit_code == 0 and re.fullmatch("cs_[0-9a-f]{12}_[0-9a-f]{64}", token)
    other = json.loads(Run(app, ["keys", "create", "--scope", "read", "--json", *there]).stdout)
    assert other["key"].startswith(f"cs_{other['id']}_")
    for listed in (Run(app, ["keys", "list", *there]), Run(app, ["keys", "list", "--json", *there])):
        assert "feed" in listed.stdout and token.rpartition("_")[2] not in listed.output
    assert Run(app, ["keys", "revoke", other["id"], *there]).exit_code == 0
    rows = {row["id"]: row for row in json.loads(Run(app, ["keys", "list", "--json", *there]).stdout)}
    assert [rows[key_id]["revoked_at"] is None for key_id in (token.split("_")[1], other["id"])] == [True, False]
    unknown = Run(app, ["keys", "revoke", "nobody", *there])
    assert unknown.exit_code == 2 and "coldstart keys list" in unknown.stderr


def test_an_experiment_is_listed_started_reported_on_and_stopped(tmp_path: Path) -> None:
    there = ["--data-dir", str(tmp_path / "data")]
    store = ExperimentStore(Settings(data_dir=tmp_path / "data").catalog_url)
    arms = Arm("old", 0.5), Arm("new", 0.5, Pipeline(diversity=0.3))
    rail = Guardrail(Metric.parse("cold_share"), 0.02)
    store.create(draft(arms=arms, guardrails=(rail,)))
    store.close()
    assert "toy  draft    ab  100% of default  click_through" in Run(app, ["experiments", "list", *there]).stdout
    shown = Run(app, ["experiments", "show", "toy", *there]).stdout
    assert "new: diversity 0.3" in shown and "must not lose 2.0% of cold_share" in shown
    started = json.loads(Run(app, ["experiments", "start", "toy", "--json", *there]).stdout)
    assert started["status"] == "running" and started["buckets"] == [[0, 10_000]]
    again = Run(app, ["experiments", "start", "toy", *there])
    assert again.exit_code == 2 and "is running already" in again.stderr
    told = Run(app, ["experiments", "report", "toy", *there]).stdout
    assert "toy by click_through: 0 lists; old 0, new 0" in told and told.splitlines()[-1].startswith("no difference")
    assert json.loads(Run(app, ["experiments", "report", "toy", "--json", *there]).stdout)["lists"] == 0
    assert "stopped" in Run(app, ["experiments", "stop", "toy", *there]).stdout
    [listed] = json.loads(Run(app, ["experiments", "list", "--json", *there]).stdout)
    assert listed["status"] == "stopped" and listed["stopped_at"] > listed["started_at"]


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])  # noqa: S104 (refused)
def test_strangers_are_not_served_without_a_key(host: str, tmp_path: Path) -> None:
    there = ["--data-dir", str(tmp_path / "data"), "--port", "0"]
    for command in (["serve"], ["serve", "--no-require-keys"], ["demo"]):
        refused = Run(app, [*command, "--host", host, *there])
        assert refused.exit_code == 2 and len(refused.stderr.splitlines()) == 1
        assert "coldstart keys create" in refused.stderr and "127.0.0.1" in refused.stderr
    key_id = json.loads(Run(app, ["keys", "create", "--scope", "read", "--json", *there[:2]]).stdout)["id"]
    assert "holds no adapter" in Run(app, ["serve", "--host", host, *there]).stderr  # the next thing to be missed
    assert "loopback" in Run(app, ["serve", "--no-require-keys", "--host", host, *there]).stderr
    Run(app, ["keys", "revoke", key_id, *there[:2]])
    assert "coldstart keys create" in Run(app, ["serve", "--host", host, *there]).stderr


def test_a_running_service_knows_new_and_revoked_keys_within_moments(
    shop: Shop, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    there = ["--data-dir", str(tmp_path / "data")]
    with serving(shop, tmp_path / "data", "--log-level", "DEBUG") as (_, url):
        assert httpx.get(f"{url}/status").status_code == 200
        made = json.loads(Run(app, ["keys", "create", "--scope", "read", "--json", *there]).stdout)
        headers = {"Authorization": f"Bearer {made['key']}"}
        wait_until(lambda: httpx.get(f"{url}/status").status_code == 401, what="a key is asked for")
        assert httpx.get(f"{url}/status", headers=headers).status_code == 200
        assert httpx.delete(f"{url}/items/tea-0", headers=headers).status_code == 403
        Run(app, ["keys", "revoke", made["id"], *there])
        wait_until(lambda: httpx.get(f"{url}/status", headers=headers).status_code == 401, what="the key is refused")
        looked = Run(app, ["doctor", "--json", *there, "--adapter", str(shop.artifact)]).stdout
        assert {each["subject"]: each for each in json.loads(looked)}["keys"]["state"] == "warn"
    with serving(shop, tmp_path / "data", "--no-require-keys") as (_, url):
        assert httpx.get(f"{url}/status").status_code == 200
    assert made["key"].rpartition("_")[2] not in capfd.readouterr().err
