"""The least that a service can do: FastAPI, and one bare query of Qdrant Edge.

``python -m benchmarks.floor COLLECTION QUERIES PORT`` serves ``/users/{n}/recommendations``: the ids and scores of the
20 nearest to row n of a file of vectors. No filter, nothing known of anybody, nothing counted.
"""

import sys
from pathlib import Path

import numpy as np
import orjson
import qdrant_edge as qdrant
import uvicorn
from fastapi import FastAPI, Response

from coldstart.index.edge import effort

LIMIT = 20


def make_app(collection: Path, queries: Path) -> FastAPI:
    """The application on a collection's folder, which no other process may have open."""
    vectors = np.load(queries, allow_pickle=False)
    width = qdrant.EdgeVectorParams(size=vectors.shape[1], distance=qdrant.Distance.Dot)
    # One search thread, as the service has: with more the floor is higher.
    shard = qdrant.EdgeShard.load(str(collection), qdrant.EdgeConfig(vectors=width, max_search_threads=1))
    params = qdrant.SearchParams(hnsw_ef=effort(shard.info().points_count))  # and looks as far
    app = FastAPI()

    @app.get("/users/{user}/recommendations")
    async def nearest(user: int, limit: int = LIMIT) -> Response:
        query = qdrant.Query.Nearest(vectors[user].tolist())
        found = shard.search(qdrant.SearchRequest(query, limit, with_payload=True, params=params))
        rows = [{"item_id": (point.payload or {})["item_id"], "score": point.score} for point in found]
        return Response(orjson.dumps({"rows": rows}), media_type="application/json")

    return app


if __name__ == "__main__":
    folder, file, port = sys.argv[1:]
    uvicorn.run(
        make_app(Path(folder), Path(file)), port=int(port), http="httptools", access_log=False, log_level="error"
    )
