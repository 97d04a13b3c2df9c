"""Fold-in: where a user stands in a space of items, from the vectors of a few clicked ones. Pure functions.

Each gives a query [d] from the vectors [k, d] of k >= 1 clicked items, which ranks by the inner product. A query's
length ranks nothing; only its direction is meant.
"""

import numpy as np

from coldstart.vectors import Matrix, Vector, normalise

_TINY = 1e-12
"""Instead of a scale of 0."""


def mean(clicked: Matrix) -> Vector:
    """``sum of v_i / k``: the baseline. Long vectors, those of popular items, decide it.

    >>> mean(np.array([[3.0, 0.0], [0.0, 1.0]], dtype=np.float32)).tolist()
    [1.5, 0.5]
    """
    return np.asarray(clicked.mean(axis=0), dtype=np.float32)


def mean_direction(clicked: Matrix, weights: Vector | None = None) -> Vector:
    """``sum of w_i v_i / |v_i| / sum of w_i``: every click has the same say, or that of its weight [k] > 0.

    >>> mean_direction(np.array([[3.0, 0.0], [0.0, 1.0]], dtype=np.float32)).tolist()
    [0.5, 0.5]
    >>> mean_direction(np.array([[3.0, 0.0], [0.0, 1.0]], dtype=np.float32), np.array([3, 1], np.float32)).tolist()
    [0.75, 0.25]
    """
    if weights is None:
        return mean(normalise(clicked))
    return np.asarray(weights / weights.sum() @ normalise(clicked), dtype=np.float32)


def propagate(clicked: Matrix, degrees: Vector) -> Vector:
    """``sum of v_i / sqrt(k n_i)``: LightGCN's own step from items to a user (He et al. 2020, equation 3).

    Parameters
    ----------
    degrees : float32 [k]
        n_i, how many users met each clicked item; one that nobody met counts as met by this user alone.

    Examples
    --------
    >>> propagate(np.array([[2.0, 0.0]], dtype=np.float32), np.array([4.0], dtype=np.float32)).tolist()
    [1.0, 0.0]
    """
    weights = 1.0 / np.sqrt(len(clicked) * np.maximum(degrees, 1.0))
    return np.asarray(weights @ clicked, dtype=np.float32)


def ridge(clicked: Matrix, covariance: Matrix, *, confidence: float, weights: Vector | None = None) -> Vector:
    """The posterior mean of a user's vector u, of whom each clicked item tells ``u . v_i = 1`` with some noise.

    ``C A'(A C A' + W^-1 / confidence)^-1 1`` for the prior's covariance C [d, d], the clicked items' A and the diagonal
    W of their weights: Bayesian linear regression (Bishop 2006, section 3.3), in the form that solves for k numbers, or
    for d where those are fewer. With `unclicked` for a prior it is the fold-in of ALS, with `known_users` that of
    empirical Bayes.

    Parameters
    ----------
    weights : float32 [k], optional
        Of each click > 0: 2 is as good as the click twice. All 1 by default.

    Examples
    --------
    >>> ridge(np.array([[2.0, 0.0]], dtype=np.float32), np.eye(2, dtype=np.float32), confidence=0.25).tolist()
    [0.25, 0.0]
    """
    k, d = clicked.shape
    if k > d:
        weighted = clicked if weights is None else weights[:, None] * clicked
        precision = np.eye(d, dtype=np.float32) + confidence * covariance @ (clicked.T @ weighted)
        return np.asarray(np.linalg.solve(precision, confidence * covariance @ weighted.sum(axis=0)), dtype=np.float32)
    spread = covariance @ clicked.T  # [d, k]
    noise = np.eye(k, dtype=np.float32) if weights is None else np.diag(1.0 / weights)
    gram = clicked @ spread + noise / confidence
    return np.asarray(spread @ np.linalg.solve(gram, np.ones(len(clicked), np.float32)), dtype=np.float32)


def unclicked(items: Matrix, *, penalty: float) -> Matrix:
    """The prior behind implicit ALS: covariance ``(V'V + penalty tr(V'V) / d I)^-1`` [d, d].

    ALS (Hu, Koren and Volinsky 2008, equation 4) solves ``(V'V + alpha A'A + lambda I) u = (1 + alpha) A' 1``: all
    items [n, d] say ``u . v = 0`` with weight 1, the clicked ones 1 with weight alpha more. Its solution is that of
    `ridge` under this prior with confidence alpha, but for the length.

    Parameters
    ----------
    penalty : float
        lambda over the mean of the Gram matrix's diagonal, so that it means the same in a space of any scale.
    """
    gram = (items.T @ items).astype(np.float64)
    d = len(gram)
    scale = max(float(np.trace(gram)) / d, _TINY)
    return np.linalg.inv(gram + penalty * scale * np.eye(d)).astype(np.float32)


def known_users(users: Matrix, items: Matrix) -> Matrix:
    """Empirical Bayes (Efron and Morris 1973): a new user is one more draw from where the known ones are.

    The covariance [d, d] of the users [users, d], scaled so that their scores of an item [n, d] have variance 1 on
    average. With confidence 1 a click then weighs as much as what is known of people at large.
    """
    apart = users - users.mean(axis=0)
    covariance = apart.T @ apart / max(len(users), 1)
    variance = float(np.einsum("nd,nd->n", items @ covariance, items).mean())
    return np.asarray(covariance / max(variance, _TINY), dtype=np.float32)


def worth(weights: Vector) -> float:
    """How many clicks of one weight tell as much as clicks of these [k]: Kish's effective sample size (1965).

    ``(sum of w)^2 / sum of w^2``: k where all are alike, 1 where one outweighs all others.

    >>> worth(np.array([2, 2, 2], np.float32)), worth(np.array([1, 0], np.float32))
    (3.0, 1.0)
    """
    return float(weights.sum() ** 2 / (weights**2).sum())
