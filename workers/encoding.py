"""From claimed items to served vectors, a batch at a time."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

import numpy as np
from PIL.Image import Image
from PIL.Image import new as new_image

from adapters.serving import ServedAdapter
from coldstart.catalog import Claim, Embeddings, Encoded
from coldstart.clean import compose_text
from coldstart.encoders.fetch import Fetcher
from coldstart.entities import ExternalId, Item
from coldstart.errors import InvalidInput
from coldstart.settings import Settings
from coldstart.vectors import Mask, Matrix, require_finite, rounded
from workers.models import Models
from workers.pictures import PictureReader

T_contra = TypeVar("T_contra", contravariant=True)


@dataclass(frozen=True, slots=True)
class Content:
    """A claimed item as the encoders take it: ``text`` and ``picture`` are ``None`` where there is none."""

    claim: Claim
    text: str | None
    picture: Image | None
    picture_error: str | None

    @property
    def item_id(self) -> ExternalId:
        """Whose content it is."""
        return self.claim.record.item.item_id


class BatchEncoder:
    """The road of a batch: read -> encode -> adapt -> check."""

    def __init__(self, adapter: ServedAdapter, models: Models, pictures: PictureReader) -> None:
        self._adapter, self._models, self._pictures = adapter, models, pictures
        self._turn = threading.Lock()

    def open(self) -> None:
        """Have the models ready; raises what keeps them from it."""
        self._models.text.get()
        self._models.image.get()

    @property
    def opened(self) -> bool:
        """Whether any model is loaded."""
        return self._models.text.made or self._models.image.made

    @property
    def adapter(self) -> ServedAdapter:
        """What places the outcomes."""
        return self._adapter

    @property
    def adapter_version(self) -> str:
        """Whose space the outcomes are in."""
        return self._adapter.version

    def warm_up(self) -> Matrix:
        """Served vectors [1, D] of nothing in particular: the first batch of a model is slow, and may fail."""
        with self._turn:
            text = self._models.text.get().encode(["warm up"])
            image = self._models.image.get().encode([new_image("RGB", (64, 64))])
        return self._adapter.serve(["warm up"], text, image, np.ones((1, 2), dtype=np.bool_)).vectors

    def read(self, claims: Sequence[Claim]) -> list[Content]:
        """What there is to encode, in the order of the claims; a broken picture is a remark."""
        contents = []
        for claim, (picture, error) in zip(claims, self._pictures.read_all(claims), strict=True):
            item = claim.record.item
            text = compose_text(item.title, item.text, item.attributes) or None
            contents.append(Content(claim, text, picture, error))
        return contents

    def encode(self, contents: Sequence[Content]) -> list[Encoded]:
        """The outcome for each; raises `InvalidInput` where one of them is no use, naming it."""
        with self._turn:
            (text, has_text), (image, has_image) = self._embed(contents)
        present = np.stack([has_text, has_image], axis=1)
        items = [content.claim.record.item for content in contents]
        bare = np.flatnonzero(~present.any(axis=1))
        if len(bare):  # known by their ids alone, as the backbone's items are where no data set was loaded
            text[bare], image[bare], present[bare] = self._adapter.remembered([items[row].item_id for row in bare])
        outcomes = serve(self._adapter, items, text, image, present)
        for content, outcome in zip(contents, outcomes, strict=True):
            if outcome.cold and not any(outcome.gates.values()):
                raise _mute(content)
        return [
            replace(outcome, version=content.claim.record.version, picture_error=content.picture_error)
            for outcome, content in zip(outcomes, contents, strict=True)
        ]

    def _embed(self, contents: Sequence[Content]) -> tuple[tuple[Matrix, Mask], tuple[Matrix, Mask]]:
        """Texts and pictures, as `embed` has them."""
        texts, pictures = [content.text for content in contents], [content.picture for content in contents]
        text, image = self._models.text.get(), self._models.image.get()
        if len(contents) > 1:  # of many, one after the other: what else goes on has the other processors
            return embed(text, texts), embed(image, pictures)
        with ThreadPoolExecutor(1, thread_name_prefix="coldstart-picture") as beside:
            seen = beside.submit(embed, image, pictures)
            return embed(text, texts), seen.result()


def encoder_of(adapter: ServedAdapter, models: Models, settings: Settings) -> BatchEncoder:
    """What encodes for an adapter by encoders that others may share, of pictures that the settings allow."""
    fetcher = Fetcher(settings.image_hosts, max_bytes=settings.max_image_bytes)
    pictures = PictureReader(fetcher, max_bytes=settings.max_image_bytes, max_pixels=settings.max_image_pixels)
    return BatchEncoder(adapter, models, pictures)


def _mute(content: Content) -> InvalidInput:
    """Nothing is known of the item that the adapter could listen to."""
    match content.text, content.picture:
        case None, None:
            what = f"the item has neither a text nor a usable picture ({content.picture_error or 'none was sent'})"
        case None, _:
            what = "the item has a picture alone, and the adapter was not trained on pictures"
        case _:
            what = "the item has no usable picture, and the adapter was not trained on texts"
    return InvalidInput(what, subject=content.item_id, remedy="Send it again with a title, a text or a picture")


def serve(adapter: ServedAdapter, items: Sequence[Item], text: Matrix, image: Matrix, present: Mask) -> list[Encoded]:
    """What the store keeps of items with these embeddings [b, dt], [b, dx] and modalities [b, 2]; ``version`` is 0.

    Raises `InvalidInput` where a vector is not finite, naming its item.
    """
    item_ids = [item.item_id for item in items]
    _require_each_finite(item_ids, text, image)
    served = adapter.serve(item_ids, text, image, present, [item.attributes for item in items])
    _require_each_finite(item_ids, served.vectors)
    return [
        Encoded(
            item_id=item_id,
            version=0,
            embeddings=Embeddings(text[row] if present[row, 0] else None, image[row] if present[row, 1] else None),
            vector=served.vectors[row],
            gates={"text": float(served.gates[row, 0]), "image": float(served.gates[row, 1])},
            cold=bool(served.cold[row]),
            adapter_version=adapter.version,
        )
        for row, item_id in enumerate(item_ids)
    ]


def _require_each_finite(item_ids: Sequence[ExternalId], *matrices: Matrix) -> None:
    for row, item_id in enumerate(item_ids):
        for matrix in matrices:
            require_finite(matrix[row], item_id)


class _Encoder(Protocol[T_contra]):
    @property
    def dim(self) -> int: ...

    def encode(self, batch: Sequence[T_contra]) -> Matrix: ...


def embed(encoder: _Encoder[T_contra], contents: Sequence[T_contra | None]) -> tuple[Matrix, Mask]:
    """Embeddings [b, dim], zeros where the content is ``None``, and where it is not [b].

    Rounded to float16, as they are stored and as adapters are trained: served again from its row, an item is the same.
    """
    present = np.array([content is not None for content in contents])
    embeddings = np.zeros((len(contents), encoder.dim), dtype=np.float32)
    if present.any():
        embeddings[present] = rounded(encoder.encode([content for content in contents if content is not None]))
    return embeddings, present
