"""The scalars by which a new user becomes a query."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coldstart.vectors import Matrix

Counts = NDArray[np.int64] | NDArray[np.float64]

PENALTY = 0.3
"""Of `coldstart.users.folding.unclicked`: .01 to .4 are alike on CiteULike-a."""


@dataclass(frozen=True, slots=True)
class Folding:
    """Fitted on validation; the defaults are about what CiteULike-a's validation part chose."""

    confidence: float = 10.0  # of a click, against each item that was not clicked
    patience: float = 10.0  # clicks at which what was not clicked weighs as much as what known users are like
    content: float = 1.0  # of the content block, against the collaborative one

    def contrast_share(self, clicks: Counts) -> NDArray[np.float32]:
        """Weight [n] of the fold-in against what was not clicked, after 1 click or more each.

        >>> Folding(patience=10).contrast_share(np.array([10, 30])).tolist()
        [0.5, 0.75]
        """
        return np.asarray(clicks / (clicks + self.patience), dtype=np.float32)


@dataclass(frozen=True)
class Folds:
    """What n users' clicks say of them, before it is joined to a query.

    Parameters
    ----------
    likeness, contrast : float32 [n, d]
        The ridge fold-ins by what known users are like, and against what was not clicked, each over its spread.
    content : float32 [n, p]
        Mean direction of the clicked items' contents.
    clicks : int64 or float64 [n]
        How many each has, 1 or more; of weighted ones, how many they are worth.
    """

    likeness: Matrix
    contrast: Matrix
    content: Matrix
    clicks: Counts
