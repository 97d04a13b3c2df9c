"""The toy world with a NeuMF whose perceptron knows the communities, and whose vectors need not."""

from dataclasses import replace

import numpy as np

from tests.adapters.toy import World

SURE = 10.0


def with_towers(world: World, *, sense: float = SURE, blind: bool = False) -> World:
    """The world on a NeuMF: the logit is ``sense`` higher for an item of the user's own community.

    ``blind`` makes the vectors that retrieve say nothing.
    """
    backbone = world.backbone
    axes = np.eye(2, dtype=np.float32)
    rng = np.random.default_rng(5)

    def vectors(known: np.ndarray) -> np.ndarray:
        return rng.standard_normal(known.shape).astype(np.float32) / 10 if blind else known

    towers = replace(
        backbone,
        kind="neumf",
        user_vectors=vectors(backbone.user_vectors),
        item_vectors=vectors(backbone.item_vectors),
        config={"context_columns": []},
        extra={
            "mlp.user": axes[world.user_group],
            "mlp.item": axes[world.item_group],
            "mlp.0.weight": np.hstack([axes, axes]),  # a hidden unit a community: 1 where user and item are of it
            "mlp.0.bias": np.full(2, -1.0, np.float32),
            "fusion.mlp": np.full(2, sense, np.float32),
            "fusion.bias": np.zeros(1, np.float32),
        },
    )
    return replace(world, backbone=towers)
