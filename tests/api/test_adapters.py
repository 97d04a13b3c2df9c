"""Adapter versions over HTTP and on the command line, of a service that runs."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from adapters.artifact import load_artifact, save_artifact
from api.cli import app
from tests.api.conftest import Running
from tests.toyshop import Shop
from tests.workers.toy import wait_until

Run = CliRunner().invoke


def save(shop: Shop, folder: Path, **scales: float) -> str:
    """Another version of the shop's adapter; returns it."""
    artifact = load_artifact(shop.artifact)
    return save_artifact(
        artifact.adapter.with_scales(**scales), folder, text=artifact.text, image=artifact.image,
        backbone_dir=shop.artifact.parent / "backbone", card="# Cold NDCG@20 on validation: 0.2",
    )  # fmt: skip


@pytest.fixture
def ready(service: Running, http: httpx.Client, shop: Shop) -> Iterator[tuple[str, str]]:
    """The version that is live and another that is ready; afterwards the service is as it was."""
    old = http.get("/status").json()["adapter_version"]
    new = save(shop, service.runtime.settings.data_dir / "artifacts" / "second", cold=0.9, warm_content=0.1)
    answer = http.post("/adapters", json={"folder": "second"})
    assert answer.status_code == 202 and answer.json()["version"] == new, answer.text
    wait_for(http, new, "ready")
    yield old, new
    if http.get("/status").json()["adapter_version"] != old:
        http.post("/adapters/rollback")
    http.delete(f"/adapters/{new}")
    service.runtime.lifecycle.follow()
    assert http.get("/status").json()["adapter_version"] == old


def wait_for(http: httpx.Client, version: str, status: str) -> None:
    wait_until(lambda: http.get(f"/adapters/{version}").json()["status"] == status, what=f"{version} {status}")


def test_a_version_is_promoted_and_rolled_back(http: httpx.Client, ready: tuple[str, str]) -> None:
    old, new = ready
    shown = http.get(f"/adapters/{new}").json()
    assert shown["card"].startswith("# Cold NDCG@20") and shown["projected"] == shown["total"] > 0
    assert {each["version"]: each["status"] for each in http.get("/adapters").json()["adapters"]} == {
        old: "live", new: "ready"
    }  # fmt: skip
    before = http.get("/users/tea-user-0/recommendations").json()
    assert http.post(f"/adapters/{new}/promote").json()["status"] == "live"
    after = http.get("/users/tea-user-0/recommendations").json()
    assert (before["adapter_version"], after["adapter_version"]) == (old, new)
    assert [row["score"] for row in before["rows"]] != [row["score"] for row in after["rows"]]
    assert http.get("/items/tea-0/similar").json()["adapter_version"] == new
    assert http.get("/status").json()["adapter_version"] == new
    figures = http.get("/metrics").text
    assert f'coldstart_adapter_status{{status="live",version="{new}"}} 1.0' in figures
    wait_until(lambda: http.get("/items/tea-0").json()["adapter_version"] == new, what="the row")
    assert http.post("/adapters/rollback").json()["version"] == old
    assert http.get("/users/tea-user-0/recommendations").json()["adapter_version"] == old


def test_what_is_refused_says_why_and_what_to_do(http: httpx.Client, ready: tuple[str, str]) -> None:
    old, _ = ready
    for method, address, status in (
        ("POST", "/adapters/feedbeef/promote", 404),
        ("POST", f"/adapters/{old}/promote", 409),
        ("POST", "/adapters/rollback", 409),
        ("DELETE", f"/adapters/{old}", 409),
        ("GET", "/adapters/feedbeef", 404),
        ("GET", "/adapters/..%2F..", 422),
    ):
        answer = http.request(method, address)
        assert answer.status_code == status, f"{method} {address}: {answer.text}"
        assert answer.json()["detail"]
        assert status == 422 or answer.json()["remedy"]
    assert http.get("/status").json()["adapter_version"] == old


@pytest.mark.parametrize("folder", ["../adapter", "a/b", "/etc", "..", ".hidden", "", "a" * 101, "sec\0ond", 3])
def test_nothing_leads_out_of_the_folder_of_artifacts(http: httpx.Client, folder: object) -> None:
    answer = http.post("/adapters", json={"folder": folder})
    assert answer.status_code == 422, answer.text


def test_a_folder_without_an_adapter_is_not_found(http: httpx.Client) -> None:
    answer = http.post("/adapters", json={"folder": "nowhere"})
    assert answer.status_code == 404 and answer.json()["remedy"]


def test_the_command_line_does_the_same_and_the_service_follows(
    service: Running, http: httpx.Client, shop: Shop, tmp_path: Path, ready: tuple[str, str]
) -> None:
    old, new = ready
    place = ["--data-dir", str(service.runtime.settings.data_dir)]
    listed = json.loads(Run(app, ["adapters", "list", "--json", *place]).stdout)
    assert [(each["version"], each["status"]) for each in listed] == [(old, "live"), (new, "ready")]
    assert f"{new}  ready" in Run(app, ["adapters", "list", *place]).stdout
    assert "Cold NDCG@20" in Run(app, ["adapters", "show", new, *place]).stdout
    assert Run(app, ["adapters", "promote", old, *place]).exit_code == 2
    assert json.loads(Run(app, ["adapters", "promote", new, "--json", *place]).stdout)["status"] == "live"
    wait_until(lambda: http.get("/status").json()["adapter_version"] == new, what="the service")
    assert old in Run(app, ["adapters", "rollback", *place]).stdout
    wait_until(lambda: http.get("/status").json()["adapter_version"] == old, what="the service")
    assert "retired" in Run(app, ["adapters", "retire", new, *place]).stdout
    third = save(shop, tmp_path / "third", cold=2.5)
    registered = Run(app, ["adapters", "register", str(tmp_path / "third"), "--json", *place])
    assert json.loads(registered.stdout)["status"] == "ready", registered.output
    assert Run(app, ["adapters", "retire", third, *place]).exit_code == 0
    (tmp_path / "empty").mkdir()
    nothing = Run(app, ["adapters", "register", str(tmp_path / "empty"), *place])
    assert nothing.exit_code == 2 and "holds no adapter" in nothing.stderr
