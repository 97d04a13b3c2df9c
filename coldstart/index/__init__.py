"""Approximate search over served vectors: one protocol, three implementations (edge, server, exact)."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypedDict

from coldstart.entities import ExternalId, Scalar
from coldstart.settings import INDEX_CACHE_MB, Settings
from coldstart.vectors import Matrix, Vector


class Range(TypedDict, total=False):
    """Bounds of a numeric condition; missing bounds are open."""

    gt: float
    gte: float
    lt: float
    lte: float


Not = TypedDict("Not", {"not": Scalar | list[Scalar] | Range})
"""The opposite of a condition: it also holds where the path leads to nothing."""

Filter = Mapping[str, Scalar | list[Scalar] | Range | Not]
"""Conditions that all hold: payload path -> equal to a scalar, one of a list, within a range, or the opposite of these.

A payload value that is a list matches when any of its elements does. A path is dotted: ``attributes.genre``; each part
may hold any characters but dots and quotation marks. Numbers match by value (10 and 10.0 are equal), text by case, and
booleans only booleans. An empty list matches nothing.
"""


@dataclass(frozen=True, slots=True)
class Point:
    """What is stored of one item: ``version`` >= 1 orders writes, ``vector`` has shape [D], ``payload`` is JSON.

    The payload keys ``item_id``, ``version``, ``deleted`` and ``_flags`` are reserved for the index.
    """

    item_id: ExternalId
    version: int
    vector: Vector
    payload: Mapping[str, Any] = field(default_factory=dict)


class Hit(NamedTuple):
    """One answer of a query: ``score`` is the inner product of query and vector.

    A tuple, since a list is made of scores of them; the payload is the index's own and not to be changed.
    """

    item_id: ExternalId
    score: float
    version: int
    payload: Mapping[str, Any]


class Stored(NamedTuple):
    """What is stored of a live item beside its vector; the payload is the index's own and not to be changed."""

    item_id: ExternalId
    version: int
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Held:
    """What an index holds of one item, told without its vector; a tombstone where it is ``deleted``."""

    item_id: ExternalId
    version: int
    deleted: bool


class VectorIndex(Protocol):
    """One collection of points, searched by inner product (Qdrant's ``Dot``).

    Every method is safe to call from several threads. What a returned call has written is visible to the next query
    and survives the death of the process.
    """

    @property
    def dim(self) -> int:
        """D, the width of every vector."""
        ...

    def upsert(self, points: Sequence[Point]) -> None:
        """Write each point, unless a version as new or a tombstone as new is stored: an older write never wins.

        Of several points of one item the newest counts. Raises `InvalidInput` naming the item, and writes none of the
        batch, where a vector is not [D] or not finite, a payload is not JSON, or an id or a version cannot be.
        """
        ...

    def delete(self, versions: Mapping[ExternalId, int]) -> None:
        """Leave a tombstone for each item at its version, also where the item was never seen.

        The item is not returned and not counted from then on; upserts up to this version stay out, a newer one revives
        it. A delete that is not newer than what is stored is ignored.
        """
        ...

    def query(
        self, vectors: Matrix, limit: int, *, where: Filter | None = None, exclude: Sequence[ExternalId] = ()
    ) -> list[list[Hit]]:
        """The ``limit`` best live points for each of the vectors [b, D], best first.

        Raises `InvalidInput` for vectors that are not [b, D] or not finite, for a limit below 1, and for a filter that
        cannot be read.
        """
        ...

    def fetch(self, item_ids: Sequence[ExternalId]) -> dict[ExternalId, Point]:
        """The live points among the ids; absent and deleted ones are left out."""
        ...

    def look_up(self, item_ids: Sequence[ExternalId]) -> dict[ExternalId, Stored]:
        """The same without their vectors."""
        ...

    def count(self) -> int:
        """How many live points there are."""
        ...

    def scan(self, *, page: int) -> Iterator[list[Held]]:
        """Everything held, tombstones included, in pages of about so many, of which each is read when it is asked for.

        What is written meanwhile may be among it or not; what is there from beginning to end is told once.
        """
        ...

    def optimize(self) -> None:
        """Build or rebuild the search graph, where the engine needs to be told."""
        ...


class IndexStore(Protocol):
    """The collections of one deployment, one per adapter version, and which of them is live."""

    def create(self, collection: str, dim: int) -> VectorIndex:
        """Open the collection, creating it where it is missing; `Conflict` where it has another width."""
        ...

    def collections(self) -> list[str]:
        """Names, sorted."""
        ...

    def promote(self, collection: str) -> None:
        """Make the collection the live one, atomically and for good; `NotFound` where it does not exist."""
        ...

    def live(self) -> str | None:
        """The name of the live collection; `None` before the first promotion."""
        ...

    def drop(self, collection: str) -> None:
        """Remove a collection; `Conflict` for the live one, `NotFound` where it does not exist."""
        ...

    def optimize_beside(self, collection: str, *, unindexed: int, stopping: Callable[[], bool] = lambda: False) -> bool:
        """Build the search graph of an open collection where so many points are in none, while all else goes on.

        Whether one was built; never by an engine that sees to it itself, or has none.

        Parameters
        ----------
        stopping : callable, optional
            Asked several times a second; what was begun is given up then, and the collection is as it was.
        """
        ...

    def close(self) -> None:
        """Flush and release what is held."""
        ...


def open_index_store(
    *, root: Path, qdrant_url: str | None = None, api_key: str | None = None, cache_mb: float = INDEX_CACHE_MB
) -> IndexStore:
    """Qdrant at ``qdrant_url``, or else Qdrant Edge in the folder ``root``, which one process may own."""
    if qdrant_url is not None:
        from coldstart.index.server import ServerIndexStore

        return ServerIndexStore.connect(qdrant_url, api_key=api_key)
    from coldstart.index.edge_store import EdgeIndexStore

    return EdgeIndexStore(root, cache_mb=cache_mb)


def index_store_of(settings: Settings) -> IndexStore:
    """The store that the settings name."""
    return open_index_store(
        root=settings.index_dir, qdrant_url=settings.qdrant_url, api_key=settings.qdrant_api_key,
        cache_mb=settings.index_cache_mb,
    )  # fmt: skip
