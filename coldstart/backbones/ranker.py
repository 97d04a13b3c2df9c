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
class Side:
    """Users or items as the two towers take them: GMF vectors [n, d] and MLP embeddings [n, mlp_d]."""

    vectors: Matrix
    embeddings: Matrix

    def __len__(self) -> int:
        return len(self.vectors)

    def take(self, rows: Rows) -> "Side":
        """These rows, in this order."""
        return Side(self.vectors[rows], self.embeddings[rows])


@dataclass(frozen=True)
class NeuMFRanker:
    """NeuMF's forward pass on numpy arrays; needs no torch."""

    users: Side
    items: Side
    tensors: Mapping[str, NDArray[Any]]
    context: Context

    @staticmethod
    def from_backbone(backbone: FrozenBackbone) -> "NeuMFRanker":
        """The ranker of a NeuMF; `InvalidInput` for a backbone of another kind."""
        if backbone.kind != "neumf":
            raise InvalidInput("the backbone has no towers to rank with", subject=backbone.kind,
                               remedy="Train one of kind neumf")  # fmt: skip
        columns = from_json(backbone.config["context_columns"])
        users = Side(backbone.user_vectors, backbone.extra["mlp.user"])
        items = Side(backbone.item_vectors, backbone.extra["mlp.item"])
        return NeuMFRanker(users, items, backbone.extra, columns)

    def score(self, user_rows: Rows, item_rows: Rows, context: Mapping[str, NDArray[Any]] | None = None) -> Vector:
        """Logits [n] of pairs of users and items that the backbone knows.

        Parameters
        ----------
        user_rows, item_rows : int64 [n]
            Rows of the backbone.
        context : mapping of arrays [n], optional
            Columns by name; what is missing is unknown.
        """
        return self.logits(self.users.take(user_rows), self.items.take(item_rows), context)

    def logits(self, users: Side, items: Side, context: Mapping[str, NDArray[Any]] | None = None) -> Vector:
        """Logits [n] of pairs whose sides [n] may come from elsewhere, as a cold item's do."""
        t = self.tensors
        codes, numbers = encode(self.context, context or {}, len(users))
        embedded = [t[f"context.{k}"][codes[:, k]] for k in range(codes.shape[1])]
        x = np.concatenate([users.embeddings, items.embeddings, *embedded, numbers], axis=1)
        layer = 0
        while f"mlp.{layer}.weight" in t:
            x = np.maximum(x @ t[f"mlp.{layer}.weight"].T + t[f"mlp.{layer}.bias"], 0.0)
            layer += 1
        gmf = (users.vectors * items.vectors).sum(axis=1)
        return np.asarray(gmf + x @ t["fusion.mlp"] + t["fusion.bias"], dtype=np.float32)
