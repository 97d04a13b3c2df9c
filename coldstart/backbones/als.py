"""Alternating least squares through the ``implicit`` library: a backbone by itself, and a start for the others."""

import numpy as np
from scipy.sparse import csr_matrix

from coldstart.errors import MissingExtra
from coldstart.vectors import Matrix, require_finite


def als_factors(
    clicks: csr_matrix, d: int, alpha: float, regularisation: float, iterations: int, seed: int
) -> tuple[Matrix, Matrix]:
    """User and item factors [users, d], [items, d] of implicit-feedback ALS (Hu, Koren and Volinsky 2008).

    Minimises ``sum c_ui (p_ui - u . v)^2 + regularisation (|U|^2 + |V|^2)`` where c is ``alpha`` for a click and 1
    elsewhere, and p is 1 for a click and 0 elsewhere. One thread, so that a seed gives the same bytes.

    Raises
    ------
    MissingExtra
        Where ``implicit`` is not installed.
    """
    try:
        from implicit.cpu.als import AlternatingLeastSquares
        from threadpoolctl import threadpool_limits
    except ImportError:
        raise MissingExtra("implicit", extra="train", purpose="Alternating least squares") from None
    with threadpool_limits(1, "blas"):  # implicit is many times slower on a threaded BLAS, and warns about it
        model = AlternatingLeastSquares(
            factors=d,
            alpha=alpha,
            regularization=regularisation,
            iterations=iterations,
            num_threads=1,
            random_state=seed,
        )
        model.fit(clicks, show_progress=False)
    users, items = (np.asarray(factors, dtype=np.float32) for factors in (model.user_factors, model.item_factors))
    require_finite(users, "ALS user factors")
    require_finite(items, "ALS item factors")
    return users, items
