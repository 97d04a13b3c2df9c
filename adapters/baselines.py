"""What an adapter has to beat: other ways to place cold items, each a pure function of what training may know.

Every method gives user vectors [users, D] and item vectors [items, D], warm and cold together, in the rows of the data
set; their inner product is the score.
"""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix, diags

from adapters.config import AdapterConfig
from adapters.content import Centering, Contents
from adapters.forward import softmax
from coldstart.backbones import FrozenBackbone
from coldstart.vectors import Mask, Matrix, Rows, largest, normalise

_BATCH = 1024

Vectors = tuple[Matrix, Matrix]
"""User vectors [users, D] and item vectors [items, D]."""


@dataclass(frozen=True)
class Known:
    """What a method may look at, in the data set's rows.

    Parameters
    ----------
    users, items : float32 [users, d], [items, d]
        U and V of the frozen backbone; zeros where it does not know the row.
    clicks : csr [users, items]
        Training interactions.
    contents : Contents [items]
    """

    users: Matrix
    items: Matrix
    clicks: csr_matrix
    contents: Contents

    @classmethod
    def of(cls, backbone: FrozenBackbone, users: Rows, items: Rows, clicks: csr_matrix, contents: Contents) -> "Known":
        """With the backbone's users and items at these rows of the data set (-1: not in it)."""
        return cls(
            scatter(backbone.user_vectors, users, clicks.shape[0]),
            scatter(backbone.item_vectors, items, clicks.shape[1]), clicks, contents,
        )  # fmt: skip

    @property
    def warm(self) -> Mask:
        """Items with a training interaction [items]."""
        return np.asarray(np.diff(self.clicks.tocsc().indptr) > 0)


def scatter(vectors: Matrix, rows: Rows, n: int) -> Matrix:
    """Vectors [n, D] with the given ones at the given rows, zeros elsewhere; row -1 is nobody's."""
    out = np.zeros((n, vectors.shape[1]), np.float32)
    out[rows[rows >= 0]] = vectors[rows >= 0]
    return out


def features(contents: Contents, warm: Mask, *, image_weight: float) -> Matrix:
    """x [items, dt + pa + px]: what is written and what is seen, as an adapter starts from them, side by side.

    The cosine of two items that have both is (1 - w) cos_text + w cos_image. One that has a single modality is
    compared by that alone; rows without any are zeros.
    """
    default = AdapterConfig()
    centering = Centering.fit(
        contents.take(np.flatnonzero(warm)), image_dim=contents.image.shape[1], term_dim=default.term_dim,
        term_share=default.term_share,
    )  # fmt: skip
    *parts, read = centering.apply(contents)
    alone = read & ~read[:, ::-1]
    scale = np.where(alone, 1.0, np.sqrt([1.0 - image_weight, image_weight])) * read
    return normalise(np.hstack([part * scale[:, [n]] for n, part in enumerate(parts)]).astype(np.float32))


def popularity(known: Known, *, seed: int) -> Vectors:
    """Users who all want what was met most; equals (all cold items) in random order."""
    counts = np.asarray(known.clicks.sum(axis=0)).ravel()
    ties = np.random.default_rng(seed).random(len(counts)) / 2
    return np.ones((known.clicks.shape[0], 1), np.float32), (counts + ties).astype(np.float32)[:, None]


def backbone_alone(known: Known) -> Vectors:
    """The frozen vectors; a cold item has none and scores 0."""
    return known.users, known.items


def neighbours(known: Known, content: Matrix, *, k: int = 30, temperature: float = 0.1) -> Vectors:
    """A cold item as the mean of its k nearest warm items' frozen vectors, by softmax of the content cosine.

    Parameters
    ----------
    content : float32 [items, f]
        `features`.
    """
    has: Mask = np.asarray(content.any(axis=1))
    warm, cold = np.flatnonzero(known.warm & has), np.flatnonzero(~known.warm & has)
    k = min(k, len(warm))
    items = known.items.copy()
    if k == 0:
        return known.users, items
    for start in range(0, len(cold), _BATCH):
        rows = cold[start : start + _BATCH]
        cosines = content[rows] @ content[warm].T
        nearest = largest(cosines, k)
        logits = np.take_along_axis(cosines, nearest, axis=1) / temperature
        weights = softmax(logits, np.ones_like(logits, dtype=np.bool_))
        items[rows] = np.einsum("bk,bkd->bd", weights, known.items[warm[nearest]])
    return known.users, items


def ridge(known: Known, content: Matrix, *, penalty: float) -> Vectors:
    """A cold item as a ridge regression of the frozen item vectors on content predicts it: mean V + x W.

    W = (X'X + penalty I)^-1 X'(V - mean V), over the warm items with content.

    Parameters
    ----------
    content : float32 [items, f]
        `features`.
    """
    has: Mask = np.asarray(content.any(axis=1))
    taught = known.warm & has
    if not taught.any():  # nothing to learn from: a cold item stays without a vector
        return known.users, known.items
    x, mean = content[taught].astype(np.float64), known.items[taught].mean(axis=0)
    weights = np.linalg.solve(x.T @ x + penalty * np.eye(x.shape[1]), x.T @ (known.items[taught] - mean))
    predicted = mean + content @ weights
    items = np.where(known.warm[:, None], known.items, predicted * has[:, None])
    return known.users, items.astype(np.float32)


def content_knn(known: Known, content: Matrix) -> Vectors:
    """Every item as its content, a user as the mean of the items they met: no collaborative vector at all.

    Parameters
    ----------
    content : float32 [items, f]
        `features`.
    """
    met = np.maximum(np.diff(known.clicks.indptr), 1)
    return np.asarray(diags(1.0 / met) @ (known.clicks @ content), dtype=np.float32), content
