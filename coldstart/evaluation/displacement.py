"""What cold items do to the warm ones beside them: whom they displace, and whether the rest stays as it was."""

from dataclasses import dataclass

import numpy as np

from coldstart.evaluation.metrics import rank
from coldstart.evaluation.protocols import K, Protocol
from coldstart.vectors import Mask, Matrix, Rows


@dataclass(frozen=True)
class Displacement:
    """A method's overall lists against the warm lists of the backbone alone, means over users.

    Of a user's 20 places let c be cold. The other 20 - c hold warm items; were they displaced and nothing else, they
    would be the first 20 - c of the backbone's own list, in its order.

    Parameters
    ----------
    cold_share : float
        c / 20.
    kept : float
        Share of the warm items that are among the backbone's first 20 - c.
    ordered : float
        Share of the pairs of warm items that stand in the order in which the backbone alone scores them.
    """

    cold_share: float
    kept: float
    ordered: float


def displacement(overall: Rows, own: Rows, own_scores: Matrix, cold: Mask) -> Displacement:
    """Compare overall lists with the backbone's own.

    Parameters
    ----------
    overall, own : int64 [users, k]
        Items, best first, -1 for an empty place: of the overall list; of the backbone's list of warm items.
    own_scores : float32 [users, k]
        The backbone's score of each item in ``overall``; whatever it is for cold ones.
    cold : bool [items]

    Examples
    --------
    Item 9 is cold and took the place of item 3; the others stay:

    >>> cold = np.arange(10) == 9
    >>> displacement(np.array([[1, 9, 2]]), np.array([[1, 2, 3]]), np.array([[3.0, 0.0, 2.0]], np.float32), cold)
    Displacement(cold_share=0.3333333333333333, kept=1.0, ordered=1.0)
    """
    filled = overall >= 0
    is_cold = filled & cold[overall]
    warm = filled & ~is_cold
    left = warm.sum(axis=1)
    prefix = np.where(np.arange(own.shape[1]) < left[:, None], own, -1)
    kept = warm & (overall[:, :, None] == prefix[:, None, :]).any(axis=2)
    upper = np.triu(np.ones((overall.shape[1],) * 2, dtype=np.bool_), 1)
    pairs = warm[:, :, None] & warm[:, None, :] & upper
    ordered = pairs & (own_scores[:, :, None] >= own_scores[:, None, :])
    return Displacement(
        float(_ratio(is_cold.sum(axis=1), filled.sum(axis=1)).mean()),
        float(_ratio(kept.sum(axis=1), left).mean()),
        float(_ratio(ordered.sum(axis=(1, 2)), pairs.sum(axis=(1, 2))).mean()),
    )


def measure(
    protocol: Protocol, method: tuple[Matrix, Matrix], backbone: tuple[Matrix, Matrix], *, batch: int = 1024
) -> Displacement | None:
    """`displacement` of the users that the overall list is judged for; ``None`` where there are none.

    Parameters
    ----------
    method, backbone : (float32 [users, D], float32 [items, D])
        User and item vectors of each.
    """
    users = protocol.users("overall")
    if not len(users):
        return None
    seen = protocol.train[users]
    overall = rank(method[0][users], method[1], K, seen=seen, candidates=protocol.candidates("overall"))
    own = rank(backbone[0][users], backbone[1], K, seen=seen, candidates=protocol.warm)
    scores = np.concatenate([
        np.einsum("ud,ukd->uk", backbone[0][users[at : at + batch]], backbone[1][overall[at : at + batch]])
        for at in range(0, len(users), batch)
    ])  # fmt: skip
    return displacement(overall, own, scores, protocol.cold)


def _ratio(part: Rows, whole: Rows) -> Matrix:
    """Shares [users], 1 where there is nothing to share."""
    return np.asarray(np.where(whole > 0, part / np.maximum(whole, 1), 1.0))
