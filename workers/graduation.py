"""Moves new items towards those who click them, while the service runs."""

import logging
from collections.abc import Callable, Sequence

import numpy as np

from adapters.serving import GraduatedItems, ServedAdapter
from coldstart.catalog import Clicked, Graduated, ItemStore
from coldstart.telemetry import Telemetry
from coldstart.vectors import Vector
from workers.stacking import stack

_log = logging.getLogger(__name__)

MOST = 1000  # items a pass: what is clicked beyond that waits for the next
PAGE = 128  # items at a time: some milliseconds of numpy and of the database
# Of a vector's length: what working out the same clicks in another batch changes, and no click does.
_ROUNDING = 1e-5


def graduate_clicked(
    store: ItemStore,
    adapter: ServedAdapter,
    telemetry: Telemetry,
    *,
    most: int = MOST,
    stopping: Callable[[], bool] = lambda: False,
) -> int:
    """Look at up to so many cold items that were clicked, and owe those that move to the index; returns how many do.

    Safe beside live writes. A vector is made of the item at one version, and stored only where the item is at that
    version still, as the version after: whatever is posted or deleted meanwhile is newer, and wins.

    Parameters
    ----------
    stopping : callable, optional
        Asked between two pages.
    """
    moved, weights, looked = 0, [0.0], 0
    while looked < most and not stopping():
        page = store.clicked(adapter_version=adapter.version, limit=min(PAGE, most - looked))
        results = _move(adapter, page)
        ids = set(store.graduate(results))
        weights += [result.weight for result in results if result.of.item_id in ids]
        moved, looked = moved + len(ids), looked + len(page)
        if not page:
            break
    if moved:
        telemetry.graduated.inc(moved)
        telemetry.click_weight.set(float(np.mean(weights[1:])))
        _log.info("moved by their clicks", extra={"items": moved, "looked_at": looked})
    return moved


def _move(adapter: ServedAdapter, page: Sequence[Clicked]) -> list[Graduated]:
    """Where each item is to be."""
    if not page:
        return []
    text, image, present = stack(adapter, [item.embeddings for item in page])
    graduated = adapter.graduated(
        text, image, present, [item.attributes for item in page], [item.users for item in page]
    )
    return [_result(item, graduated, row) for row, item in enumerate(page)]


def _result(item: Clicked, graduated: GraduatedItems, row: int) -> Graduated:
    vector: Vector = graduated.vectors[row]
    finite = bool(np.isfinite(vector).all())
    if not finite:
        _log.error("its clicks would move it to no place at all, so it stays", extra={"item_id": item.item_id})
    moves = finite and not (item.vector is not None and _same(vector, item.vector))
    return Graduated(
        of=item, vector=vector if moves else None, clicks=int(graduated.clicks[row]),
        weight=float(graduated.weights[row]),
    )  # fmt: skip


def _same(a: Vector, b: Vector) -> bool:
    return a.shape == b.shape and bool(np.linalg.norm(a - b) <= _ROUNDING * np.linalg.norm(b))
