"""Graduation: a new item's vector moves from what its content says to what its clicks say, a click at a time.

Nothing is retrained. Who clicks a new item has a frozen vector; the mean direction of those is the item's folded-in
collaborative vector. It is blended with v_hat by the weight n / (n + half), which is how the mean of a normal posterior
moves from its prior when n observations of one precision come in. Evaluated by the study `graduation`, and done to the
items of a service by `workers.graduation`.
"""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix, diags

from adapters.space import Adapter, Blocks, safe_divide, spread
from coldstart.vectors import Matrix, Rows, Vector, normalise


def click_weight(clicks: Rows, half: float) -> Vector:
    """Weight of an item's n clicks against its content [n], n / (n + half).

    Parameters
    ----------
    clicks : int64 [n]
    half : float
        Clicks at which the two weigh the same; infinite where clicks are not to count.

    Examples
    --------
    >>> click_weight(np.array([0, 1, 3, 9]), 3.0).tolist()
    [0.0, 0.25, 0.5, 0.75]
    """
    return np.asarray(clicks / (clicks + half) if half > 0 else clicks > 0, dtype=np.float32)


def count(clicks: csr_matrix) -> Rows:
    """Clicks of each item [n] in csr [n, users]."""
    return np.asarray(np.diff(clicks.indptr), dtype=np.int64)


def fold_in(user_vectors: Matrix, clicks: csr_matrix) -> Matrix:
    """Mean direction of the users of each item [n, d]; zeros for an item without clicks.

    One step of LightGCN's propagation from users to items (He et al. 2020) over unit vectors. Ridge regressions of the
    clicks on the users, with nothing for its prior mean, did no better on validation.

    Parameters
    ----------
    user_vectors : float32 [users, d]
        U.
    clicks : csr [n, users]
        Ones where the user clicked the item.
    """
    means = diags(1.0 / np.maximum(count(clicks), 1)) @ (clicks @ normalise(user_vectors))
    return np.asarray(means, dtype=np.float32)


@dataclass(frozen=True)
class Lengths:
    """How far a warm item's frozen vector spreads over the users, by its clicks: ``base * clicks ** exponent``.

    Parameters
    ----------
    base, exponent : float
    typical : float
        Mean clicks of a warm item, which an item that has n already is expected to gain, too.
    """

    base: float
    exponent: float
    typical: float

    @classmethod
    def of(cls, adapter: Adapter) -> "Lengths":
        """Least squares between the logarithms, over the backbone's items that have clicks and a vector."""
        clicks = np.asarray(adapter.backbone.clicks.sum(axis=0), dtype=np.float64).ravel()
        spreads = spread(adapter.backbone.item_vectors, adapter.statistics.users).astype(np.float64)
        usable = (clicks > 0) & (spreads > 0)
        if not usable.any():
            return cls(1.0, 0.0, 1.0)
        x, y = np.log(clicks[usable]), np.log(spreads[usable])
        exponent = float(np.cov(x, y, bias=True)[0, 1] / x.var()) if x.var() > 0 else 0.0
        return cls(float(np.exp(y.mean() - exponent * x.mean())), exponent, float(clicks[usable].mean()))

    def after(self, clicks: Rows) -> Vector:
        """Spread [n] that is expected of new items with these clicks [n] so far."""
        return np.asarray(self.base * (clicks + self.typical) ** self.exponent, dtype=np.float32)


def graduate(adapter: Adapter, lengths: Lengths, blocks: Blocks, clicks: csr_matrix) -> Matrix:
    """Served vectors [n, D] of items that the backbone has never seen and some of its users have clicked.

    With w the weight of the clicks, s(.) the spread over users and f the fold-in, the collaborative block points to
    ``(1 - w) v_hat / s(v_hat) + w f / s(f)``. Its length is ``c^(1 - w) l^w``, from the cold item's c to l, that of a
    warm item with as many clicks and some to come. The content block stays. Without clicks the vector is that of
    `Adapter.cold_vectors`; an item without content is where its users are.

    Parameters
    ----------
    lengths : Lengths
        Of the adapter.
    blocks : Blocks [n]
    clicks : csr [n, users]
        Ones where a user of the backbone clicked the item.
    """
    cold, d, users = adapter.cold_vectors(blocks), adapter.backbone.dim, adapter.statistics.users
    n = count(clicks)
    weight = click_weight(n, adapter.scales.half)[:, None]
    folded = fold_in(adapter.backbone.user_vectors, clicks)
    direction = (1 - weight) * _unit(cold[:, :d], users) + weight * _unit(folded, users)
    start, end = spread(cold[:, :d], users)[:, None], lengths.after(n)[:, None]
    length = np.where(start > 0, start, end) ** (1 - weight) * end**weight
    graduated = np.hstack([length * _unit(direction, users), cold[:, d:]])
    return np.asarray(np.where(n[:, None] > 0, graduated, cold), dtype=np.float32)


def _unit(vectors: Matrix, moment: Matrix) -> Matrix:
    """Vectors over their spread; zeros stay zeros."""
    return safe_divide(vectors, spread(vectors, moment))
