"""Brings the items that a backbone knows into the catalogue, with the embeddings that its adapter was trained on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from adapters.serving import ServedAdapter
from coldstart.catalog import Accepted, Draft, Embeddings, Encoded, ItemStore
from coldstart.dataset import Dataset
from coldstart.encoders.fetch import Fetcher
from coldstart.encoders.media import read_picture
from coldstart.entities import Item
from coldstart.errors import InvalidInput
from coldstart.vectors import Mask, Matrix, Vector
from workers.encoding import serve

T = TypeVar("T")
BATCH = 256
# What is brought in waits for what is posted.
PRIORITY = -1


@dataclass(frozen=True, slots=True)
class Seeded:
    """How many items came in with their embeddings, how many are due for encoding, how many were there already."""

    embedded: int = 0
    due: int = 0
    known: int = 0

    def __add__(self, other: "Seeded") -> "Seeded":
        return Seeded(self.embedded + other.embedded, self.due + other.due, self.known + other.known)


def seed(store: ItemStore, adapter: ServedAdapter, dataset: Dataset | None = None) -> Seeded:
    """Accept every item of the data set, and of the backbone, that the catalogue has never held.

    Known items stay as they are, whatever the data set says: the catalogue may be newer. An item that only the backbone
    knows comes in by its id alone, and a later data set may tell its title.

    Raises
    ------
    ColdstartError
        Where the store refuses an item, naming it.
    """
    stored = {item_id: Embeddings(text, image) for item_id, text, image in adapter.content()}
    items = dataset.items if dataset is not None else None
    listed: Iterator[Item] = (items.item(row) for row in range(len(items))) if items is not None else iter(())
    unlisted = (Item(item_id, "") for item_id in stored if items is None or item_id not in items.ids)
    total = Seeded()
    for part in batches((*listed, *unlisted), BATCH):
        known = {
            item_id
            for item_id, record in store.get_many([item.item_id for item in part]).items()
            if dataset is None or record.item != Item(item_id, "")
        }
        fresh = [_draft(item, dataset) for item in part if item.item_id not in known]
        embedded = [draft for draft in fresh if _any(stored.get(draft.item.item_id))]
        due = [draft for draft in fresh if not _any(stored.get(draft.item.item_id))]
        pairs = _encode(adapter, embedded, [stored[draft.item.item_id] for draft in embedded])
        for answer in (*store.accept_encoded(pairs, priority=PRIORITY), *store.accept(due, priority=PRIORITY)):
            if not isinstance(answer, Accepted):
                raise answer
        total += Seeded(len(embedded), len(due), len(known))
    return total


def batches(elements: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """The elements in order, ``size`` at a time.

    >>> list(batches("abcde", 2))
    ['ab', 'cd', 'e']
    """
    for start in range(0, len(elements), size):
        yield elements[start : start + size]


def _draft(item: Item, dataset: Dataset | None) -> Draft:
    """With the bytes of a picture that lies beside the data set: the catalogue does not read files of its host."""
    if item.image is None or item.image.startswith(("http:", "https:", "data:")):
        return Draft(item)
    try:
        picture = read_picture(item.image, root=dataset.root if dataset else None, fetcher=Fetcher())
    except InvalidInput:
        # Left as it is: encoding says of the item what is wrong with its picture.
        return Draft(item)
    return Draft(replace(item, image=None), picture)


def _encode(
    adapter: ServedAdapter, drafts: Sequence[Draft], embeddings: Sequence[Embeddings]
) -> list[tuple[Draft, Encoded]]:
    if not drafts:
        return []
    ids = [draft.item.item_id for draft in drafts]
    text, has_text = _stack([each.text for each in embeddings], adapter.text_dim)
    image, has_image = _stack([each.image for each in embeddings], adapter.image_dim)
    return list(zip(drafts, serve(adapter, ids, text, image, np.stack([has_text, has_image], axis=1)), strict=True))


def _stack(vectors: Sequence[Vector | None], dim: int) -> tuple[Matrix, Mask]:
    """Rows [b, dim], zeros for ``None``, and which are there [b]."""
    rows = [np.zeros(dim, dtype=np.float32) if vector is None else vector for vector in vectors]
    return np.stack(rows), np.array([vector is not None for vector in vectors])


def _any(embeddings: Embeddings | None) -> bool:
    return embeddings is not None and (embeddings.text is not None or embeddings.image is not None)
