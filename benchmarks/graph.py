"""The embedded index's search graph, built beside: how long it takes, and what queries and writes notice of it.

``python -m benchmarks.graph [--quick]`` writes 1,000,000 points of 64 numbers (--quick: 50,000) into Qdrant Edge, then
has the graph built in another process while one thread queries and another writes new points. Afterwards everything
that was written is looked for. Ends with one JSON line.
"""

import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from benchmarks import command
from coldstart.index import Point, VectorIndex
from coldstart.index.edge_store import EdgeIndexStore
from coldstart.vectors import normalise

DIM, LIMIT, BATCH, PAUSE_S = 64, 20, 1000, 0.01


@dataclass(frozen=True)
class Figures:
    """Times of one query before, while and after the graph is built, and of writing one point while it is."""

    points: int
    seconds: float
    exact_p50_ms: float
    meanwhile_p50_ms: float
    meanwhile_p99_ms: float
    graph_p50_ms: float
    write_p99_ms: float
    write_max_ms: float
    recall: float
    written_meanwhile: int
    lost: int


def main() -> None:
    """Run and print."""
    arguments = command.parser(__doc__, quick="fewer points").parse_args()
    points = 50_000 if arguments.quick else 1_000_000
    vectors = _clustered(points, seed=0)
    with (
        tempfile.TemporaryDirectory(prefix="coldstart-benchmark-") as folder,
        closing(EdgeIndexStore(Path(folder))) as store,
    ):
        index = store.create("graph", DIM)
        for start in range(0, points, BATCH):
            index.upsert([_point(n, vectors[n]) for n in range(start, min(start + BATCH, points))])
        command.tell(measure(store, index, vectors))


def measure(store: EdgeIndexStore, index: VectorIndex, vectors: NDArray[np.float32]) -> Figures:
    """The figures of an index that holds the vectors and has no graph."""
    queries = _clustered(200, seed=1)
    points = len(vectors)
    before, _ = _timed(index, queries)
    started = perf_counter()
    with (
        _again(lambda n: index.query(queries[n % 200][None], LIMIT)) as asked,
        _again(lambda n: index.upsert([_point(points + n, vectors[n % points])])) as written,
    ):
        if not store.optimize_beside("graph", unindexed=1):
            raise SystemExit("too few points for a graph")
        seconds = perf_counter() - started
    after, found = _timed(index, queries)
    told = {each.item_id for page in index.scan(page=10_000) for each in page}
    # As good as the best there are: what is written meanwhile repeats vectors.
    least = [np.sort(np.r_[scores, scores[: len(written)]])[-LIMIT] for scores in queries @ vectors.T]
    right = [np.sum(np.array(scores) >= low - 1e-5) for scores, low in zip(found, least, strict=True)]
    return Figures(
        points=points, seconds=round(seconds, 1), exact_p50_ms=_ms(before, 50), meanwhile_p50_ms=_ms(asked, 50),
        meanwhile_p99_ms=_ms(asked, 99), graph_p50_ms=_ms(after, 50), write_p99_ms=_ms(written, 99),
        write_max_ms=_ms(written, 100), recall=round(float(sum(right)) / (LIMIT * len(right)), 4),
        written_meanwhile=len(written),
        lost=sum(f"i{n}" not in told for n in range(points + len(written))),
    )  # fmt: skip


def _timed(index: VectorIndex, queries: NDArray[np.float32]) -> tuple[list[float], list[list[float]]]:
    """Seconds of each query, and the scores of what it found."""
    times, found = [], []
    for query in queries:
        started = perf_counter()
        [hits] = index.query(query[None], LIMIT)
        times.append(perf_counter() - started)
        found.append([hit.score for hit in hits])
    return times, found


@contextmanager
def _again(work: Callable[[int], object]) -> Iterator[list[float]]:
    """Somebody does it again and again meanwhile: the seconds of each time."""
    over, times = threading.Event(), list[float]()

    def go() -> None:
        while not over.wait(PAUSE_S):
            started = perf_counter()
            work(len(times))
            times.append(perf_counter() - started)

    thread = threading.Thread(target=go)
    thread.start()
    try:
        yield times
    finally:
        over.set()
        thread.join()


def _clustered(n: int, *, seed: int) -> NDArray[np.float32]:
    """Vectors [n, DIM] around 500 centres, as items are: vectors without any order suit no graph."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(9).standard_normal((500, DIM), dtype=np.float32)
    noise = rng.standard_normal((n, DIM), dtype=np.float32)
    return normalise(centres[rng.integers(len(centres), size=n)] + 0.5 * noise)


def _point(n: int, vector: NDArray[np.float32]) -> Point:
    return Point(f"i{n}", 1, vector, {"cold": True})


def _ms(seconds: list[float], q: float) -> float:
    return round(float(np.percentile(seconds, q)) * 1000, 2)


if __name__ == "__main__":
    main()
