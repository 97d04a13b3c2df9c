"""Stored embeddings as the matrices that an adapter takes."""

from collections.abc import Sequence

import numpy as np

from adapters.serving import ServedAdapter
from coldstart.catalog import Embeddings
from coldstart.vectors import Mask, Matrix, Vector


def stack(adapter: ServedAdapter, embeddings: Sequence[Embeddings]) -> tuple[Matrix, Matrix, Mask]:
    """Text [b, dt] and image [b, dx], zeros for what is missing, and what is there [b, 2]."""
    text, has_text = _stack([each.text for each in embeddings], adapter.text_dim)
    image, has_image = _stack([each.image for each in embeddings], adapter.image_dim)
    return text, image, np.stack([has_text, has_image], axis=1)


def _stack(vectors: Sequence[Vector | None], dim: int) -> tuple[Matrix, Mask]:
    present = np.array([each is not None for each in vectors], dtype=np.bool_)
    stacked = np.zeros((len(vectors), dim), dtype=np.float32)
    for row, each in enumerate(vectors):
        if each is not None:
            stacked[row] = each
    return stacked, present
