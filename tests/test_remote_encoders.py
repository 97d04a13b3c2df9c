"""A service whose encoders run on Triton: items become retrievable, and wait unharmed while Triton is away."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("torch", reason="the export needs coldstart-service[train]")

from adapters.artifact import Artifact, EncoderName
from adapters.config import AdapterConfig
from adapters.export import export_ranker
from adapters.fit import fit
from adapters.serving import TAIL, ServedAdapter
from api.cli.arrivals import item_body, lists_of
from benchmarks import processes
from benchmarks.triton import Triton
from coldstart.encoders.triton import Serving, write_model
from tests import servers
from tests.adapters.toy import make_world
from tests.adapters.toy_neumf import with_towers
from tests.toyshop import Shop, make_shop

ITEMS = 8


@pytest.fixture(scope="module")
def shop(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return make_shop(tmp_path_factory.mktemp("shop"), cache=cache)


@pytest.fixture(scope="module")
def neumf() -> Artifact:
    """An adapter on a NeuMF that has a say, which the shop's has not."""
    world, name = with_towers(make_world()), EncoderName("toy", "1")
    adapter = fit(world.backbone, world.contents, config=AdapterConfig(neighbours=5, image_dim=8, content_dim=16))
    return Artifact(adapter.with_scales(cold_ranker=0.3, warm_ranker=0.3), name, name, "0123456789ab")


@pytest.fixture(scope="module")
def triton(shop: Shop, neumf: Artifact, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Triton]:
    repository = tmp_path_factory.mktemp("served") / "models"
    command = ["export", "triton", str(repository), "--adapter", str(shop.artifact), "--cache-dir", str(cache)]
    run = [sys.executable, "-m", "api.cli", *command, "--device", "cpu", "--json"]
    told = json.loads(subprocess.run(run, capture_output=True, text=True, check=True).stdout)
    assert told["repository"] == str(repository)
    assert [model["name"] for model in told["models"]] == ["coldstart-text", "coldstart-image", "coldstart-adapter"]
    ranker = tmp_path_factory.mktemp("ranker") / "ranker.onnx"
    export_ranker(neumf, ranker)
    write_model(repository, "coldstart-ranker", ranker, Serving(device="cpu"))
    with servers.triton(repository) as server:
        yield server


@pytest.mark.parametrize("transport", ["http", "grpc"])
def test_items_become_retrievable_and_wait_while_the_server_is_away(
    triton: Triton, shop: Shop, cache: Path, tmp_path: Path, transport: str
) -> None:
    flags = [
        "--data-dir", str(tmp_path / "state"), "--adapter", str(shop.artifact), "--cache-dir", str(cache),
        "--encoder-url", triton.http_url if transport == "http" else triton.grpc_url, "--relay-seconds", "0.2",
        "--max-attempts", "1",
    ]  # fmt: skip
    known = len(shop.dataset.items)
    items = [{"item_id": f"new-{n}", **item_body(shop.dataset, n % known)} for n in range(2 * ITEMS)]
    with processes.service(flags, tmp_path / "service.log") as service:
        before = inferences(triton)
        assert service.client.post("/items/batch", json={"items": items[:ITEMS]}).json()["accepted"] == ITEMS
        service.wait_until(
            lambda: service.counts()["retrievable"] == known + ITEMS, seconds=60, what="every item in the index"
        )
        assert inferences(triton) - before >= 2 * ITEMS  # a text and a picture each: nothing was encoded here
        triton.kill()
        try:
            assert service.client.post("/items/batch", json={"items": items[ITEMS:]}).json()["accepted"] == ITEMS
            waits = "does not answer" if transport == "http" else "UNAVAILABLE"
            service.wait_until(lambda: waits in service.output, seconds=60, what="a try")
            assert service.counts()["retrievable"] == known + ITEMS
            assert len(lists_of(service.client, ["tea-user-0"], limit=10)["tea-user-0"]) > 0
            said = service.client.post("/recommendations", json={"preferences": "green tea", "limit": 3})
            assert said.json()["degraded"] is True
            put = service.client.put("/users/new", json={"preferences": "green tea"})
            assert put.status_code == 503
            assert "encoder server" in put.json()["detail"]
        finally:
            triton.start()
        service.wait_until(
            lambda: service.counts()["retrievable"] == known + 2 * ITEMS, seconds=60, what="what had waited"
        )
        assert service.counts()["dead"] == 0
        listed = lists_of(service.client, ["tea-user-0"], limit=100, only_cold=True)["tea-user-0"]
        assert sorted(listed) == sorted(str(item["item_id"]) for item in items)


def test_adapter_and_ranker_answer_there_as_here(triton: Triton, shop: Shop, neumf: Artifact) -> None:
    served, ranked = ServedAdapter.load(shop.artifact), ServedAdapter(neumf)
    text, image, present = served.remembered(["tea-0", "tool-3", "tea-5"])
    text[1], image[2], present[1, 0], present[2, 1] = 0, 0, False, False
    here = served.serve(["new-0", "new-1", "new-2"], text, image, present)
    there = infer(triton, "coldstart-adapter", text=text, image=image, terms=np.full((3, 1), -1))
    np.testing.assert_allclose(there["vectors"], here.vectors, atol=1e-5)
    np.testing.assert_allclose(there["gates"], here.gates, atol=1e-5)
    assert ranked.tower is not None
    items = ranked.tower.items[None, :7]
    logits = infer(triton, "coldstart-ranker", users=np.array([[2]]), items=TAIL * items)["logits"]
    np.testing.assert_allclose(logits[0], ranked.tower.perceptron(ranked.tower.users[2:3], items[0]), atol=1e-5)


def infer(triton: Triton, model: str, **inputs: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """The model's outputs by name."""
    kinds = {"f": "FP32", "i": "INT64"}
    told = [
        {"name": name, "shape": each.shape, "datatype": kinds[each.dtype.kind], "data": each.ravel().tolist()}
        for name, each in inputs.items()
    ]
    answer = httpx.post(f"{triton.http_url}/v2/models/{model}/infer", json={"inputs": told})
    assert answer.is_success, answer.text
    return {each["name"]: np.reshape(each["data"], each["shape"]) for each in answer.json()["outputs"]}


def inferences(triton: Triton) -> int:
    """How many elements Triton has encoded since it started."""
    stats = httpx.get(f"{triton.http_url}/v2/models/stats").json()["model_stats"]
    return sum(int(model["inference_count"]) for model in stats)


def test_a_service_that_starts_without_its_server_is_ready_when_that_is(
    triton: Triton, shop: Shop, cache: Path, tmp_path: Path
) -> None:
    port = servers.free_port()
    command = [
        "serve", "--port", str(port), "--data-dir", str(tmp_path / "state"), "--adapter", str(shop.artifact),
        "--cache-dir", str(cache), "--encoder-url", triton.grpc_url,
    ]  # fmt: skip

    def health(status: int) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{port}/health/ready").status_code == status
        except httpx.TransportError:
            return False

    triton.kill()
    service = processes.Process(command, tmp_path / "service.log")
    try:
        try:
            service.wait_until(lambda: health(503), seconds=60, what="a service that is not ready")
        finally:
            triton.start()
        service.wait_until(lambda: health(200), seconds=60, what="readiness")
    finally:
        service.stop()


def test_doctor_names_a_server_that_has_other_encoders(triton: Triton, shop: Shop, cache: Path, tmp_path: Path) -> None:
    run = [
        sys.executable, "-m", "api.cli", "doctor", "--data-dir", str(tmp_path), "--adapter", str(shop.artifact),
        "--cache-dir", str(cache), "--encoder-url", triton.http_url, "--encoder-text-name",
    ]  # fmt: skip
    right = subprocess.run([*run, "coldstart-text"], capture_output=True, text=True)
    assert "encode, as the adapter knows them" in " ".join(right.stdout.split())
    wrong = subprocess.run([*run, "coldstart-image"], capture_output=True, text=True)
    assert "the encoder server has no version" in " ".join(wrong.stdout.split())
    assert wrong.returncode != 0
