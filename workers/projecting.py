"""Places what is in the catalogue in an adapter's space, from the stored embeddings: nothing is encoded again.

A collection is filled beside live writes by looking at every settled item and writing those that it does not have at
the item's version. The order of writes does not matter, as a collection takes none that is not newer, and a pass that
is broken off costs nothing: the next one finds what is there.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from time import monotonic, sleep
from typing import Any

import numpy as np

from adapters.graduation import click_weight
from adapters.serving import ServedAdapter
from coldstart.availability import window
from coldstart.catalog import Encoded, Expected, ItemRecord, ItemStore, Material, Restated, Status
from coldstart.entities import ExternalId
from coldstart.errors import Conflict, InvalidInput, Unavailable
from coldstart.index import Point, VectorIndex
from coldstart.vectors import Vector, require_finite
from workers.encoding import serve
from workers.isolation import isolate
from workers.reconcile import same
from workers.stacking import stack

_log = logging.getLogger(__name__)

PAGE = 128  # items at a time: some milliseconds of numpy, of the database and of the index
SAMPLE = 200
PASSES = 20


@dataclass(frozen=True, slots=True)
class Space:
    """An adapter version and the collection of its vectors."""

    adapter: ServedAdapter
    index: VectorIndex


@dataclass(frozen=True, slots=True)
class Placed:
    """Where an item is in a space; ``click_weight`` is the share of clicks in its vector."""

    encoded: Encoded
    record: ItemRecord
    click_weight: float = 0.0

    @property
    def point(self) -> Point:
        """As the index takes it."""
        return point_of(self.record, self.encoded.vector, cold=self.encoded.cold, gates=self.encoded.gates)

    @property
    def restated(self) -> Restated:
        """As the row takes it."""
        e = self.encoded
        return Restated(e.item_id, e.version, e.vector, e.gates, e.cold, self.click_weight, e.adapter_version)


def point_of(record: ItemRecord, vector: Vector, *, cold: bool, gates: Mapping[str, float]) -> Point:
    """An item's point: what may be filtered by, and what a row of a list tells of it."""
    payload: dict[str, Any] = {
        "cold": cold,
        "attributes": dict(record.item.attributes),
        "accepted_at": record.accepted_at,
        "gates": {modality: round(gate, 4) for modality, gate in gates.items()},
        **window(record.item),
    }
    return Point(record.item.item_id, record.version, vector, payload)


def place(adapter: ServedAdapter, materials: Sequence[Material]) -> list[Placed]:
    """Where the items are by their content and, of those that clicks have moved, by who clicked them.

    Raises `InvalidInput` where one of them has no place in this space, naming it.
    """
    items = [each.record.item for each in materials]
    text, image, present = stack(adapter, [each.embeddings for each in materials])
    encoded = serve(adapter, items, text, image, present)
    for each in encoded:
        if each.cold and not any(each.gates.values()):
            raise InvalidInput(
                "the adapter listens to nothing that the item has", subject=each.item_id,
                remedy="Train the adapter on every modality that items come with",
            )  # fmt: skip
    placed = [
        Placed(replace(each, version=material.record.version), material.record)
        for each, material in zip(encoded, materials, strict=True)
    ]
    moved = [row for row, each in enumerate(encoded) if each.cold and materials[row].users]
    if moved:
        graduated = adapter.graduated(
            text[moved], image[moved], present[moved], [items[row].attributes for row in moved],
            [materials[row].users for row in moved],
        )  # fmt: skip
        for n, row in enumerate(moved):
            require_finite(graduated.vectors[n], items[row].item_id)
            of = replace(placed[row].encoded, vector=graduated.vectors[n])
            placed[row] = replace(placed[row], encoded=of, click_weight=float(graduated.weights[n]))
    return placed


def place_each(adapter: ServedAdapter, materials: Sequence[Material]) -> list[Placed | Exception]:
    """`place`, or for an item that has no place its error."""
    return isolate(lambda batch: place(adapter, batch), materials)


def put(space: Space, materials: Sequence[Material]) -> list[Exception]:
    """Write the items to the collection; returns why others have no place in it. `Unavailable` where it is away."""

    def write(batch: Sequence[Material]) -> list[None]:
        space.index.upsert([each.point for each in place(space.adapter, batch)])
        return [None] * len(batch)

    errors = [outcome for outcome in isolate(write, materials) if isinstance(outcome, Exception)]
    for error in errors:
        if isinstance(error, Unavailable):
            raise error
    return errors


def pages(store: ItemStore, *, unlike: str | None = None) -> Iterator[list[Expected]]:
    """`ItemStore.expected`, in pages of which each is read when it is asked for.

    After each it waits for as long as was spent on it: half of the time is for requests.
    """
    after: ExternalId | None = None
    while page := store.expected(after=after, limit=PAGE, unlike=unlike):
        begun = monotonic()
        yield page
        sleep(monotonic() - begun)
        after = page[-1].item_id


def fill(
    store: ItemStore,
    adapter: ServedAdapter,
    index: VectorIndex,
    *,
    stopping: Callable[[], bool] = lambda: False,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> bool:
    """Write every settled item to the collection; ``False`` where it was told to stop before it was done.

    Whoever takes items in has to write them there, too, from before this begins. It goes over the catalogue until it
    finds nothing missing, so that what was on its way then is not overlooked.

    Raises
    ------
    Conflict
        Where an item has no place in the adapter's space, or there is always something missing.
    """
    for _ in range(PASSES):
        missing, done, refused = 0, 0, list[Exception]()
        total = store.counts()[Status.RETRIEVABLE]
        for page in pages(store):
            if stopping():
                return False
            written, errors = _fill(store, adapter, index, page)
            missing, refused = missing + written, [*refused, *errors]
            done += sum(not item.deleted for item in page)
            on_progress(done, max(done, total))
        if refused:
            raise Conflict(f"{len(refused):,} items have no place in its space, such as {refused[0]}",
                           subject=adapter.version, remedy="Retire it, or delete those items")  # fmt: skip
        if not missing:
            return True
    raise Conflict("items were still missing after every pass", subject=adapter.version, remedy="Register it again")


def _fill(
    store: ItemStore, adapter: ServedAdapter, index: VectorIndex, page: Sequence[Expected]
) -> tuple[int, list[Exception]]:
    """How many items of the page the collection lacked and has now, and why others cannot be there."""
    index.delete({item.item_id: item.version for item in page if item.deleted})
    here = {item.item_id: item.version for item in page if not item.deleted}
    found = index.fetch(list(here)) if here else {}
    lacking = [i for i, version in here.items() if i not in found or found[i].version < version]
    materials = store.materials(lacking) if lacking else []
    errors = put(Space(adapter, index), materials)
    return len(materials) - len(errors), errors


def check(store: ItemStore, adapter: ServedAdapter, index: VectorIndex) -> int:
    """Raise `Conflict` where the collection is not what the adapter makes of the catalogue; how many items it has.

    All of them are counted; a sample is placed anew, compared, and found by a query.
    """
    retrievable = store.counts()[Status.RETRIEVABLE]
    held = index.count()
    if held < retrievable:
        raise _wrong(adapter, f"it has {held:,} of {retrievable:,} items")
    records = store.list_items(limit=SAMPLE, status=Status.RETRIEVABLE)
    outcomes = place_each(adapter, store.materials([record.item.item_id for record in records]))
    points = index.fetch([record.item.item_id for record in records])
    for each in outcomes:
        if isinstance(each, Exception):
            raise _wrong(adapter, f"an item has no place in its space: {each}")
        point = points.get(each.encoded.item_id)
        if point is not None and point.version == each.encoded.version and not same(point.vector, each.encoded.vector):
            raise _wrong(adapter, f"the item {point.item_id} is not where it belongs")
    for point in list(points.values())[:1]:
        if not index.query(point.vector[None], 1)[0]:
            raise _wrong(adapter, "a query finds nothing")
    return held


def restate(
    store: ItemStore, adapter: ServedAdapter, index: VectorIndex, *, stopping: Callable[[], bool] = lambda: False
) -> int:
    """Let every row tell of the vector that is served by now; returns how many told of another version's.

    It is the index's own, to the bit. What the index does not have at the row's version is owed to it again, and is
    placed then.
    """
    told = 0
    for page in pages(store, unlike=adapter.version):
        if stopping():
            break
        others = {item.item_id: item for item in page}
        points, records = index.fetch(list(others)), store.get_many(list(others))
        here = {i: points[i] for i, item in others.items() if i in points and points[i].version == item.version}
        half = adapter.adapter.scales.half
        told += len(store.restate([
            Restated(
                i, point.version, point.vector, point.payload["gates"], bool(point.payload["cold"]),
                float(click_weight(np.array([records[i].clicks]), half)[0]), adapter.version,
            )
            for i, point in here.items()
        ]))  # fmt: skip
        store.owe_again(
            {i: m.version for i, m in others.items() if i not in points or points[i].version < m.version}, held={}
        )
    if told:
        _log.info("rows tell of the version that is served", extra={"items": told, "adapter_version": adapter.version})
    return told


def _wrong(adapter: ServedAdapter, what: str) -> Conflict:
    return Conflict(what, subject=adapter.version, remedy="Register it again, and see the log if this stays")
