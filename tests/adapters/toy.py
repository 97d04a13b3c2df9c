"""A world with an obvious answer: two communities of users, whose items look and read alike."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from adapters.content import Contents
from coldstart.backbones import FrozenBackbone
from coldstart.ids import IdMap
from coldstart.vectors import Matrix, normalise

TEXT_DIM, IMAGE_DIM, DIM = 12, 10, 6


@dataclass(frozen=True)
class World:
    """``group`` of each item and user is 0 or 1; ``cold`` items are of both groups and unknown to the backbone."""

    backbone: FrozenBackbone
    contents: Contents
    item_group: np.ndarray
    user_group: np.ndarray
    cold: Contents
    cold_group: np.ndarray


def contents_of(group: np.ndarray, rng: np.random.Generator, *, noise: float = 0.25) -> Contents:
    """Embeddings around one direction per group and modality."""
    axes = np.random.default_rng(99)
    text_axis, image_axis = axes.standard_normal((2, TEXT_DIM)), axes.standard_normal((2, IMAGE_DIM))
    text = normalise((text_axis[group] + noise * rng.standard_normal((len(group), TEXT_DIM))).astype(np.float32))
    image = (image_axis[group] + noise * rng.standard_normal((len(group), IMAGE_DIM))).astype(np.float32)
    return Contents(text, image, np.ones((len(group), 2), dtype=bool))


def make_world(*, items: int = 60, users: int = 40, cold: int = 20, seed: int = 0) -> World:
    """Users click half of their own community's items; frozen vectors point to the community."""
    rng = np.random.default_rng(seed)
    item_group, user_group = np.arange(items) % 2, np.arange(users) % 2
    clicks = (item_group[None] == user_group[:, None]) & (rng.random((users, items)) < 0.5)
    axes = np.zeros((2, DIM), np.float32)
    axes[0, 0] = axes[1, 1] = 1.0

    def vectors(group: np.ndarray) -> Matrix:
        return np.asarray(axes[group] + 0.1 * rng.standard_normal((len(group), DIM)), dtype=np.float32)

    backbone = FrozenBackbone(
        "external", IdMap(f"user-{u}" for u in range(users)), IdMap(f"item-{i}" for i in range(items)),
        vectors(user_group), vectors(item_group), csr_matrix(clicks.astype(np.float32)),
    )  # fmt: skip
    cold_group = np.arange(cold) % 2
    return World(
        backbone, contents_of(item_group, rng), item_group, user_group, contents_of(cold_group, rng), cold_group
    )


def own_share(world: World, user_vectors: Matrix, cold_vectors: Matrix, k: int) -> float:
    """Share of the users' top k cold items that are of their own community."""
    top = np.argsort(-(user_vectors @ cold_vectors.T), axis=1)[:, :k]
    return float((world.cold_group[top] == world.user_group[:, None]).mean())
