"""Negative sampling: items that a user has not met, drawn in whole batches."""

import numpy as np
from scipy.sparse import csr_matrix

from coldstart.vectors import Mask, Rows

_ROUNDS = 100  # redraws, each of what the last left; a user who met everything keeps an item that was met


class Sampler:
    """Draws items uniformly among those a user has not met.

    Parameters
    ----------
    clicks : csr [users, items]
    """

    def __init__(self, clicks: csr_matrix) -> None:
        self.n_items = int(clicks.shape[1])
        users = np.repeat(np.arange(clicks.shape[0]), np.diff(clicks.indptr))
        self._met = np.sort(users * self.n_items + clicks.indices)  # a sorted number per pair

    def draw(self, user_rows: Rows, generator: np.random.Generator) -> Rows:
        """One item [n] for each of the users [n] (repeat a user for several)."""
        items = generator.integers(0, self.n_items, len(user_rows))
        wrong = np.flatnonzero(self.met(user_rows, items))
        for _ in range(_ROUNDS):
            if not wrong.size:
                break
            items[wrong] = generator.integers(0, self.n_items, wrong.size)
            wrong = wrong[self.met(user_rows[wrong], items[wrong])]
        return items

    def met(self, user_rows: Rows, item_rows: Rows) -> Mask:
        """Whether each user [n] met each item [n]."""
        pairs = user_rows * self.n_items + item_rows
        places = np.minimum(np.searchsorted(self._met, pairs), max(len(self._met) - 1, 0))
        return np.asarray(self._met[places] == pairs) if len(self._met) else np.zeros(len(pairs), dtype=bool)
