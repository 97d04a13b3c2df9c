"""How exact and how quick the search is: lists of a service over HTTP on loopback, beside faiss on the same vectors.

``python -m benchmarks.ann [--quick]`` serves indexes of 10,000, 100,000 and a million vectors of 64 numbers (--quick:
the first two) and compares lists of 10 with an exact scan. faiss' HNSW searches the same vectors in the process, with
the least effort that finds as much: engines are compared at equal recall, as their parameters do not mean the same.
Ends with one JSON line.

Each index is built by a process of its own and kept below ``--work``. Of a million that takes a quarter of an hour.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import orjson
from scipy.sparse import csr_matrix

from adapters.artifact import EncoderName, save_artifact
from adapters.config import AdapterConfig
from adapters.content import Contents
from adapters.fit import fit
from adapters.serving import ServedAdapter
from benchmarks import command, processes
from benchmarks.clients import Client, request
from coldstart.backbones import FrozenBackbone
from coldstart.encoders import DEFAULT_IMAGE_MODEL, DEFAULT_TEXT_MODEL, open_image_encoder, open_text_encoder
from coldstart.ids import IdMap
from coldstart.index import Point
from coldstart.index.edge_store import EdgeIndexStore
from coldstart.settings import Settings
from coldstart.vectors import Matrix, Rows, normalise

BLOCK, K, USERS, WARM = 32, 10, 500, 100
AXES = 16
"""Directions in which items differ most, as those of a recommender do: vectors without any have no near neighbours."""
LINKS, BUILD_EFFORT = 16, 100  # of either graph: what Edge takes by itself
EFFORTS = (16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096)
BATCH = 10_000


@dataclass(frozen=True, slots=True)
class Search:
    """Of an index of so many vectors: share of the 10 best that are found, and milliseconds.

    ``p50_ms`` and ``p99_ms`` are of lists over HTTP at one client, the others of a search in the process.
    """

    items: int
    recall10: float
    p50_ms: float
    p99_ms: float
    edge_p50_ms: float
    edge_build_s: float
    faiss_recall10: float
    faiss_effort: int
    faiss_p50_ms: float
    faiss_build_s: float
    rss_mb: float


@dataclass(frozen=True, slots=True)
class Figures:
    """The largest index, and in ``grown`` all of them, the smallest first."""

    items: int
    recall10: float
    p50_ms: float
    p99_ms: float
    edge_p50_ms: float
    faiss_recall10: float
    faiss_effort: int
    faiss_p50_ms: float
    grown: list[dict[str, Any]]


def main() -> None:
    """Run and print; with ``--build FOLDER ITEMS`` only build one index."""
    parser = command.parser(__doc__, quick="without the million")
    parser.add_argument("--build", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    processes.end_on_sigterm()
    if asked.build is not None:
        _build(Path(asked.build[0]), int(asked.build[1]))
        return
    sizes = (10_000, 100_000) if asked.quick else (10_000, 100_000, 1_000_000)
    command.tell(run(asked.work, sizes))


def run(work: Path, sizes: Sequence[int]) -> Figures:
    """Measure indexes of these sizes, the smallest first."""
    grown = [_measure(work / f"ann-{items}", items) for items in sizes]
    for each in grown:
        print("  ".join(f"{name} {value:,}" for name, value in asdict(each).items()))
    last = grown[-1]
    return Figures(
        items=last.items, recall10=last.recall10, p50_ms=last.p50_ms, p99_ms=last.p99_ms, edge_p50_ms=last.edge_p50_ms,
        faiss_recall10=last.faiss_recall10, faiss_effort=last.faiss_effort, faiss_p50_ms=last.faiss_p50_ms,
        grown=[asdict(each) for each in grown],
    )  # fmt: skip


def _measure(folder: Path, items: int) -> Search:
    if not (folder / "built.json").exists():
        shutil.rmtree(folder, ignore_errors=True)
        command_line = [sys.executable, "-m", "benchmarks.ann", "--build", str(folder), str(items)]
        subprocess.run(command_line, check=True, stdout=sys.stderr)
    built = orjson.loads((folder / "built.json").read_bytes())
    adapter = ServedAdapter.load(folder / "adapter")
    vectors, queries = np.load(folder / "vectors.npy"), _queries(adapter)
    best = _exact(vectors, queries)
    unseen = _exact(vectors, queries, met=[_met(adapter, n, items) for n in range(USERS)])
    with tempfile.TemporaryDirectory(prefix="coldstart-ann-") as copy:
        # The service brings the backbone's items in and counts what it shows: the next run begins where this one did.
        shutil.copytree(folder / "state", Path(copy) / "state")
        lists, ms, rss_mb = _served(Path(copy) / "state", folder / "adapter", adapter, items)
        edge_ms = _edge_ms(Path(copy) / "state" / "index", adapter, queries)
    recall = _recall(lists, unseen)
    graph = faiss.read_index(str(folder / "faiss.index"))
    effort, faiss_recall, faiss_ms = _faiss(graph, queries, best, at_least=recall)
    return Search(
        items=items, recall10=round(recall, 4), p50_ms=_at(ms, 50), p99_ms=_at(ms, 99), edge_p50_ms=_at(edge_ms, 50),
        edge_build_s=built["edge_s"], faiss_recall10=round(faiss_recall, 4), faiss_effort=effort,
        faiss_p50_ms=_at(faiss_ms, 50), faiss_build_s=built["faiss_s"], rss_mb=rss_mb,
    )  # fmt: skip


def _served(
    state: Path, artifact: Path, adapter: ServedAdapter, items: int
) -> tuple[list[list[int]], list[float], float]:
    """Rows of each list by a service, milliseconds of lists that were asked for before, and the memory it takes."""
    flags = ["--data-dir", str(state), "--adapter", str(artifact), "--cold-share", "0"]
    asked = [request(f"/users/user-{n}/recommendations?limit={K}") for n in range(USERS)]
    with processes.service(flags, state.parent / "service.log") as service:
        brought_in = lambda: service.counts()["retrievable"] == WARM  # noqa: E731
        service.wait_until(brought_in, seconds=60, what="the backbone's items")
        client, lists = Client(service.url), []
        for each in asked:
            client.ask(each)
            rows = orjson.loads(client.last)["rows"]
            lists.append([_row_of(row["item_id"], items) for row in rows])
        ms = [client.ask(each) for _ in range(4) for each in asked]
        client.close()
        return lists, ms, round(service.memory_mb()[0])


def _edge_ms(index: Path, adapter: ServedAdapter, queries: Matrix) -> list[float]:
    store = EdgeIndexStore(index)
    opened = store.create(adapter.version, adapter.dim)
    ms = _each_ms(queries, lambda query: opened.query(query, K))
    store.close()
    return ms


def _faiss(graph: Any, queries: Matrix, best: Rows, *, at_least: float) -> tuple[int, float, list[float]]:
    """The least effort that finds so much, what it finds, and its milliseconds."""
    faiss.omp_set_num_threads(1)
    for effort in EFFORTS:
        graph.hnsw.efSearch = effort
        found = graph.search(queries, K)[1]
        if (recall := _recall(found.tolist(), best)) >= at_least:
            break
    return effort, recall, _each_ms(queries, lambda query: graph.search(query, K))


def _each_ms(queries: Matrix, search: Callable[[Matrix], object]) -> list[float]:
    ms = []
    for query in [*queries, *queries]:
        start = time.perf_counter()
        search(query[None])
        ms.append((time.perf_counter() - start) * 1000)
    return ms[len(queries) :]


def _exact(vectors: Matrix, queries: Matrix, *, met: Sequence[list[int]] | None = None) -> Rows:
    """The best rows [n, 10] for the queries [n, D], by a scan, without those of each that are given."""
    best = np.empty((len(queries), K), dtype=np.int64)
    for n, query in enumerate(queries):
        scores = vectors @ query
        if met is not None:
            scores[met[n]] = -np.inf
        best[n] = np.argpartition(-scores, K)[:K]
    return best


def _met(adapter: ServedAdapter, user: int, items: int) -> list[int]:
    return [_row_of(item_id, items) for item_id in adapter.seen(f"user-{user}")]


def _recall(found: Sequence[Sequence[int]], best: Rows) -> float:
    hits = [len(set(mine) & set(right)) for mine, right in zip(found, best.tolist(), strict=True)]
    return sum(hits) / best.size


def _queries(adapter: ServedAdapter) -> Matrix:
    found = [query for n in range(USERS) if (query := adapter.user_vector(f"user-{n}")) is not None]
    return np.stack(found)


def _row_of(item_id: str, items: int) -> int:
    """Of an item in the vectors: the backbone's own stand behind the others."""
    kind, _, number = item_id.partition("-")
    return int(number) + (items if kind == "warm" else 0)


def _build(folder: Path, items: int) -> None:
    """An adapter of a few warm items, an index of many others beside them, and faiss' graph of all."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    adapter = _adapter(folder, rng)
    axes = rng.standard_normal((AXES, adapter.dim)).astype(np.float32)
    taste = rng.standard_normal((items, AXES)).astype(np.float32)
    others = normalise(taste @ axes + rng.standard_normal((items, adapter.dim)).astype(np.float32))
    start = time.perf_counter()
    store = EdgeIndexStore(folder / "state" / "index")
    index = store.create(adapter.version, adapter.dim)
    for first in range(0, items, BATCH):
        rows = range(first, min(first + BATCH, items))
        index.upsert([Point(f"item-{row}", 1, others[row], {"cold": False}) for row in rows])
    index.optimize()
    store.promote(adapter.version)
    store.close()
    edge_s = time.perf_counter() - start
    ids = [f"warm-{n}" for n in range(WARM)]
    vectors = np.concatenate([others, adapter.serve(ids, *adapter.remembered(ids)).vectors])
    np.save(folder / "vectors.npy", vectors)
    start = time.perf_counter()
    graph = faiss.IndexHNSWFlat(adapter.dim, LINKS, faiss.METRIC_INNER_PRODUCT)
    graph.hnsw.efConstruction = BUILD_EFFORT
    graph.add(vectors)
    faiss.write_index(graph, str(folder / "faiss.index"))
    seconds = {"edge_s": round(edge_s, 1), "faiss_s": round(time.perf_counter() - start, 1)}
    (folder / "built.json").write_bytes(orjson.dumps(seconds))


def _adapter(folder: Path, rng: np.random.Generator) -> ServedAdapter:
    """A closed form on random vectors, whose users are the queries."""

    def random(n: int, d: int) -> Matrix:
        return normalise(rng.standard_normal((n, d), dtype=np.float32))

    clicks = csr_matrix((rng.random((USERS, WARM)) < 0.05).astype(np.float32))
    names = IdMap([f"user-{n}" for n in range(USERS)]), IdMap([f"warm-{n}" for n in range(WARM)])
    FrozenBackbone("external", *names, random(USERS, BLOCK), random(WARM, BLOCK), clicks).save(folder / "backbone")
    backbone, cache = FrozenBackbone.load(folder / "backbone"), Settings().cache
    text, image = open_text_encoder(cache=cache), open_image_encoder(cache=cache)
    contents = Contents(random(WARM, text.dim), random(WARM, image.dim), np.ones((WARM, 2), dtype=np.bool_))
    save_artifact(
        fit(backbone, contents, config=AdapterConfig(content_dim=BLOCK)),
        folder / "adapter",
        text=EncoderName(DEFAULT_TEXT_MODEL, text.fingerprint),
        image=EncoderName(DEFAULT_IMAGE_MODEL, image.fingerprint),
        backbone_dir=folder / "backbone",
        card="Random vectors for a benchmark.",
    )
    return ServedAdapter.load(folder / "adapter")


def _at(values: Sequence[float], percentile: float) -> float:
    return round(float(np.percentile(values, percentile)), 3)


if __name__ == "__main__":
    main()
