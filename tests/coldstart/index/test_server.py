"""How a remote server's troubles are told. A small HTTP server stands in for servers that are old, refuse or fail."""

import json
import logging
import socket
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pytest
from qdrant_client import QdrantClient, models

from coldstart.errors import ColdstartError, Conflict, NotFound, Unavailable
from coldstart.index import Point
from coldstart.index.server import ServerIndex, ServerIndexStore

DIM = 4
POINT = Point("a", 1, np.ones(DIM, dtype=np.float32))


@contextmanager
def answering(status: int, body: object) -> Iterator[str]:
    """The address of a server that answers everything alike."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_PUT = do_POST = answer

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))  # seconds between looks for the end
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def info(version: str) -> dict[str, str]:
    return {"title": "qdrant", "version": version}


def test_no_server_at_the_address() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(Unavailable, match=rf"{url}: the Qdrant server does not answer .*refused"):
            ServerIndexStore.connect(url)


def test_a_server_that_ignores_update_filters_is_refused() -> None:
    with answering(200, info("1.15.5")) as url, pytest.raises(Conflict, match=r"1\.15\.5 .*Upgrade it to 1\.16"):
        ServerIndexStore.connect(url)


@pytest.mark.parametrize("version", ["1.16.0", "1.16.3-dev", "2.0.0"])
def test_a_server_that_is_new_enough_is_taken(version: str) -> None:
    with answering(200, info(version)) as url:
        ServerIndexStore.connect(url).close()


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, Conflict), (401, Unavailable), (403, Unavailable), (404, NotFound), (429, Unavailable), (500, Unavailable)],
)
@pytest.mark.parametrize(
    "call",
    [
        lambda index: index.upsert([POINT]),
        lambda index: index.delete({"a": 2}),
        lambda index: index.query(POINT.vector[None], 5),
        lambda index: index.fetch(["a"]),
        lambda index: index.count(),
    ],
    ids=["upsert", "delete", "query", "fetch", "count"],
)
def test_every_refusal_surfaces(
    status: int, error: type[ColdstartError], call: Callable[[ServerIndex], object]
) -> None:
    body = {"status": {"error": "Wrong input: Vector dimension error: expected dim: 8, got 4"}, "time": 0.0}
    with answering(status, body) as url:
        client = QdrantClient(url=url, check_compatibility=False)
        with pytest.raises(error, match="coldstart-items"):
            call(ServerIndex(client, "coldstart-items", DIM))
        client.close()


@pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant:UserWarning")
def test_deployments_that_share_a_server_stay_apart() -> None:
    client = QdrantClient(":memory:")
    ours, theirs = ServerIndexStore(client), ServerIndexStore(client, prefix="other")
    theirs.create("v1", DIM).upsert([POINT])
    theirs.promote("v1")
    assert (ours.collections(), ours.live()) == ([], None)
    assert ours.create("v1", DIM).count() == 0
    with pytest.raises(NotFound, match="v2"):
        ours.drop("v2")
    client.close()


def test_a_collection_is_opened_with_the_payload_indexes_that_its_filters_need(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each time: one that was removed, or that an older version did not make, is there again."""
    client, asked = QdrantClient(":memory:"), []
    monkeypatch.setattr(client, "create_payload_index", lambda name, field, *_, **options: asked.append((name, field)))
    for _ in range(2):
        asked.clear()
        ServerIndexStore(client).create("v1", DIM)
        assert asked == [("coldstart-v1", "version"), ("coldstart-v1", "cold")]
    client.close()


@pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant:UserWarning")
def test_foreign_points_are_left_out_and_reported(caplog: pytest.LogCaptureFixture) -> None:
    client = QdrantClient(":memory:")
    index = ServerIndexStore(client).create("v1", DIM)
    index.upsert([POINT])
    stranger = str(uuid.uuid4())
    client.upsert(
        "coldstart-v1",
        [
            models.PointStruct(id=stranger, vector=[9.0] * DIM, payload={"item_id": "a", "version": 7}),
            models.PointStruct(id=77, vector=[8.0] * DIM),
        ],
    )
    with caplog.at_level(logging.ERROR):
        [hits] = index.query(POINT.vector[None], 10)
    assert [(hit.item_id, hit.version) for hit in hits] == [("a", 1)]
    assert stranger in caplog.text
    assert "77" in caplog.text
    client.close()


@pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant:UserWarning")
def test_a_collection_of_another_make_is_a_conflict() -> None:
    client = QdrantClient(":memory:")
    named = {"text": models.VectorParams(size=DIM, distance=models.Distance.DOT)}
    client.create_collection("coldstart-v1", vectors_config=named)
    with pytest.raises(Conflict, match="v1"):
        ServerIndexStore(client).create("v1", DIM)
    client.close()
