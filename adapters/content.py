"""Content embeddings as the adapter sees them: centred on the warm items, unit length, with masks."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.linalg import svds

from coldstart.errors import InvalidInput
from coldstart.terms import BUCKETS
from coldstart.vectors import Mask, Matrix, Rows, Vector, normalise, require_finite

MODALITIES = ("text", "image")
_LEAST_ITEMS = 2
_MOST_TERMS = 4096


@dataclass(frozen=True)
class Contents:
    """Raw embeddings of n items.

    Parameters
    ----------
    text : float32 [n, dt]
    image : float32 [n, dx]
        Zeros where the modality is missing; dt or dx may be 0 where nobody has it.
    present : bool [n, 2]
        m: which of text and image each item has. Declared columns are part of what is written about an item: one that
        has any has a text.
    terms : csr float32 [n, BUCKETS], optional
        Those columns, as `coldstart.terms.count_terms` gives them.
    """

    text: Matrix
    image: Matrix
    present: Mask
    terms: csr_matrix = field(default_factory=lambda: csr_matrix((0, BUCKETS), dtype=np.float32))

    def __post_init__(self) -> None:
        if not self.terms.shape[0]:
            object.__setattr__(self, "terms", csr_matrix((len(self.present), BUCKETS), dtype=np.float32))
        rows = [len(self.text), len(self.image), len(self.present), self.terms.shape[0]]
        if len(set(rows)) > 1:
            raise InvalidInput(
                f"text, image, mask and terms have {rows} rows",
                subject="contents",
                remedy="Give one row an item to each",
            )
        require_finite(self.text, "text embeddings")
        require_finite(self.image, "image embeddings")

    def __len__(self) -> int:
        return len(self.present)

    def take(self, rows: Rows) -> "Contents":
        """The items at these rows, in this order."""
        return Contents(self.text[rows], self.image[rows], self.present[rows], self.terms[rows])

    def padded(self, text_dim: int, image_dim: int) -> "Contents":
        """The same items, a modality that nobody has widened to its encoder's width with zeros."""

        def widened(vectors: Matrix, dim: int) -> Matrix:
            return vectors if vectors.shape[1] else np.zeros((len(vectors), dim), np.float32)

        return Contents(widened(self.text, text_dim), widened(self.image, image_dim), self.present, self.terms)

    def only(self, modalities: Sequence[str]) -> "Contents":
        """The same items with the other modalities masked out."""
        keep = np.array([name in modalities for name in MODALITIES])
        return Contents(self.text * keep[0], self.image * keep[1], self.present & keep, self.terms * float(keep[0]))

    def without_pictures(self, share: float, *, seed: int = 0) -> "Contents":
        """The same items, a share of the pictures masked out: those of which items is drawn by the seed."""
        rows = np.flatnonzero(self.present[:, 1])
        lost = np.random.default_rng(seed).permutation(rows)[: round(share * len(rows))]
        image, present = self.image.copy(), self.present.copy()
        image[lost], present[lost, 1] = 0.0, False
        return Contents(self.text, image, present, self.terms)


@dataclass(frozen=True)
class Terms:
    """The declared columns' terms that warm items share, weighed by rarity, and their principal axes.

    Parameters
    ----------
    buckets : int64 [a]
        Columns of the counts that are used: those of two warm items at least, the most frequent first.
    weights : float32 [a]
        log(1 + warm items / items with the term): inverse document frequency (Spärck Jones 1972).
    basis : float32 [a, pa]
        Orthonormal columns, largest moment first.
    mean : float32 [pa]
        Of the warm items that have any.
    """

    buckets: Rows
    weights: Vector
    basis: Matrix
    mean: Vector

    @classmethod
    def fit(cls, counts: csr_matrix, *, dim: int) -> "Terms":
        """Measure the warm items' counts [n, BUCKETS]."""
        frequency = np.asarray(counts.sum(axis=0)).ravel()
        order = np.argsort(-frequency, kind="stable")[:_MOST_TERMS]
        buckets = order[frequency[order] >= _LEAST_ITEMS]
        weights = np.log1p(counts.shape[0] / np.maximum(frequency[buckets], 1.0)).astype(np.float32)
        rows = _weigh(counts, buckets, weights)
        basis = _principal_axes(rows, dim)
        mean = np.asarray(rows.sum(axis=0)).ravel() / max(int((np.diff(rows.indptr) > 0).sum()), 1)
        return cls(buckets, weights, basis, np.asarray(mean @ basis, dtype=np.float32))

    def apply(self, counts: csr_matrix) -> tuple[Matrix, Mask]:
        """a [n, pa], centred rows of unit length, zeros for items without a known term; and which have one [n]."""
        rows = _weigh(counts, self.buckets, self.weights)
        has = np.diff(rows.indptr) > 0
        return normalise(np.asarray((rows @ self.basis - self.mean) * has[:, None], dtype=np.float32)), has


def _weigh(counts: csr_matrix, buckets: Rows, weights: Vector) -> csr_matrix:
    """The counts in these columns times their weights [n, a], in rows of unit length."""
    if not (counts.nnz and len(buckets)):  # what scipy needs for nothing is a third of an item's way into the space
        return csr_matrix((counts.shape[0], len(buckets)), dtype=np.float32)
    rows = counts[:, buckets]
    row_of = np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))
    weighed = rows.data * weights[rows.indices]
    length = np.sqrt(np.bincount(row_of, weighed**2, minlength=rows.shape[0]))[row_of]
    scaled = (weighed / np.where(length > 0, length, 1.0)).astype(np.float32)
    return csr_matrix((scaled, rows.indices, rows.indptr), shape=rows.shape)


def _principal_axes(rows: csr_matrix, dim: int) -> Matrix:
    """The strongest right singular vectors [a, dim] of the rows [n, a]; all axes where there are no more."""
    n, a = rows.shape
    if a <= dim:
        return np.eye(a, dtype=np.float32)
    if n <= dim:
        return np.asarray(np.linalg.svd(rows.toarray(), full_matrices=False)[2].T, dtype=np.float32)
    *_, axes = svds(rows.astype(np.float64), k=dim, v0=np.ones(min(n, a)))
    return np.asarray(axes[::-1].T, dtype=np.float32)


@dataclass(frozen=True)
class Centering:
    """Means of the warm items, the pictures' principal axes, and the terms of declared columns.

    Parameters
    ----------
    text_mean : float32 [dt]
    image_mean : float32 [dx]
    image_basis : float32 [dx, px]
        Orthonormal columns, largest variance first.
    terms : Terms
    term_share : float
        Of an item's t that is its terms, where it has a text, too.
    """

    text_mean: Vector
    image_mean: Vector
    image_basis: Matrix
    terms: Terms
    term_share: float

    @classmethod
    def fit(cls, warm: Contents, *, image_dim: int, term_dim: int, term_share: float) -> "Centering":
        """Measure the warm items; a modality that none of them has gets zeros."""
        text, image = warm.text[warm.text.any(axis=1)], warm.image[warm.present[:, 1]]
        text_mean = text.mean(0) if len(text) else np.zeros(warm.text.shape[1], np.float32)
        image_mean = image.mean(0) if len(image) else np.zeros(warm.image.shape[1], np.float32)
        centred = image - image_mean
        values, axes = np.linalg.eigh((centred.T @ centred).astype(np.float64))
        order = np.argsort(-values)[: min(image_dim, len(image))]
        return cls(
            text_mean.astype(np.float32), image_mean.astype(np.float32), axes[:, order].astype(np.float32),
            Terms.fit(warm.terms, dim=term_dim), term_share,
        )  # fmt: skip

    @property
    def dims(self) -> tuple[int, int]:
        """dt + pa and px, the widths of t and x."""
        return len(self.text_mean) + len(self.terms.mean), int(self.image_basis.shape[1])

    def apply(self, contents: Contents) -> tuple[Matrix, Matrix, Mask]:
        """t [n, dt + pa] and x [n, px], centred rows of unit length, and which of them can be read [n, 2].

        t is what is written about an item, sqrt(1 - share) of it the sentence and sqrt(share) the terms; an item with
        one of the two has that alone. Sentences cannot be read where no warm item had one, nor can unknown terms. What
        is missing or cannot be read is a row of zeros.
        """
        known: Mask = np.asarray(contents.text.any(axis=1) & self.text_mean.any())
        sentence = normalise((contents.text - self.text_mean) * known[:, None])
        terms, has_terms = self.terms.apply(contents.terms)
        read = contents.present & np.stack([known | has_terms, np.ones_like(known)], axis=1)
        both = [np.sqrt(1 - self.term_share) * sentence, np.sqrt(self.term_share) * terms]
        text = normalise(np.hstack(both).astype(np.float32)) * read[:, :1]
        image = normalise(np.asarray((contents.image - self.image_mean) @ self.image_basis, dtype=np.float32))
        image = image * contents.present[:, 1:]
        return text.astype(np.float32), image.astype(np.float32), read
