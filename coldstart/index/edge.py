"""Qdrant Edge: Qdrant's engine inside the process, one folder per collection.

One process owns the folder, so a write is a read, a check and a write under one lock; no update filter is needed.
Every call of the engine holds Python's interpreter lock until it returns: queries need no lock of ours, and long
writes are cut into slices so that queries get their turn.

With the write-ahead log on, what a returned call has written survives the death of the process (not a power cut: the
index is derived data and can be rebuilt).
"""

import json
import math
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from pathlib import Path

import orjson
import qdrant_edge as qdrant

from coldstart.entities import ExternalId
from coldstart.errors import Unavailable
from coldstart.index import Filter, Held, Hit, Point, Stored
from coldstart.index.conditions import Condition, flags, json_path, read_filter
from coldstart.index.edge_filters import edge_filter, few_keys
from coldstart.index.folder import GENERATION
from coldstart.index.points import (
    HELD_KEYS,
    EngineId,
    Write,
    held,
    live_point,
    live_stored,
    queries,
    stored_id,
    tombstones,
    upserts,
)
from coldstart.index.remembering import Remembered
from coldstart.vectors import Matrix

_SLICE = 256  # rows written in one call of the engine: about 2 ms
_FLUSH_EVERY = 20_000  # rows; a flush takes 50 to 100 ms, replaying this much log at the next start 0.3 s
_MAX_PAYLOAD_INDEXES = 16  # the paths come from requests, which could otherwise let them grow without end
_FEW = 64  # excluded ids: a graph is searched for the best hundred in any case
_SPARE = 4  # more answers than wanted, of which conditions that are rarely broken may take some away
_PAGE = 1000  # points read together that are worth remembering
_GRACE_S = 0.5
_SCANNED_KB = 10_000  # of vectors, where a collection does not say
_LIVE_VECTOR = qdrant.Filter(must=[qdrant.HasVectorCondition("")])


def effort(points: int) -> int:
    """Candidates that a search in a graph of so many points holds (``ef``, Malkov and Yashunin 2016).

    With as many for any number a search finds the less the more there are: measured by `benchmarks.ann`, where these
    find .98 of the ten best.

    >>> effort(10_000), effort(100_000), effort(1_000_000)
    (100, 283, 894)
    """
    return max(100, round(100 * math.sqrt(points / 12_500)))


class EdgeIndex:
    """One collection on disk; `VectorIndex`. Opened by `coldstart.index.edge_store`."""

    def __init__(self, folder: Path, *, cache_mb: float) -> None:
        with _engine(folder.name):
            config = json.loads((folder / "edge_config.json").read_bytes())
            self.dim: int = config["vectors"][""]["size"]
            kilobytes = (config.get("optimizers") or {}).get("indexing_threshold") or _SCANNED_KB
            self.scanned = 1024 * kilobytes // (4 * self.dim)  # points of which the engine builds no graph
            self._shard = qdrant.EdgeShard.load(str(folder), _settings(self.dim))
            self._params = _params(self._shard)
            self._indexed: dict[str, qdrant.PayloadSchemaType | None] = dict.fromkeys(self._shard.info().payload_schema)
        self._name, self._folder = folder.name.partition(GENERATION)[0], folder
        self._lock = threading.Lock()
        self._unflushed = 0
        self._changed: set[EngineId] | None = None  # since the copy that a graph is being built of
        half = int(cache_mb * 500_000)
        self._stored = Remembered(self._read_stored, size_of=_size_of, max_bytes=half)
        self._points = Remembered(self._read_points, size_of=_size_of, max_bytes=half)

    def upsert(self, points: Sequence[Point]) -> None:
        self._write(upserts(points, self.dim))

    def delete(self, versions: Mapping[ExternalId, int]) -> None:
        self._write(tombstones(versions))

    def query(
        self, vectors: Matrix, limit: int, *, where: Filter | None = None, exclude: Sequence[ExternalId] = ()
    ) -> list[list[Hit]]:
        vectors = queries(vectors, limit, self.dim)
        conditions = read_filter(where)
        if any(condition.is_empty for condition in conditions):
            return [[] for _ in vectors]
        self._index_payload(conditions)
        # One call each, so that a large batch lets other threads in between.
        return [self._nearest(vector, limit, conditions, exclude) for vector in vectors.tolist()]

    def _nearest(
        self, vector: list[float], limit: int, conditions: Sequence[Condition], exclude: Sequence[ExternalId]
    ) -> list[Hit]:
        """More than is wanted, of which few are taken away again: the engine would ask each point that it looks at.

        It is told of conditions that nearly everything fulfils where they took too many, and of many excluded ids.
        """
        rare = [condition for condition in conditions if condition.is_rarely_broken]
        few = few_keys(tuple(exclude)) if len(exclude) <= _FEW else frozenset()
        if rare or few:
            others = [condition for condition in conditions if not condition.is_rarely_broken]
            enough = limit + (_SPARE if rare else 0)
            found = self._search(vector, enough + len(few), edge_filter(others, () if few else exclude))
            hits, looked_at = self._hits(found, enough, without=few)
            for condition, root in ((condition, condition.root) for condition in rare):
                hits = [hit for hit in hits if root not in hit.payload or condition.holds(hit.payload)]
            if len(hits) >= limit or looked_at < enough:  # fewer only where there are no more
                return hits[:limit]
        return self._hits(self._search(vector, limit, edge_filter(conditions, exclude)), limit)[0]

    def _search(self, vector: list[float], limit: int, wanted: qdrant.Filter | None) -> list[qdrant.ScoredPoint]:
        with _engine(self._name):
            # `query`, which also plans prefetches, takes 8 % longer.
            return self._shard.search(
                qdrant.SearchRequest(qdrant.Query.Nearest(vector), limit, filter=wanted, params=self._params)
            )

    def _hits(
        self, found: Sequence[qdrant.ScoredPoint], enough: int, *, without: Set[int] = frozenset()
    ) -> tuple[list[Hit], int]:
        """The first of the points with none of these keys, and how many that were before what is deleted is left out.

        Of what is written between search and look the score is the old one's, and all else the new one's.
        """
        keys, scores = [], []
        for point in found:
            key = _key(point.id)  # which takes the binding as long as a row of a list takes us
            if key not in without:
                keys.append(key)
                scores.append(point.score)
                if len(keys) == enough:
                    break
        hits = [
            Hit(stored.item_id, score, stored.version, stored.payload)
            for stored, score in zip(self._stored.of(keys), scores, strict=True)
            if stored is not None
        ]
        return hits, len(keys)

    def fetch(self, item_ids: Sequence[ExternalId]) -> dict[ExternalId, Point]:
        keys = [stored_id(item_id).int for item_id in item_ids]
        points = self._points.of(keys) if len(keys) <= _PAGE else self._read_points(keys).values()
        return {point.item_id: point for point in points if point is not None}

    def look_up(self, item_ids: Sequence[ExternalId]) -> dict[ExternalId, Stored]:
        found = self._stored.of([stored_id(item_id).int for item_id in item_ids])
        return {stored.item_id: stored for stored in found if stored is not None}

    def _read_points(self, keys: Sequence[int]) -> dict[int, Point]:
        with _engine(self._name):
            records = self._shard.retrieve([_id(key) for key in keys], True, True)
        points = ((record.id, live_point(record.id, record.vector, record.payload)) for record in records)
        return {_key(at): point for at, point in points if point is not None}

    def _read_stored(self, keys: Sequence[int]) -> dict[int, Stored]:
        with _engine(self._name):
            records = self._shard.retrieve([_id(key) for key in keys], True, False)
        found = ((record.id, live_stored(record.id, record.payload)) for record in records)
        return {_key(at): stored for at, stored in found if stored is not None}

    def count(self) -> int:
        with _engine(self._name):
            return self._shard.count(qdrant.CountRequest(filter=_LIVE_VECTOR))

    def scan(self, *, page: int) -> Iterator[list[Held]]:
        start = None
        while True:
            request = qdrant.ScrollRequest(start, page, with_payload=HELD_KEYS, with_vector=False)
            with _engine(self._name):
                records, start = self._shard.scroll(request)
            yield [found for record in records if (found := held(record.id, record.payload))]
            if start is None:
                return

    def optimize(self) -> None:
        """Build the search graph. Holds the interpreter lock throughout (18 s for 60,000 x 128): nothing else runs."""
        with self._lock, _engine(self._name):
            self._shard.optimize()

    def unindexed(self) -> int:
        """How many points are in no graph: each query looks at all of them."""
        with _engine(self._name):
            info = self._shard.info()
        return info.points_count - info.indexed_vectors_count

    def copy_to(self, folder: Path) -> None:
        """Leave a copy as of now, and remember what changes from now on. Queries go on meanwhile, writes wait."""
        with self._lock, _engine(self._name):
            self._shard.flush()
            self._unflushed = 0
            shutil.copytree(self._folder, folder)
            self._changed = set()

    def move_to(self, folder: Path, commit: Callable[[], None]) -> None:
        """Go on in the folder of the copy, once it has what changed since. Queries and writes go on meanwhile.

        ``commit`` makes the folder the one to be opened at the next start; then the old one is left.
        """
        with _engine(self._name):
            fresh = qdrant.EdgeShard.load(str(folder), _settings(self.dim))
        try:
            while self._changed and len(self._changed) > _SLICE:
                with self._lock, _engine(self._name):
                    self._catch_up(fresh)
            with self._lock, _engine(self._name):
                while self._changed:
                    self._catch_up(fresh)
                if (found := fresh.info().points_count) != (points := self._shard.info().points_count):
                    raise ValueError(f"its copy holds {found} points, not {points}")
                known = fresh.info().payload_schema
                for path, schema in self._indexed.items():
                    if path not in known and schema is not None:
                        fresh.update(qdrant.UpdateOperation.create_field_index(path, schema))
                fresh.flush()
                commit()
                left, self._shard, self._folder, self._unflushed = self._shard, fresh, folder, 0
        except BaseException:
            fresh.close()
            raise
        time.sleep(_GRACE_S)  # a query that took hold of it may not have begun
        left.close()

    def forget_changes(self) -> None:
        """Nothing is built of a copy any more."""
        with self._lock:
            self._changed = None

    def _catch_up(self, fresh: qdrant.EdgeShard) -> None:
        """Bring a slice of what changed since the copy."""
        ids = [self._changed.pop() for _ in range(min(_SLICE, len(self._changed or ())))] if self._changed else []
        records = self._shard.retrieve(ids, True, True)
        points = [qdrant.Point(each.id, each.vector or {}, each.payload) for each in records]
        fresh.update(qdrant.UpdateOperation.upsert_points(points))

    def close(self) -> None:
        """Flush and release the folder."""
        with self._lock, _engine(self._name):
            self._shard.close()

    def _write(self, writes: Sequence[Write]) -> None:
        for start in range(0, len(writes), _SLICE):
            with self._lock, _engine(self._name):
                self._write_newer(writes[start : start + _SLICE])

    def _write_newer(self, writes: Sequence[Write]) -> None:
        records = self._shard.retrieve([write.point_id for write in writes], ["version"], False)
        stored = {record.id: (record.payload or {}).get("version", 0) for record in records}
        newer = [
            qdrant.Point(
                write.point_id,
                {} if write.vector is None else write.vector.tolist(),
                {**write.payload, "_flags": list(flags(write.payload))},
            )
            for write in writes
            if write.version > stored.get(write.point_id, 0)
        ]
        if not newer:
            return
        written = [point.id for point in newer]
        try:
            self._shard.update(qdrant.UpdateOperation.upsert_points(newer))
        finally:  # also of a write that failed half way
            keys = list(map(_key, written))
            self._stored.forget(keys)
            self._points.forget(keys)
        self._params = _params(self._shard)
        if self._changed is not None:
            self._changed.update(written)
        self._unflushed += len(newer)
        if self._unflushed >= _FLUSH_EVERY:
            self._shard.flush()
            self._unflushed = 0

    def _index_payload(self, conditions: Sequence[Condition]) -> None:
        # Without an index a condition reads every payload (20 ms for 20,000 points), with one it costs 0.1 ms.
        for condition in conditions:
            path, kind = json_path(condition.path), condition.index_kind
            if kind is None or path in self._indexed or len(self._indexed) >= _MAX_PAYLOAD_INDEXES:
                continue
            schema = qdrant.PayloadSchemaType.Float if kind == "float" else qdrant.PayloadSchemaType.Keyword
            with self._lock, _engine(self._name):
                self._shard.update(qdrant.UpdateOperation.create_field_index(path, schema))
                self._indexed[path] = schema


def create_shard(folder: Path, dim: int) -> None:
    """Make the collection's folder appear whole or not at all."""
    growing = folder.parent / ".new-collection"
    shutil.rmtree(growing, ignore_errors=True)
    with _engine(folder.name):
        shard = qdrant.EdgeShard.create(str(growing), _settings(dim))
        shard.update(qdrant.UpdateOperation.create_field_index("_flags", qdrant.PayloadSchemaType.Keyword))
        shard.close()
    growing.rename(folder)


def _key(at: EngineId) -> int:
    """The number that an id is. Ours are UUIDs of version 5, whose upper half is never 0."""
    return at.int if isinstance(at, uuid.UUID) else int(at)


def _id(key: int) -> EngineId:
    """The id that a number is."""
    return uuid.UUID(int=key) if key >> 64 else key


def _size_of(stored: Stored | Point) -> int:
    """About, in bytes."""
    vector = stored.vector.nbytes if isinstance(stored, Point) else 0
    return 300 + 4 * len(orjson.dumps(stored.payload)) + vector


def _params(shard: qdrant.EdgeShard) -> qdrant.SearchParams:
    return qdrant.SearchParams(hnsw_ef=effort(shard.info().points_count))


def _settings(dim: int) -> qdrant.EdgeConfig:
    """One thread searches: segments are few, and more threads than that spend their time looking for work."""
    vectors = qdrant.EdgeVectorParams(size=dim, distance=qdrant.Distance.Dot)
    return qdrant.EdgeConfig(vectors=vectors, wal_enabled=True, max_search_threads=1)


@contextmanager
def _engine(collection: str) -> Iterator[None]:
    """The engine raises plain exceptions: say which collection it was."""
    try:
        yield
    except Exception as error:
        raise Unavailable(
            f"the embedded index failed ({error})",
            subject=collection,
            remedy="Check the disk; if the folder is damaged, remove it and rebuild the index",
        ) from error
