"""Two communities of users who share no item: what a user should be shown is obvious."""

import numpy as np

from coldstart.dataset import Interactions
from coldstart.ids import IdMap

USERS, ITEMS = 40, 24


def communities(*, seed: int = 0) -> tuple[IdMap, IdMap, Interactions, Interactions]:
    """Ids, training and validation: user u and item i are of one community where u % 2 == i % 2.

    Each user met all but two of the community's items; the last user and the last item are known to nobody.
    """
    generator = np.random.default_rng(seed)
    train, validation = [], []
    for user in range(USERS):
        own = generator.permutation(np.arange(user % 2, ITEMS, 2)).tolist()
        validation += [(user, item) for item in own[:1]]
        train += [(user, item) for item in own[2:]]
    users = IdMap([f"user-{row}" for row in range(USERS)] + ["nobody"])
    items = IdMap([f"item-{row}" for row in range(ITEMS)] + ["nothing"])
    return users, items, _interactions(train), _interactions(validation)


def _interactions(pairs: list[tuple[int, int]]) -> Interactions:
    rows = np.array(pairs, dtype=np.int64)
    return Interactions(rows[:, 0], rows[:, 1])
