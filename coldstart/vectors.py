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


def normalise(vectors: Matrix) -> Matrix:
    """Rows divided by their Euclidean norm; rows of zeros stay zeros.

    >>> normalise(np.array([[3.0, 4.0], [0.0, 0.0]], dtype=np.float32)).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.where(norms > 0, norms, 1.0), dtype=np.float32)


def rounded(embeddings: Matrix) -> Matrix:
    """Embeddings as float16 holds them, the precision in which they are kept; what it cannot hold becomes infinite.

    >>> rounded(np.array([0.1, 1e5], dtype=np.float32)).tolist()
    [0.0999755859375, inf]
    """
    with np.errstate(over="ignore"):
        return embeddings.astype(np.float16).astype(np.float32)


def require_finite(vectors: Matrix | Vector, subject: str) -> None:
    """Raise `InvalidInput` where a vector holds NaN or an infinity: engines accept those and rank them first."""
    if not np.isfinite(vectors).all():
        raise InvalidInput(
            "the vector holds NaN or an infinite number", subject=subject, remedy="Check the encoder or the import"
        )
