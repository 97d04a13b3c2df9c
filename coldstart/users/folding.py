"""Fold-in: where a user stands in a space of items, from the vectors of a few clicked ones. Pure functions.

Each gives a query [d] from the vectors [k, d] of k >= 1 clicked items, which ranks by the inner product. A query's
length ranks nothing; only its direction is meant.
"""

from dataclasses import dataclass

import numpy as np

from coldstart.vectors import Matrix, Vector, normalise

_JITTER = 1e-6
"""Of the mean variance, added to a covariance that may not have full rank."""


@dataclass(frozen=True)
class Prior:
    """What a user's vector is taken for before any click: normal with a mean [d] and a covariance [d, d]."""

    mean: Vector
    covariance: Matrix


def mean(clicked: Matrix) -> Vector:
    """``sum of v_i / k``: the baseline. Long vectors, those of popular items, decide it.

    >>> mean(np.array([[3.0, 0.0], [0.0, 1.0]], dtype=np.float32)).tolist()
    [1.5, 0.5]
    """
    return np.asarray(clicked.mean(axis=0), dtype=np.float32)


def mean_direction(clicked: Matrix) -> Vector:
    """``sum of v_i / |v_i| / k``: every click has the same say.

    >>> mean_direction(np.array([[3.0, 0.0], [0.0, 1.0]], dtype=np.float32)).tolist()
    [0.5, 0.5]
    """
    return mean(normalise(clicked))


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


def gaussian(clicked: Matrix, prior: Prior, *, confidence: float) -> Vector:
    """The posterior mean of a user's vector u, of whom each clicked item tells ``u . v_i = 1`` with some noise.

    ``m + C A'(A C A' + I / confidence)^-1 (1 - A m)`` for the prior's mean m and covariance C and the clicked items' A:
    Bayesian linear regression (Bishop 2006, section 3.3), in the form that solves for k numbers instead of d. With
    `unclicked` for a prior it is the fold-in of ALS, with `known_users` that of empirical Bayes.
    """
    spread = prior.covariance @ clicked.T  # [d, k]
    gram = clicked @ spread + np.eye(len(clicked), dtype=np.float32) / confidence
    surprise = 1.0 - clicked @ prior.mean
    return np.asarray(prior.mean + spread @ np.linalg.solve(gram, surprise), dtype=np.float32)


def unclicked(items: Matrix, *, ridge: float) -> Prior:
    """The prior behind implicit ALS: mean 0, covariance ``(V'V + ridge tr(V'V) / d I)^-1``.

    ALS (Hu, Koren and Volinsky 2008, equation 4) solves ``(V'V + alpha A'A + lambda I) u = (1 + alpha) A' 1``: all
    items [n, d] say ``u . v = 0`` with weight 1, the clicked ones 1 with weight alpha more. Its solution is that of
    `gaussian` under this prior with confidence alpha, but for the length.

    Parameters
    ----------
    ridge : float
        lambda in units of the mean variance, so that it means the same in a space of any scale.
    """
    gram = (items.T @ items).astype(np.float64)
    d = len(gram)
    scale = max(float(np.trace(gram)) / d, np.finfo(np.float32).tiny)
    covariance = np.linalg.inv(gram + max(ridge, _JITTER) * scale * np.eye(d))
    return Prior(np.zeros(d, np.float32), covariance.astype(np.float32))


def known_users(users: Matrix, *, centred: bool = True) -> Prior:
    """Empirical Bayes (Efron and Morris 1973): a new user is one more draw from where the known ones [users, d] are.

    Parameters
    ----------
    centred : bool
        Around the users' mean, which leans towards popular items; or around 0, with the same covariance.
    """
    middle = users.mean(axis=0)
    apart = users - middle
    covariance = (apart.T @ apart / max(len(users), 1)).astype(np.float32)
    return Prior((middle if centred else np.zeros_like(middle)).astype(np.float32), covariance)
