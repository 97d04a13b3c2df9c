"""What the adapter learns from: warm items treated as cold, to be ranked for the users who met them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor

from adapters import forward, losses
from adapters.space import Adapter
from coldstart.errors import InvalidInput
from coldstart.vectors import Mask, Matrix, Rows

_SAMPLE = 1000
"""Users and items between which the deviation of the scores is measured."""
_SMALLEST_BATCH = 32
"""The items of a batch are each other's negatives."""


@dataclass(frozen=True)
class Batch:
    """Items treated as cold [b] and users who met them, with which item each user was drawn for [m]."""

    items: Rows
    users: Rows
    target: Rows


class Lesson:
    """The adapter's loss over the warm items of its backbone, none of which is its own neighbour.

    Neighbours, content blocks and user queries are those of the adapter at the start; what moves is v_hat.
    """

    def __init__(self, adapter: Adapter, *, seed: int) -> None:
        self.adapter, self.config = adapter, adapter.config
        self.rng = np.random.default_rng(seed)
        backbone, blocks = adapter.backbone, adapter.own_blocks
        self.by_item: csr_matrix = backbone.clicks.T.tocsr()
        usable = adapter.contents.present.any(axis=1) & (np.diff(self.by_item.indptr) > 0)
        usable[adapter.hidden] = False
        self.rows = np.flatnonzero(usable)
        if not len(self.rows):
            raise InvalidInput(
                "no click on any of the backbone's items with a text or a picture",
                subject="adapter",
                remedy="Import the backbone with its interactions",
            )
        self.text, self.image, self.present = adapter.centred
        _, neighbours, similarity = zip(*map(adapter.near, adapter.own_items.parts), strict=True)
        self.neighbours, self.similarity = np.concatenate(neighbours), np.concatenate(similarity)
        self.factor = adapter.cold_factor(blocks)
        vectors = adapter.cold_vectors(blocks)
        self.content = vectors[:, backbone.dim :]
        items = self.rng.choice(self.rows, size=min(_SAMPLE, len(self.rows)), replace=False)
        users = self.rng.choice(len(backbone.users), size=min(_SAMPLE, len(backbone.users)), replace=False)
        self.deviation = float((adapter.user_vectors(users) @ vectors[items].T).std()) or 1.0

    def batches(self) -> Iterator[Batch]:
        """Every usable item once, in random order, each with a few of its users."""
        per_item = self.config.users_per_item
        batch = min(self.config.batch_items, max(_SMALLEST_BATCH, len(self.rows) // self.config.epoch_steps))
        for items in np.array_split(self.rng.permutation(self.rows), max(1, len(self.rows) // batch)):
            starts, ends = self.by_item.indptr[items], self.by_item.indptr[items + 1]
            picks = starts[:, None] + (self.rng.random((len(items), per_item)) * (ends - starts)[:, None]).astype(int)
            users = self.by_item.indices[picks.ravel()].astype(np.int64)
            yield Batch(items, users, np.repeat(np.arange(len(items)), per_item))

    def loss(self, parameters: dict[str, Tensor], batch: Batch) -> Tensor:
        """Ranking plus distillation of one batch."""
        adapter, items = self.adapter, batch.items
        frozen = torch.from_numpy(adapter.backbone.item_vectors)
        v_hat, _ = forward.adapt(
            parameters, _tensor(self.text[items]), _tensor(self.image[items]),
            torch.from_numpy(self.present[items]), _tensor(self.similarity[items]),
            frozen[torch.from_numpy(self.neighbours[items])], temperature=self.config.temperature,
        )  # fmt: skip
        known = np.asarray(adapter.backbone.clicks[batch.users][:, items].toarray() > 0)
        queries = adapter.user_vectors(batch.users)
        scores = _tensor(queries[:, : frozen.shape[1]]) @ self._evened(v_hat, items).T
        scores = (scores + self._content_scores(queries, batch, known)) / self.deviation
        ranking = losses.ranking(
            scores / self.config.softmax_temperature, torch.from_numpy(batch.target), torch.from_numpy(known)
        )
        return ranking + self.config.distillation * losses.distillation(v_hat, frozen[torch.from_numpy(items)])

    def _evened(self, v_hat: Tensor, items: Rows) -> Tensor:
        """The collaborative block as `Adapter.cold_vectors` scales it, differentiably."""
        statistics, exponent = self.adapter.statistics, self.adapter.scales.cold_spread
        variance = ((v_hat @ _tensor(statistics.users)) * v_hat).sum(-1)
        relative = torch.sqrt(variance.clamp_min(1e-12)) / float(statistics.mean_spread[0])
        return _tensor(self.factor[items])[:, None] * v_hat / relative.clamp_min(1e-6)[:, None] ** exponent

    def _content_scores(self, queries: Matrix, batch: Batch, known: Mask) -> Tensor:
        """Content part of the scores [m, b]; a user's profile never contains the item that is being ranked."""
        adapter, content = self.adapter, self.content[batch.items]
        users = queries[:, adapter.backbone.dim :]
        profiles = adapter.backbone.clicks[batch.users] @ adapter.warm_content
        scale = np.linalg.norm(users, axis=1) / np.maximum(np.linalg.norm(profiles, axis=1), 1e-12)
        own = (adapter.warm_content[batch.items] * content).sum(axis=1)
        return _tensor(users @ content.T - known * scale[:, None] * own)


def _tensor(array: Matrix) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))
