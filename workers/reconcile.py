"""Compares catalogue and index, and owes again what differs: also what no count and no restart would show."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from coldstart.catalog import ItemStore, Settled, Status
from coldstart.entities import ExternalId
from coldstart.index import Point, VectorIndex
from coldstart.vectors import Vector

_log = logging.getLogger(__name__)

PAGE = 128  # items at a time: some milliseconds of the database and of the index
# Of a vector's length: encoding the same content in another batch changes less, another content far more.
_ROUNDING = 1e-3


@dataclass(frozen=True, slots=True)
class Reconciled:
    """How many settled items were looked at; of them and of the index's points, how many were wrong and are owed again.

    ``missing``: retrievable, and not in the index. ``stale``: there at another version or with another vector, or
    deleted and there all the same. ``strangers``: in the index, and unknown to the catalogue.
    """

    checked: int = 0
    missing: int = 0
    stale: int = 0
    strangers: int = 0
    repaired: int = 0

    def __add__(self, other: "Reconciled") -> "Reconciled":
        return Reconciled(
            self.checked + other.checked, self.missing + other.missing, self.stale + other.stale,
            self.strangers + other.strangers, self.repaired + other.repaired,
        )  # fmt: skip


def reconcile(
    store: ItemStore, index: VectorIndex, *, adapter_version: str, stopping: Callable[[], bool] = lambda: False
) -> Reconciled:
    """Compare every settled item with the index, and everything in the index with the catalogue; owe what differs.

    Safe beside live writes. An item changes in the catalogue before it changes in the index, so a difference is real
    only if the item is still settled at the version that was compared, which the store checks as it owes it again.

    Parameters
    ----------
    stopping : callable, optional
        Asked between two pages; what was found by then is returned.
    """
    total = Reconciled()
    for held in index.scan(page=PAGE):
        if stopping():
            return total
        total += _unknown_or_ahead(store, {each.item_id: (each.version, each.deleted) for each in held})
    for page in _pages(store, adapter_version):
        if stopping():
            break
        total += _missing_or_stale(store, index, page)
    return total


def _pages(store: ItemStore, adapter_version: str) -> Iterator[list[Settled]]:
    """Every settled item, in pages of which each is read when it is asked for."""
    after: ExternalId | None = None
    while page := store.settled(adapter_version=adapter_version, after=after, limit=PAGE):
        yield page
        after = page[-1].item_id


def bury(store: ItemStore, index: VectorIndex, *, adapter_version: str) -> None:
    """Leave a tombstone in the index for whatever is deleted, before anyone asks an index that missed it."""
    for page in _pages(store, adapter_version):
        index.delete({item.item_id: item.version for item in page if item.vector is None})


def _unknown_or_ahead(store: ItemStore, held: dict[ExternalId, tuple[int, bool]]) -> Reconciled:
    """What only the index knows, or knows newer: of a catalogue that was restored from a backup, say."""
    known = store.get_many(list(held))
    unknown = {i: version for i, (version, deleted) in held.items() if i not in known and not deleted}
    wrong = {
        i: version
        for i, (version, deleted) in held.items()
        if i in known and (version, deleted) > (known[i].version, known[i].status is Status.DELETED)
    }
    again = store.owe_again({i: known[i].version for i in wrong}, held=wrong)
    missing = sum(known[i].status is not Status.DELETED and held[i][1] for i in again)
    strangers = len(store.disown(unknown))
    return Reconciled(missing=missing, stale=len(again) - missing, strangers=strangers, repaired=len(again) + strangers)


def _missing_or_stale(store: ItemStore, index: VectorIndex, page: list[Settled]) -> Reconciled:
    found = index.fetch([item.item_id for item in page])
    missing = {item.item_id: item.version for item in page if item.vector is not None and item.item_id not in found}
    stale = {
        item.item_id: item.version for item in page if item.item_id in found and _is_stale(item, found[item.item_id])
    }
    held = {item_id: found[item_id].version for item_id in stale}
    again = store.owe_again(missing | stale, held=held)
    return Reconciled(
        checked=len(page),
        missing=sum(item_id in missing for item_id in again),
        stale=sum(item_id in stale for item_id in again),
        repaired=len(again),
    )


def _is_stale(item: Settled, point: Point) -> bool:
    """Whether the index has it older, or otherwise; newer is what is written meanwhile."""
    if point.version != item.version:
        return point.version < item.version
    return item.vector is None or not same(point.vector, item.vector)


def same(a: Vector, b: Vector) -> bool:
    """Whether two vectors differ by no more than encoding the same content in another batch may change."""
    return a.shape == b.shape and bool(np.linalg.norm(a - b) <= _ROUNDING * np.linalg.norm(b))


def log(found: Reconciled) -> None:
    """Say what was found: quietly where all was well."""
    figures = {name: getattr(found, name) for name in found.__slots__}
    _log.log(logging.WARNING if found.repaired else logging.INFO, "reconciled", extra=figures)
