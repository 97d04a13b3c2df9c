"""Search by a full scan in memory: the oracle that the engines are compared with."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from coldstart.entities import ExternalId
from coldstart.index import Filter, Held, Hit, Point, Stored, VectorIndex
from coldstart.index.conditions import read_filter
from coldstart.index.naming import check_collection, require_known, require_not_live, require_width
from coldstart.index.points import Write, hit, live_point, queries, stored_id, tombstones, upserts
from coldstart.vectors import Matrix


class ExactIndex:
    """One collection in memory; `VectorIndex`."""

    def __init__(self, dim: int) -> None:
        self.dim = dim
        self._lock = threading.Lock()
        self._stored: dict[ExternalId, Write] = {}

    def upsert(self, points: Sequence[Point]) -> None:
        self._write(upserts(points, self.dim))

    def delete(self, versions: Mapping[ExternalId, int]) -> None:
        self._write(tombstones(versions))

    def query(
        self, vectors: Matrix, limit: int, *, where: Filter | None = None, exclude: Sequence[ExternalId] = ()
    ) -> list[list[Hit]]:
        vectors = queries(vectors, limit, self.dim)
        conditions, excluded = read_filter(where), set(exclude)
        with self._lock:
            candidates = [
                write
                for write in self._stored.values()
                if write.vector is not None
                and write.item_id not in excluded
                and all(condition.holds(write.payload) for condition in conditions)
            ]
        matrix = np.array([write.vector for write in candidates], dtype=np.float32).reshape(len(candidates), self.dim)
        answers = []
        for scores in vectors @ matrix.T:
            best = np.argsort(-scores, kind="stable")[:limit]
            hits = (hit(candidates[n].point_id, float(scores[n]), dict(candidates[n].payload)) for n in best)
            answers.append([found for found in hits if found is not None])
        return answers

    def fetch(self, item_ids: Sequence[ExternalId]) -> dict[ExternalId, Point]:
        with self._lock:
            writes = [self._stored[item_id] for item_id in item_ids if item_id in self._stored]
        points = (live_point(stored_id(w.item_id), w.vector, dict(w.payload)) for w in writes if w.vector is not None)
        return {point.item_id: point for point in points if point is not None}

    def look_up(self, item_ids: Sequence[ExternalId]) -> dict[ExternalId, Stored]:
        return {item_id: Stored(item_id, p.version, p.payload) for item_id, p in self.fetch(item_ids).items()}

    def count(self) -> int:
        with self._lock:
            return sum(write.vector is not None for write in self._stored.values())

    def scan(self, *, page: int) -> Iterator[list[Held]]:
        with self._lock:
            writes = list(self._stored.values())
        for start in range(0, len(writes), page):
            yield [Held(w.item_id, w.version, w.vector is None) for w in writes[start : start + page]]

    def optimize(self) -> None:
        """Nothing to build: every search is a scan."""

    def _write(self, writes: Sequence[Write]) -> None:
        with self._lock:
            for write in writes:
                known = self._stored.get(write.item_id)
                if known is None or known.version < write.version:
                    self._stored[write.item_id] = write


class ExactIndexStore:
    """Collections that live as long as the object; `IndexStore`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[str, ExactIndex] = {}
        self._live: str | None = None

    def create(self, collection: str, dim: int) -> VectorIndex:
        with self._lock:
            index = self._open.setdefault(check_collection(collection), ExactIndex(dim))
        require_width(collection, index.dim, dim)
        return index

    def collections(self) -> list[str]:
        return sorted(self._open)

    def promote(self, collection: str) -> None:
        with self._lock:
            require_known(collection, self._open)
            self._live = collection

    def live(self) -> str | None:
        return self._live

    def drop(self, collection: str) -> None:
        with self._lock:
            require_known(collection, self._open)
            require_not_live(collection, self._live)
            del self._open[collection]

    def optimize_beside(self, collection: str, *, unindexed: int, stopping: Callable[[], bool] = lambda: False) -> bool:
        return False

    def close(self) -> None:
        """Nothing is held."""
