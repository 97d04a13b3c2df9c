"""Scores pairs with all of a frozen NeuMF: its MLP tower is no inner product, so it ranks what retrieval found."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coldstart.backbones.context import Context, encode, from_json
from coldstart.backbones.frozen import FrozenBackbone
from coldstart.errors import InvalidInput
from coldstart.vectors import Matrix, Rows, Vector


@dataclass(frozen=True)
class NeuMFRanker:
    """NeuMF's forward pass on numpy arrays; needs no torch."""

    user_vectors: Matrix
    item_vectors: Matrix
    tensors: Mapping[str, NDArray[Any]]
    context: Context

    @staticmethod
    def from_backbone(backbone: FrozenBackbone) -> "NeuMFRanker":
        """The ranker of a NeuMF; `InvalidInput` for a backbone of another kind."""
        if backbone.kind != "neumf":
            raise InvalidInput("the backbone has no towers to rank with", subject=backbone.kind,
                               remedy="Train one of kind neumf")  # fmt: skip
        columns = from_json(backbone.config["context_columns"])
        return NeuMFRanker(backbone.user_vectors, backbone.item_vectors, backbone.extra, columns)

    @property
    def users(self) -> Matrix:
        """The MLP tower's user embeddings [users, mlp_d]."""
        return np.asarray(self.tensors["mlp.user"])

    @property
    def items(self) -> Matrix:
        """The MLP tower's item embeddings [items, mlp_d]."""
        return np.asarray(self.tensors["mlp.item"])

    def score(self, user_rows: Rows, item_rows: Rows, context: Mapping[str, NDArray[Any]] | None = None) -> Vector:
        """Logits [n] of the pairs.

        Parameters
        ----------
        user_rows, item_rows : int64 [n]
            Rows of the backbone.
        context : mapping of arrays [n], optional
            Columns by name; what is missing is unknown.
        """
        gmf = (self.user_vectors[user_rows] * self.item_vectors[item_rows]).sum(axis=1)
        return np.asarray(gmf + self.perceptron(self.users[user_rows], self.items[item_rows], context))

    def perceptron(self, users: Matrix, items: Matrix, context: Mapping[str, NDArray[Any]] | None = None) -> Vector:
        """What the MLP tower adds to the logits [n] of n pairs, whose embeddings may come from elsewhere.

        Parameters
        ----------
        users, items : float32 [n, mlp_d]
        context : mapping of arrays [n], optional
        """
        t = self.tensors
        codes, numbers = encode(self.context, context or {}, len(users))
        embedded = [t[f"context.{k}"][codes[:, k]] for k in range(codes.shape[1])]
        x = np.concatenate([users, items, *embedded, numbers], axis=1)
        layer = 0
        while f"mlp.{layer}.weight" in t:
            x = np.maximum(x @ t[f"mlp.{layer}.weight"].T + t[f"mlp.{layer}.bias"], 0.0)
            layer += 1
        return np.asarray(x @ t["fusion.mlp"] + t["fusion.bias"], dtype=np.float32)
