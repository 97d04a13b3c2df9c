"""Scores pairs with all of a frozen NeuMF: its MLP tower is no inner product, so it ranks what retrieval found."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import count, takewhile
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from coldstart.backbones.context import Context, encode, from_json
from coldstart.backbones.frozen import FrozenBackbone
from coldstart.errors import InvalidInput
from coldstart.vectors import Matrix, Rows, Vector


class Layer(NamedTuple):
    """``x @ weight + bias``: float32 [in, out] and [out]."""

    weight: Matrix
    bias: Vector


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
        users : float32 [n, mlp_d], or [1, mlp_d] of the same user in all pairs
        items : float32 [n, mlp_d]
        context : mapping of arrays [n], optional
        """
        first, *others = self.layers
        # The first layer of [users, items, context] is a sum, of which a user's part is worked out once.
        by_user, by_item, by_context = np.split(first.weight, (users.shape[1], 2 * users.shape[1]))
        x = users @ by_user + first.bias + items @ by_item
        if self.context:
            x += (self._situations(context, len(items)) if context else self.unknown) @ by_context
        for layer in others:
            x = np.maximum(x, 0.0) @ layer.weight + layer.bias
        t = self.tensors
        return np.asarray(np.maximum(x, 0.0) @ t["fusion.mlp"] + t["fusion.bias"], dtype=np.float32)

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """Those of the MLP tower, the first on [users, items, context]."""
        t = self.tensors
        there = takewhile(lambda n: f"mlp.{n}.weight" in t, count())
        return tuple(Layer(np.ascontiguousarray(t[f"mlp.{n}.weight"].T), t[f"mlp.{n}.bias"]) for n in there)

    @cached_property
    def unknown(self) -> Vector:
        """The context of a pair of which none is known [c], as the first layer takes it."""
        return np.asarray(self._situations({}, 1)[0], dtype=np.float32)

    def _situations(self, context: Mapping[str, NDArray[Any]], n: int) -> Matrix:
        codes, numbers = encode(self.context, context, n)
        embedded = [self.tensors[f"context.{k}"][codes[:, k]] for k in range(codes.shape[1])]
        return np.concatenate([*embedded, numbers], axis=1)
