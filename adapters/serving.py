"""An adapter at work: external ids in, served vectors out. Needs numpy alone."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from adapters.artifact import Artifact, load_artifact
from adapters.content import Contents
from coldstart.entities import ExternalId
from coldstart.vectors import Mask, Matrix, Vector

_BLEND_HALF = 10
"""Recent clicks that weigh as much as a known user's whole history; to be fitted where event streams are evaluated."""


@dataclass(frozen=True)
class ServedItems:
    """What the index serves of b items: vectors float32 [b, D], gates float32 [b, 2], cold bool [b]."""

    vectors: Matrix
    gates: Matrix
    cold: Mask


class ServedAdapter:
    """The item side (`serve`) and the user side (`coldstart.users.UserSpace`) of one adapter version."""

    def __init__(self, artifact: Artifact) -> None:
        self.artifact = artifact
        self.adapter = artifact.adapter
        self.backbone = artifact.adapter.backbone
        self.version = artifact.version
        self.dim = artifact.adapter.dim
        self.text_model, self.text_fingerprint = artifact.text.model, artifact.text.fingerprint
        self.image_model, self.image_fingerprint = artifact.image.model, artifact.image.fingerprint
        self.text_dim = self.adapter.contents.text.shape[1]
        self.image_dim = self.adapter.contents.image.shape[1]

    @classmethod
    def load(cls, folder: Path, *, backbone: Path | None = None) -> "ServedAdapter":
        """Read an adapter and its backbone; see `adapters.artifact.load_artifact` for what is refused."""
        return cls(load_artifact(folder, backbone=backbone))

    def serve(self, item_ids: Sequence[ExternalId], text: Matrix, image: Matrix, present: Mask) -> ServedItems:
        """Place b items in the served space.

        Parameters
        ----------
        text, image : float32 [b, dt], [b, dx]
            Embeddings of the encoders that the adapter was trained with; zeros where missing.
        present : bool [b, 2]
        """
        own_rows = self.backbone.items.rows(item_ids)
        blocks = self.adapter.blocks(Contents(text, image, present), own_rows)
        cold = own_rows < 0
        vectors = self.adapter.cold_vectors(blocks)
        if not cold.all():
            warm = self.adapter.warm_vectors(np.maximum(own_rows, 0), blocks)
            vectors = np.where(cold[:, None], vectors, warm)
        return ServedItems(vectors.astype(np.float32), blocks.gate, cold)

    def content(self) -> Iterator[tuple[ExternalId, Vector | None, Vector | None]]:
        """Id, text and image embedding of each item the backbone knows, ``None`` for what is missing."""
        contents = self.adapter.contents
        for row, item_id in enumerate(self.backbone.items.ids):
            has_text, has_image = contents.present[row]
            yield item_id, contents.text[row] if has_text else None, contents.image[row] if has_image else None

    def user_vector(self, user_id: ExternalId) -> Vector | None:
        """The frozen backbone's user in the served space [D]; ``None`` where it is unknown."""
        row = self.backbone.users.rows([user_id])
        return None if row[0] < 0 else self.adapter.user_vectors(row)[0]

    def seen(self, user_id: ExternalId) -> Sequence[ExternalId]:
        """What the user met in training."""
        row = int(self.backbone.users.rows([user_id])[0])
        if row < 0:
            return ()
        clicks = self.backbone.clicks
        return [self.backbone.items.ids[i] for i in clicks.indices[clicks.indptr[row] : clicks.indptr[row + 1]]]

    def fold_in(self, item_vectors: Matrix) -> Vector:
        """A query [D] from the served vectors [k, D] of clicked items; see `adapters.space.Adapter.fold_in`."""
        return self.adapter.fold_in(item_vectors)

    def blend(self, known: Vector, folded: Vector, clicks: int) -> Vector:
        """A known user's query [D] moved towards the fold-in of ``clicks`` recent events."""
        weight = clicks / (clicks + _BLEND_HALF)
        return np.asarray((1 - weight) * known + weight * folded, dtype=np.float32)

    def query_from_text(self, text_embedding: Vector) -> Vector:
        """A query [D] from a sentence's embedding [dt]: the fold-in of a cold item with that text and no picture."""
        return np.asarray(self.adapter.text_queries(text_embedding[None])[0], dtype=np.float32)

    @cached_property
    def clicks_by_item(self) -> dict[ExternalId, int]:
        """How often each item was met in training."""
        counts = np.asarray(self.backbone.clicks.sum(axis=0)).ravel().astype(int).tolist()
        return dict(zip(self.backbone.items.ids, counts, strict=True))
