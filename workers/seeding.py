"""Brings the items that a backbone knows into the catalogue, with the embeddings that its adapter was trained on."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from adapters.serving import ServedAdapter
from coldstart.catalog import Accepted, Draft, Embeddings, Encoded, ItemRecord, ItemStore, Status
from coldstart.catalog.statements import chunks
from coldstart.dataset import Dataset
from coldstart.encoders.fetch import Fetcher
from coldstart.encoders.media import read_picture
from coldstart.entities import ExternalId, Item
from coldstart.errors import Conflict, InvalidInput
from workers.encoding import serve
from workers.stacking import stack

_log = logging.getLogger(__name__)

BATCH = 256
# What is brought in waits for what is posted.
PRIORITY = -1


@dataclass(frozen=True, slots=True)
class Seeded:
    """How many items came in with their embeddings, are due for encoding, were there already, or were refused."""

    embedded: int = 0
    due: int = 0
    known: int = 0
    refused: int = 0

    def __add__(self, other: "Seeded") -> "Seeded":
        return Seeded(
            self.embedded + other.embedded, self.due + other.due, self.known + other.known, self.refused + other.refused
        )


def seed(
    store: ItemStore,
    adapter: ServedAdapter,
    dataset: Dataset | None = None,
    *,
    stopping: Callable[[], bool] = lambda: False,
) -> Seeded:
    """Accept every item of the data set, and of the backbone, that the catalogue has never held.

    Known items stay as they are, whatever the data set says: the catalogue may be newer, also by what is posted or
    deleted meanwhile. An item that only the backbone knows comes in by its id alone, and a later data set may tell its
    title. An item that the store refuses is logged and left out.

    Parameters
    ----------
    stopping : callable, optional
        Asked between two batches; what has come in by then stays.
    """
    stored = {item_id: Embeddings(text, image) for item_id, text, image in adapter.content()}
    items = dataset.items if dataset is not None else None
    listed: Iterator[Item] = (items.item(row) for row in range(len(items))) if items is not None else iter(())
    unlisted = (Item(item_id, "") for item_id in stored if items is None or item_id not in items.ids)
    total = Seeded()
    for part in chunks((*listed, *unlisted), BATCH):
        if stopping():
            break
        total += _bring_in(store, adapter, dataset, part, stored)
    return total


def _bring_in(
    store: ItemStore,
    adapter: ServedAdapter,
    dataset: Dataset | None,
    part: Sequence[Item],
    stored: Mapping[ExternalId, Embeddings],
) -> Seeded:
    known = store.get_many([item.item_id for item in part])
    fresh = [
        replace(_draft(item, dataset), replaces=known[item.item_id].version if item.item_id in known else 0)
        for item in part
        if item.item_id not in known or (dataset is not None and _is_bare(known[item.item_id]))
    ]
    embedded = [draft for draft in fresh if _is_embedded(draft, stored.get(draft.item.item_id))]
    due = [draft for draft in fresh if not _is_embedded(draft, stored.get(draft.item.item_id))]
    pairs = _encode(adapter, embedded, [stored[draft.item.item_id] for draft in embedded])
    served, queued = store.accept_encoded(pairs, priority=PRIORITY), store.accept(due, priority=PRIORITY)
    overtaken = sum(isinstance(answer, Conflict) for answer in (*served, *queued))
    refused = [answer for answer in (*served, *queued) if not isinstance(answer, Accepted | Conflict)]
    for error in refused:
        _log.warning("item not brought in: %s", error)
    return Seeded(
        embedded=sum(isinstance(answer, Accepted) for answer in served),
        due=sum(isinstance(answer, Accepted) for answer in queued),
        known=len(part) - len(fresh) + overtaken,
        refused=len(refused),
    )


def _is_bare(record: ItemRecord) -> bool:
    """Whether nothing but an id is known of the item, and nobody has deleted it."""
    return record.item == Item(record.item.item_id, "") and record.status is not Status.DELETED


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
    items = [draft.item for draft in drafts]
    return list(zip(drafts, serve(adapter, items, *stack(adapter, embeddings)), strict=True))


def _is_embedded(draft: Draft, embeddings: Embeddings | None) -> bool:
    """Whether encoding would add nothing to what the adapter holds of the item: it holds some, or there is nothing."""
    if embeddings is None:
        return False
    bare = draft.item == Item(draft.item.item_id, "") and draft.picture is None
    return bare or embeddings.text is not None or embeddings.image is not None
