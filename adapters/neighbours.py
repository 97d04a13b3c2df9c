"""The neighbour branch: the warm items nearest by content, corrected for hubs."""

from dataclasses import dataclass

import numpy as np

from coldstart.vectors import Matrix, Rows, largest

_BATCH = 1024
_HUB_SIZE = 10
"""Nearest anchors whose mean cosine says how much of a hub an anchor is (Conneau et al. 2018, CSLS)."""


@dataclass(frozen=True)
class Anchors:
    """Warm items that can be neighbours.

    Parameters
    ----------
    rows : int64 [n]
        Their rows in the backbone.
    text, image : float32 [n, dt], [n, px]
        Centred embeddings of unit length; kept by columns, in which order one item is compared with all in half the
        time.
    penalty : float32 [n, 2]
        Per modality: ``hubness`` times the mean cosine of the 10 nearest other anchors.
    """

    rows: Rows
    text: Matrix
    image: Matrix
    penalty: Matrix

    def __post_init__(self) -> None:
        for name in ("text", "image"):
            object.__setattr__(self, name, np.asfortranarray(getattr(self, name)))

    @classmethod
    def build(cls, rows: Rows, text: Matrix, image: Matrix, *, hubness: float) -> "Anchors":
        """Measure the hubness of each anchor among the others."""
        penalty = np.stack([_mean_of_nearest(text), _mean_of_nearest(image)], axis=1)
        return cls(rows, text, image, (hubness * penalty).astype(np.float32))


def nearest(
    anchors: Anchors, text: Matrix, image: Matrix, gate: Matrix, *, k: int, own_rows: Rows | None = None
) -> tuple[Rows, Matrix]:
    """The k anchors with the highest gated, corrected cosine to each of b items.

    Parameters
    ----------
    text, image, gate : float32 [b, dt], [b, px], [b, 2]
    own_rows : int64 [b], optional
        Each item's own row in the backbone (-1 for none): an item is never its own neighbour.

    Returns
    -------
    places : int64 [b, k]
        Positions among the anchors, in no particular order.
    similarity : float32 [b, k, 2]
        Corrected cosine per modality.
    """
    k = min(k, len(anchors.rows) - (own_rows is not None))
    places = np.empty((len(text), k), dtype=np.int64)
    similarity = np.empty((len(text), k, 2), dtype=np.float32)
    for start in range(0, len(text), _BATCH):
        part = slice(start, start + _BATCH)
        by_text = text[part] @ anchors.text.T - anchors.penalty[:, 0]
        by_image = image[part] @ anchors.image.T - anchors.penalty[:, 1]
        mixed = gate[part, :1] * by_text + gate[part, 1:] * by_image
        if own_rows is not None:
            mixed[own_rows[part, None] == anchors.rows[None, :]] = -np.inf
        best = largest(mixed, k)
        places[part] = best
        similarity[part] = np.stack(
            [np.take_along_axis(by_text, best, axis=1), np.take_along_axis(by_image, best, axis=1)], axis=-1
        )
    return places, similarity


def _mean_of_nearest(vectors: Matrix) -> Matrix:
    """Mean cosine [n] of each row's nearest other rows."""
    n = min(_HUB_SIZE, len(vectors) - 1)
    means = np.zeros(len(vectors), dtype=np.float32)
    if n < 1 or vectors.shape[1] == 0:
        return means
    for start in range(0, len(vectors), _BATCH):
        cosines = vectors[start : start + _BATCH] @ vectors.T
        own = np.arange(len(cosines))
        cosines[own, start + own] = -1.0
        means[start : start + _BATCH] = np.take_along_axis(cosines, largest(cosines, n), axis=1).mean(axis=1)
    return means
