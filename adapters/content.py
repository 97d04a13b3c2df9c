"""Content embeddings as the adapter sees them: centred on the warm items, unit length, with masks."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from coldstart.errors import InvalidInput
from coldstart.vectors import Mask, Matrix, Rows, Vector, normalise, require_finite

MODALITIES = ("text", "image")


@dataclass(frozen=True)
class Contents:
    """Raw embeddings of n items.

    Parameters
    ----------
    text : float32 [n, dt]
    image : float32 [n, dx]
        Zeros where the modality is missing; dt or dx may be 0 where nobody has it.
    present : bool [n, 2]
        m: which of text and image each item has.
    """

    text: Matrix
    image: Matrix
    present: Mask

    def __post_init__(self) -> None:
        if not len(self.text) == len(self.image) == len(self.present):
            raise InvalidInput(
                f"text, image and mask have {len(self.text)}, {len(self.image)} and {len(self.present)} rows",
                subject="contents",
                remedy="Give one row an item to each",
            )
        require_finite(self.text, "text embeddings")
        require_finite(self.image, "image embeddings")

    def __len__(self) -> int:
        return len(self.present)

    def take(self, rows: Rows) -> "Contents":
        """The items at these rows, in this order."""
        return Contents(self.text[rows], self.image[rows], self.present[rows])

    def padded(self, text_dim: int, image_dim: int) -> "Contents":
        """The same items, a modality that nobody has widened to its encoder's width with zeros."""

        def widened(vectors: Matrix, dim: int) -> Matrix:
            return vectors if vectors.shape[1] else np.zeros((len(vectors), dim), np.float32)

        return Contents(widened(self.text, text_dim), widened(self.image, image_dim), self.present)

    def only(self, modalities: Sequence[str]) -> "Contents":
        """The same items with the other modalities masked out."""
        keep = np.array([name in modalities for name in MODALITIES])
        return Contents(self.text * keep[0], self.image * keep[1], self.present & keep)


@dataclass(frozen=True)
class Centering:
    """Means of the warm items and the pictures' principal axes.

    Parameters
    ----------
    text_mean : float32 [dt]
    image_mean : float32 [dx]
    image_basis : float32 [dx, px]
        Orthonormal columns, largest variance first.
    """

    text_mean: Vector
    image_mean: Vector
    image_basis: Matrix

    @classmethod
    def fit(cls, warm: Contents, *, image_dim: int) -> "Centering":
        """Measure the warm items; a modality that none of them has gets zeros."""
        text, image = warm.text[warm.present[:, 0]], warm.image[warm.present[:, 1]]
        text_mean = text.mean(0) if len(text) else np.zeros(warm.text.shape[1], np.float32)
        image_mean = image.mean(0) if len(image) else np.zeros(warm.image.shape[1], np.float32)
        centred = image - image_mean
        values, axes = np.linalg.eigh((centred.T @ centred).astype(np.float64))
        order = np.argsort(-values)[: min(image_dim, len(image))]
        return cls(text_mean.astype(np.float32), image_mean.astype(np.float32), axes[:, order].astype(np.float32))

    def apply(self, contents: Contents) -> tuple[Matrix, Matrix]:
        """t [n, dt] and x [n, px]: centred rows of unit length, zeros where the modality is missing."""
        text = normalise(contents.text - self.text_mean) * contents.present[:, :1]
        image = normalise(np.asarray((contents.image - self.image_mean) @ self.image_basis, dtype=np.float32))
        image = image * contents.present[:, 1:]
        return text.astype(np.float32), image.astype(np.float32)
