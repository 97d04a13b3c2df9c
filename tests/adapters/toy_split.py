"""The toy world as a data set whose cold items are half for validation, half for testing."""

import numpy as np

from adapters.content import Contents
from coldstart.dataset import Dataset, Interactions, Items
from coldstart.ids import IdMap
from coldstart.splits import Split
from tests.adapters.toy import World


def data_of(world: World) -> tuple[Dataset, Split]:
    n_warm, n_cold = len(world.item_group), len(world.cold_group)
    ids = IdMap([*world.backbone.items.ids, *(f"new-{i}" for i in range(n_cold))])
    items = Items(ids, ("",) * len(ids), ("",) * len(ids), (None,) * len(ids), ({},) * len(ids))
    dataset = Dataset("toy", items, world.backbone.users, Interactions(np.empty(0, np.int64), np.empty(0, np.int64)))
    return dataset, split_of(world, n_warm, n_cold)


def joined(world: World) -> Contents:
    """Contents of the warm items, then of the cold ones."""
    return Contents(
        *(np.concatenate([getattr(world.contents, name), getattr(world.cold, name)])
          for name in ("text", "image", "present"))
    )  # fmt: skip


def split_of(world: World, n_warm: int, n_cold: int) -> Split:
    likes = np.argwhere(world.user_group[:, None] == world.cold_group[None, :])
    clicks = np.argwhere(world.backbone.clicks.toarray() > 0)
    missed = np.argwhere((world.user_group[:, None] == world.item_group[None]) & (world.backbone.clicks.toarray() == 0))

    def events(pairs: np.ndarray, offset: int = 0) -> Interactions:
        return Interactions(pairs[:, 0], pairs[:, 1] + offset)

    val, test = likes[likes[:, 1] < n_cold // 2], likes[likes[:, 1] >= n_cold // 2]
    return Split(
        "toy", events(clicks), events(missed[::2]), events(missed[1::2]), events(val, n_warm), events(test, n_warm)
    )


def nothing() -> Interactions:
    """A part of a split that is missing."""
    return Interactions(np.empty(0, np.int64), np.empty(0, np.int64))
