"""Array aliases and the few vector operations that every part shares."""

import numpy as np
from numpy.typing import NDArray

from coldstart.errors import InvalidInput

Matrix = NDArray[np.float32]
"""float32, two axes; the docstring that uses it names them."""
Vector = NDArray[np.float32]
"""float32, one axis."""
Rows = NDArray[np.int64]
"""int64 row numbers into a matrix."""
Mask = NDArray[np.bool_]

_LEAST_GROUP = 3  # smaller ones leave more to be partitioned than they save


def normalise(vectors: Matrix) -> Matrix:
    """Rows divided by their Euclidean norm; rows of zeros stay zeros.

    >>> normalise(np.array([[3.0, 4.0], [0.0, 0.0]], dtype=np.float32)).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.where(norms > 0, norms, 1.0), dtype=np.float32)


def largest(scores: Matrix, k: int) -> Rows:
    """Columns [b, k] of the k largest of each row [b, n], 0 <= k <= n, in no particular order.

    The columns are dealt out into groups. The k groups with the largest maxima hold the k largest numbers, so only
    their members are partitioned: with groups of about sqrt(n / k), 2 sqrt(n k) numbers instead of n.

    >>> np.sort(largest(np.array([[0.0, 3.0, 1.0, 2.0]], dtype=np.float32), 2)).tolist()
    [[1, 3]]
    """
    b, n = scores.shape
    size = int((n / max(k, 1)) ** 0.5)
    if k == 0:
        return np.empty((b, 0), dtype=np.int64)
    if size < _LEAST_GROUP:
        return np.argpartition(scores, n - k, axis=1)[:, n - k :]
    groups = n // size
    peaks = scores[:, : groups * size].reshape(b, size, groups).max(axis=1)  # column c is in group c % groups
    best = np.argpartition(peaks, groups - k, axis=1)[:, groups - k :]
    members = (best[:, :, None] + groups * np.arange(size)).reshape(b, k * size)
    left_over = np.broadcast_to(np.arange(groups * size, n), (b, n - groups * size))
    columns = np.concatenate([members, left_over], axis=1)
    among = np.take_along_axis(scores, columns, axis=1)
    top = np.argpartition(among, among.shape[1] - k, axis=1)[:, among.shape[1] - k :]
    return np.take_along_axis(columns, top, axis=1)


def rounded(embeddings: Matrix) -> Matrix:
    """Embeddings as float16 holds them, the precision in which they are kept; what it cannot hold becomes infinite.

    >>> rounded(np.array([0.1, 1e5], dtype=np.float32)).tolist()
    [0.0999755859375, inf]
    """
    with np.errstate(over="ignore"):
        return embeddings.astype(np.float16).astype(np.float32)


def require_finite(vectors: Matrix | Vector, subject: str) -> None:
    """Raise `InvalidInput` where a vector holds NaN or an infinity: engines accept those and rank them first."""
    if not np.isfinite(np.vdot(vectors, vectors)) and not np.isfinite(vectors).all():
        raise InvalidInput(
            "the vector holds NaN or an infinite number", subject=subject, remedy="Check the encoder or the import"
        )
