"""Trains gates and residual while the backbone stays frozen; each keeps its place only where validation improves."""

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor

from adapters import forward, losses
from adapters.calibration import calibrate_prior, calibrate_scales, cold_score, reveal
from adapters.config import AdapterConfig
from adapters.content import Contents
from adapters.fit import fit
from adapters.neighbours import nearest
from adapters.space import Adapter
from adapters.validation import Judge, Validation, hide_warm_items, unseen_clicks
from coldstart.backbones import FrozenBackbone
from coldstart.errors import Conflict, InvalidInput
from coldstart.vectors import Mask, Matrix, Rows

log = logging.getLogger(__name__)

_FROZEN_PARAMETERS = ("norm",)
_DIVERGED = 1e4
"""Weights start around 1: the tanh layers would hide from the loss how far such a one has run away."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """One line of the learning curve: mean training loss and NDCG@20 over the items treated as cold."""

    number: int
    loss: float
    cold_ndcg: float
    kept: bool


@dataclass(frozen=True)
class Trained:
    """An adapter with how it came about; ``curve[0]`` is the closed form it started from."""

    adapter: Adapter
    curve: tuple[Epoch, ...]
    sha256_before: str
    sha256_after: str


def train_adapter(
    backbone: FrozenBackbone,
    contents: Contents,
    *,
    config: AdapterConfig | None = None,
    validation: Validation | None = None,
    clicks: csr_matrix | None = None,
    seed: int = 0,
    on_epoch: Callable[[Epoch], None] | None = None,
) -> Trained:
    """Fit the closed form, tune it, train gates and residual on top, and reveal what was hidden for tuning.

    Parameters
    ----------
    contents : Contents [items]
        Of the backbone's items, in its row order.
    validation : Validation, optional
        Held-out cold items; by default a tenth of the warm items is hidden and treated as cold.
    clicks : csr [users, items], optional
        All that is known of the backbone's users and items: what it was not trained on tunes cold against warm.

    Raises
    ------
    InvalidInput
        Without contents or clicks to learn from, or where the loss stops being finite.
    Conflict
        If the backbone's bytes changed, which nothing here may do.
    """
    config = config or AdapterConfig()
    before = backbone.sha256
    if validation is None:
        warm = None if clicks is None else unseen_clicks(backbone, clicks)
        validation = hide_warm_items(
            backbone, contents, fraction=config.validation_fraction, seed=seed, warm_truth=warm
        )
    if validation.cold_truth.nnz == 0:
        raise InvalidInput(
            "no click on any item of the validation part",
            subject="adapter",
            remedy="Train on a backbone with its interactions, or give a split with a cold_val part",
        )
    judge = Judge(validation, backbone, seed=seed)
    adapter = fit(backbone, contents, config=config, hidden=validation.hidden, seed=seed)
    adapter = calibrate_scales(calibrate_prior(adapter, judge), judge)
    adapter, curve = _descend(adapter, judge, seed=seed, on_epoch=on_epoch)
    adapter = calibrate_scales(adapter, judge)
    after = backbone.sha256
    if before != after:
        raise Conflict("the backbone changed under the training of its adapter", subject=before, remedy="Report this")
    return Trained(reveal(adapter), tuple(curve), before, after)


def _descend(
    start: Adapter, judge: Judge, *, seed: int, on_epoch: Callable[[Epoch], None] | None
) -> tuple[Adapter, list[Epoch]]:
    """Gradient descent from the closed form; the best epoch on validation wins, epoch 0 included."""
    config, best = start.config, start
    best_score = cold_score(start, judge)
    curve = [Epoch(0, math.nan, best_score, kept=True)]
    tensors = {name: torch.from_numpy(np.array(value)) for name, value in start.parameters.items()}
    trained = [t.requires_grad_() for name, t in tensors.items() if name not in _FROZEN_PARAMETERS]
    optimiser = torch.optim.AdamW(trained, lr=config.learning_rate, weight_decay=config.weight_decay)
    lesson = _Lesson(start, seed=seed)
    for number in range(1, config.epochs + 1):
        total, steps = 0.0, 0
        for batch in lesson.batches():
            loss = lesson.loss(tensors, batch)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            _require_convergence(loss, trained, epoch=number, step=steps)
            total, steps = total + loss.item(), steps + 1
        parameters = {name: t.detach().numpy().copy() for name, t in tensors.items()}
        candidate = fit(
            start.backbone, start.contents, config=config, parameters=parameters, scales=start.scales,
            hidden=start.hidden,
        )  # fmt: skip
        score = cold_score(candidate, judge)
        kept = score > best_score
        if kept:
            best, best_score = candidate, score
        curve.append(Epoch(number, total / max(steps, 1), score, kept))
        log.info("adapter epoch %d: loss %.4f, cold ndcg@20 %.4f", number, curve[-1].loss, score)
        if on_epoch is not None:
            on_epoch(curve[-1])
        if not any(epoch.kept for epoch in curve[-config.patience :]):
            break
    return best, curve


def _require_convergence(loss: Tensor, parameters: Sequence[Tensor], *, epoch: int, step: int) -> None:
    largest = max(float(tensor.detach().abs().max()) for tensor in parameters if tensor.numel())
    if not torch.isfinite(loss) or not largest < _DIVERGED:
        raise InvalidInput(
            f"training diverged in epoch {epoch}, step {step}: the loss is {loss.item():.3g}, a weight {largest:.3g}",
            subject="adapter",
            remedy="Lower the learning rate, or look for constant embeddings",
        )


@dataclass(frozen=True)
class _Batch:
    """Items treated as cold [b] and users who met them, with which item each user was drawn for [m]."""

    items: Rows
    users: Rows
    target: Rows


class _Lesson:
    """The warm items as training examples: each is hidden from itself and must be ranked for its own users."""

    def __init__(self, adapter: Adapter, *, seed: int) -> None:
        self.adapter, self.config = adapter, adapter.config
        self.rng = np.random.default_rng(seed)
        backbone = adapter.backbone
        self.by_item: csr_matrix = backbone.clicks.T.tocsr()
        usable = adapter.contents.present.any(axis=1) & (np.diff(self.by_item.indptr) > 0)
        usable[adapter.hidden] = False
        self.rows = np.flatnonzero(usable)
        self.text, self.image = adapter.centering.apply(adapter.contents)
        blocks = adapter.blocks(adapter.contents, np.arange(len(backbone.items)))
        places, similarity = nearest(
            adapter.anchors, self.text, self.image, blocks.gate,
            k=self.config.neighbours, own_rows=np.arange(len(backbone.items)),
        )  # fmt: skip
        self.neighbours, self.similarity = adapter.anchors.rows[places], similarity
        self.content = adapter.cold_vectors(blocks)[:, backbone.dim :] / adapter.scales.cold
        self.raw_content = adapter.warm_content
        sample = self.rng.choice(self.rows, size=min(1000, len(self.rows)), replace=False)
        users = self.rng.choice(len(backbone.users), size=min(1000, len(backbone.users)), replace=False)
        scores = adapter.user_vectors(users) @ (adapter.cold_vectors(blocks)[sample] / adapter.scales.cold).T
        self.deviation = float(scores.std()) or 1.0

    def batches(self) -> Iterator[_Batch]:
        """Every usable item once, in random order."""
        for items in np.array_split(self.rng.permutation(self.rows), max(1, len(self.rows) // self.config.batch_items)):
            starts, ends = self.by_item.indptr[items], self.by_item.indptr[items + 1]
            draws = self.rng.random((len(items), self.config.users_per_item))
            picks = starts[:, None] + (draws * (ends - starts)[:, None]).astype(np.int64)
            target = np.repeat(np.arange(len(items)), self.config.users_per_item)
            yield _Batch(items, self.by_item.indices[picks.ravel()].astype(np.int64), target)

    def loss(self, tensors: dict[str, Tensor], batch: _Batch) -> Tensor:
        """Ranking plus distillation of one batch."""
        adapter, items = self.adapter, batch.items
        backbone, statistics = adapter.backbone, adapter.statistics
        frozen = torch.from_numpy(backbone.item_vectors)
        v_hat, _ = forward.adapt(
            tensors, _tensor(self.text[items]), _tensor(self.image[items]),
            torch.from_numpy(adapter.contents.present[items]), _tensor(self.similarity[items]),
            frozen[torch.from_numpy(self.neighbours[items])], temperature=self.config.temperature,
        )  # fmt: skip
        moment = _tensor(statistics.users)
        relative = torch.sqrt(((v_hat @ moment) * v_hat).sum(-1).clamp_min(1e-12)) / float(statistics.mean_spread[0])
        evened = v_hat / relative.clamp_min(1e-6)[:, None] ** adapter.scales.cold_spread
        known = torch.from_numpy(backbone.clicks[batch.users][:, items].toarray() > 0)
        fixed = self._content_scores(batch, known.numpy())
        users = adapter.user_vectors(batch.users)[:, : backbone.dim]
        scores = (_tensor(users) @ evened.T + _tensor(fixed)) / (self.deviation * self.config.softmax_temperature)
        target = torch.from_numpy(batch.target)
        loss = losses.ranking(scores, target, known)
        return loss + self.config.distillation * losses.distillation(v_hat, frozen[torch.from_numpy(items)])

    def _content_scores(self, batch: _Batch, known: Mask) -> Matrix:
        """Content part of the scores [m, b]; a user's profile never contains the item that is being ranked."""
        adapter = self.adapter
        users = adapter.user_vectors(batch.users)[:, adapter.backbone.dim :]
        scores = users @ self.content[batch.items].T
        profiles = adapter.backbone.clicks[batch.users] @ self.raw_content
        scale = np.linalg.norm(users, axis=1) / np.maximum(np.linalg.norm(profiles, axis=1), 1e-12)
        own = (self.raw_content[batch.items] * self.content[batch.items]).sum(axis=1)
        return np.asarray(scores - known * scale[:, None] * own[None, :], dtype=np.float32)


def _tensor(array: Matrix) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))
