"""Qdrant as a server or cluster, through qdrant-client. Needs Qdrant 1.16: older ones ignore the update filter."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Self

from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from coldstart.entities import ExternalId
from coldstart.errors import ColdstartError, Conflict, NotFound, Unavailable
from coldstart.index import Filter, Held, Hit, Point, Stored, VectorIndex
from coldstart.index.conditions import Bounds, Condition, Match, json_path, read_filter
from coldstart.index.naming import check_collection, require_known, require_not_live, require_width
from coldstart.index.points import (
    HELD_KEYS,
    Write,
    held,
    hit,
    live_point,
    live_stored,
    queries,
    stored_id,
    tombstones,
    upserts,
)
from coldstart.vectors import Matrix

_OLDEST = (1, 16)
_SLICE = 256  # rows in one request; the update filter names each of them
_TIMEOUT_S = 10
_LIVE = models.Filter(must=[models.HasVectorCondition(has_vector="")])
_PAYLOAD_INDEXES = {"version": models.PayloadSchemaType.INTEGER, "cold": models.PayloadSchemaType.BOOL}


class ServerIndex:
    """One collection on a server; `VectorIndex`. Opened by `ServerIndexStore.create`.

    Several processes may write: the server compares versions when it applies a write, so their order does not matter.
    """

    def __init__(self, client: QdrantClient, name: str, dim: int) -> None:
        self.dim = dim
        self._client = client
        self._name = name

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
        wanted = models.Filter(
            must=[_told(condition) for condition in conditions if not condition.negated],
            must_not=[
                models.HasIdCondition(has_id=[str(stored_id(item_id)) for item_id in exclude]),
                *(_told(condition) for condition in conditions if condition.negated and condition.matches),
            ],
        )
        requests = [
            models.QueryRequest(query=vector, limit=limit, filter=wanted, with_payload=True)
            for vector in vectors.tolist()
        ]
        with _remote(self._client, self._name):
            answers = self._client.query_batch_points(self._name, requests)
        return [[found for p in answer.points if (found := hit(p.id, p.score, p.payload))] for answer in answers]

    def fetch(self, item_ids: Sequence[ExternalId]) -> dict[ExternalId, Point]:
        ids = [str(stored_id(item_id)) for item_id in item_ids]
        with _remote(self._client, self._name):
            records = self._client.retrieve(self._name, ids, with_payload=True, with_vectors=True)
        points = (live_point(record.id, record.vector, record.payload) for record in records)
        return {point.item_id: point for point in points if point is not None}

    def look_up(self, item_ids: Sequence[ExternalId]) -> dict[ExternalId, Stored]:
        ids = [str(stored_id(item_id)) for item_id in item_ids]
        with _remote(self._client, self._name):
            records = self._client.retrieve(self._name, ids, with_payload=True)
        found = (live_stored(record.id, record.payload) for record in records)
        return {stored.item_id: stored for stored in found if stored is not None}

    def count(self) -> int:
        with _remote(self._client, self._name):
            return self._client.count(self._name, count_filter=_LIVE).count

    def scan(self, *, page: int) -> Iterator[list[Held]]:
        start = None
        while True:
            with _remote(self._client, self._name):
                records, start = self._client.scroll(
                    self._name, limit=page, offset=start, with_payload=HELD_KEYS, with_vectors=False
                )
            yield [found for record in records if (found := held(record.id, record.payload))]
            if start is None:
                return

    def optimize(self) -> None:
        """Nothing to do: the server optimises by itself."""

    def _write(self, writes: Sequence[Write]) -> None:
        for start in range(0, len(writes), _SLICE):
            part = writes[start : start + _SLICE]
            points = [
                models.PointStruct(
                    id=str(write.point_id),
                    vector={} if write.vector is None else write.vector.tolist(),
                    payload=write.payload,
                )
                for write in part
            ]
            with _remote(self._client, self._name):
                self._client.upsert(self._name, points, wait=True, update_filter=_older_than(part))


class ServerIndexStore:
    """The collections of one deployment on a server, told apart from others by a prefix; `IndexStore`."""

    def __init__(self, client: QdrantClient, *, prefix: str = "coldstart") -> None:
        self._client = client
        self._prefix = f"{prefix}-"

    @classmethod
    def connect(cls, url: str, *, api_key: str | None = None) -> Self:
        """Open the server at ``url``; `Unavailable` where none answers, `Conflict` where it is too old."""
        client = QdrantClient(url=url, api_key=api_key, timeout=_TIMEOUT_S, check_compatibility=False)
        with _remote(client, url):
            version = client.info().version
        if tuple(int(part) for part in version.split(".")[:2]) < _OLDEST:
            client.close()
            raise Conflict(
                f"the Qdrant server is version {version} and would let older versions of an item overwrite newer ones",
                subject=url,
                remedy="Upgrade it to 1.16 or newer",
            )
        return cls(client)

    def create(self, collection: str, dim: int) -> VectorIndex:
        name = self._prefix + check_collection(collection)
        with _remote(self._client, name):
            if not self._client.collection_exists(name):
                self._create(name, dim)
            for field, schema in _PAYLOAD_INDEXES.items():
                self._client.create_payload_index(name, field, schema, wait=True)
            vectors = self._client.get_collection(name).config.params.vectors
        require_width(collection, vectors.size if isinstance(vectors, models.VectorParams) else 0, dim)
        return ServerIndex(self._client, name, dim)

    def collections(self) -> list[str]:
        with _remote(self._client, self._prefix):
            names = [found.name for found in self._client.get_collections().collections]
        return sorted(name.removeprefix(self._prefix) for name in names if name.startswith(self._prefix))

    def promote(self, collection: str) -> None:
        require_known(collection, self.collections())
        alias = self._prefix + "live"
        change: list[models.AliasOperations] = [
            models.CreateAliasOperation(
                create_alias=models.CreateAlias(collection_name=self._prefix + collection, alias_name=alias)
            )
        ]
        if self.live() is not None:
            change.insert(0, models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=alias)))
        with _remote(self._client, collection):
            self._client.update_collection_aliases(change)

    def live(self) -> str | None:
        with _remote(self._client, self._prefix):
            aliases = self._client.get_aliases().aliases
        names = (found.collection_name for found in aliases if found.alias_name == self._prefix + "live")
        return next((name.removeprefix(self._prefix) for name in names), None)

    def drop(self, collection: str) -> None:
        require_known(collection, self.collections())
        require_not_live(collection, self.live())
        with _remote(self._client, collection):
            self._client.delete_collection(self._prefix + collection)

    def optimize_beside(self, collection: str, *, unindexed: int, stopping: Callable[[], bool] = lambda: False) -> bool:
        return False

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _create(self, name: str, dim: int) -> None:
        try:
            self._client.create_collection(
                name, vectors_config=models.VectorParams(size=dim, distance=models.Distance.DOT)
            )
        except UnexpectedResponse as error:
            if error.status_code != 409:  # another process was faster
                raise


def _older_than(writes: Sequence[Write]) -> models.Filter:
    """Which stored points the writes may replace: one clause per version, for its items, where an older one is stored.

    The server applies it to points that exist; the others are inserted. Deleted items exist as tombstones.
    """
    ids: dict[int, list[models.ExtendedPointId]] = {}
    for write in writes:
        ids.setdefault(write.version, []).append(str(write.point_id))
    return models.Filter(
        should=[
            models.Filter(
                must=[
                    models.HasIdCondition(has_id=those),
                    models.FieldCondition(key="version", range=models.Range(lt=version)),
                ]
            )
            for version, those in ids.items()
        ]
    )


def _told(condition: Condition) -> models.Filter:
    return models.Filter(should=[_field(json_path(condition.path), match) for match in condition.matches])


def _field(key: str, match: Match) -> models.FieldCondition:
    match match:
        case Bounds():
            bounds = models.Range(gt=match.gt, gte=match.gte, lt=match.lt, lte=match.lte)
            return models.FieldCondition(key=key, range=bounds)
        case bool() | str():
            return models.FieldCondition(key=key, match=models.MatchValue(value=match))


@contextmanager
def _remote(client: QdrantClient, subject: str) -> Iterator[None]:
    """Say what the server's refusals mean here."""
    try:
        yield
    except ResponseHandlingException as error:
        raise Unavailable(
            f"the Qdrant server does not answer ({error.source})",
            subject=str(client.init_options.get("url") or subject),
            remedy="Check that it runs and that this address reaches it",
        ) from error
    except UnexpectedResponse as error:
        raise _refusal(error, subject) from error


def _refusal(error: UnexpectedResponse, subject: str) -> ColdstartError:
    reason = error.content.decode(errors="replace")[:300]
    match error.status_code:
        case 404:
            return NotFound(f"the Qdrant server does not know it ({reason})", subject=subject)
        case 400 | 409 | 422:
            return Conflict(
                f"the Qdrant server refused the request ({reason})",
                subject=subject,
                remedy="If something else changed the collection, drop it and rebuild it",
            )
        case 401 | 403:
            return Unavailable("the Qdrant server refused the API key", subject=subject, remedy="Set the right one")
        case status:
            return Unavailable(f"the Qdrant server answered {status} ({reason})", subject=subject)
