"""What `ServerIndexStore` asks of a Qdrant server, over HTTP, answered by qdrant-client's local mode.

No Qdrant server comes from a package registry. This has its protocol and none of its engine: it is for tests of what
lies before the index, such as several processes that share one.
"""

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic, sleep
from typing import Any

import uvicorn
from fastapi import FastAPI
from qdrant_client import QdrantClient, models

from benchmarks.processes import free_port

VERSION = "1.16.0"


def application() -> FastAPI:
    """An empty server."""
    app, lock = FastAPI(), threading.Lock()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        client = QdrantClient(":memory:")

    def told(result: Any) -> dict[str, Any]:
        return {"result": result, "status": "ok", "time": 0.0}

    done = {"operation_id": 0, "status": "completed"}

    @app.get("/")
    def info() -> dict[str, str]:
        return {"title": "a stand-in", "version": VERSION}

    @app.get("/collections")
    def collections() -> Any:
        return told(client.get_collections())

    @app.get("/collections/{name}/exists")
    def exists(name: str) -> Any:
        return told({"exists": client.collection_exists(name)})

    @app.put("/collections/{name}")
    def create(name: str, body: models.CreateCollection) -> Any:
        with lock:
            return told(client.create_collection(name, vectors_config=body.vectors))

    @app.get("/collections/{name}")
    def collection(name: str) -> Any:
        return told(client.get_collection(name))

    @app.delete("/collections/{name}")
    def drop(name: str) -> Any:
        with lock:
            return told(client.delete_collection(name))

    @app.put("/collections/{name}/index")
    def index_payload(name: str) -> Any:  # local mode looks at every payload
        return told(done)

    @app.put("/collections/{name}/points")
    def upsert(name: str, body: models.PointsList) -> Any:
        with lock:
            client.upsert(name, body.points, update_filter=body.update_filter)
        return told(done)

    @app.post("/collections/{name}/points")
    def retrieve(name: str, body: models.PointRequest) -> Any:
        with lock:
            found = client.retrieve(name, body.ids, body.with_payload or False, with_vectors=body.with_vector or False)
        return told(found)

    @app.post("/collections/{name}/points/query/batch")
    def query(name: str, body: models.QueryRequestBatch) -> Any:
        with lock:
            return told(client.query_batch_points(name, body.searches))

    @app.post("/collections/{name}/points/count")
    def count(name: str, body: models.CountRequest) -> Any:
        with lock:
            return told(client.count(name, body.filter))

    @app.post("/collections/{name}/points/scroll")
    def scroll(name: str, body: models.ScrollRequest) -> Any:
        with lock:
            points, offset = client.scroll(
                name, body.filter, limit=body.limit or 10, offset=body.offset,
                with_payload=body.with_payload or False, with_vectors=body.with_vector or False,
            )  # fmt: skip
        return told({"points": points, "next_page_offset": offset})

    @app.get("/aliases")
    def aliases() -> Any:
        return told(client.get_aliases())

    @app.post("/collections/aliases")
    def change_aliases(body: models.ChangeAliasesOperation) -> Any:
        with lock:
            return told(client.update_collection_aliases(body.actions))

    return app


@contextmanager
def qdrant() -> Iterator[str]:
    """The URL of an empty one."""
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(application(), host="127.0.0.1", port=port, log_config=None))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        deadline = monotonic() + 30
        while not server.started:
            if monotonic() > deadline or not thread.is_alive():
                raise RuntimeError("the stand-in for Qdrant does not start")
            sleep(0.01)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()
