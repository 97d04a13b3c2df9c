"""What the processes of a group run: each case is trained, and process 0 keeps the vectors.

``torchrun ... -m tests.coldstart.backbones.trained_together FILE``
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from coldstart.backbones import FrozenBackbone
from coldstart.backbones.config import Config, LightGCNConfig, NeuMFConfig
from coldstart.backbones.distributed import joined
from coldstart.backbones.training import Kind, train_backbone
from tests.coldstart.backbones.communities import communities

# Batches of odd sizes, the last of one row: shares differ, and one is smaller than the group.
CASES: dict[str, tuple[Kind, Config]] = {
    "multinomial": ("lightgcn", LightGCNConfig(d=4, epochs=2, start="random", learning_rate=0.03, batch=13)),
    "sampled_softmax": (
        "lightgcn",
        LightGCNConfig(d=4, epochs=2, start="random", learning_rate=0.03, loss="sampled_softmax", batch=133),
    ),
    "bpr": ("lightgcn", LightGCNConfig(d=4, epochs=2, start="random", learning_rate=0.03, loss="bpr", batch=133)),
    "clicks": ("neumf", NeuMFConfig(d=4, mlp_d=4, hidden=(8,), batch=57, epochs=2)),
    "ratings": ("neumf", NeuMFConfig(d=4, mlp_d=4, hidden=(8,), batch=133, epochs=2, feedback="explicit")),
}


def trained(name: str) -> FrozenBackbone:
    """The case's backbone, trained by the group that this process has joined."""
    kind, config = CASES[name]
    users, items, train, validation = communities()
    if name == "ratings":
        train, validation = (
            replace(part, rating=(part.item_rows % 5).astype(np.float32)) for part in (train, validation)
        )
    return train_backbone(kind, users, items, train, validation, config=config)


if __name__ == "__main__":
    with joined("cpu") as group:
        vectors = {name: trained(name).item_vectors for name in CASES}
        if group.leads:
            save_file({"size": np.array(group.size), **vectors}, Path(sys.argv[1]))
