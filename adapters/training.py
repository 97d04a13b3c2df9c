"""Trains gates and residual while the backbone stays frozen; each keeps its place only where validation improves."""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor

from adapters.calibration import calibrate_prior, calibrate_scales, cold_score
from adapters.config import AdapterConfig
from adapters.content import Contents
from adapters.fit import fit, refit, reveal
from adapters.folding_calibration import calibrate_folding
from adapters.graduation_tuning import calibrate_half
from adapters.lesson import Lesson
from adapters.ranking import calibrate_ranking
from adapters.space import Adapter
from adapters.validation import Judge, Validation, hide_warm_items, unseen_clicks
from coldstart.backbones import FrozenBackbone
from coldstart.errors import Conflict, InvalidInput

log = logging.getLogger(__name__)

_FROZEN_PARAMETERS = ("norm",)
_MINIMUM_GAIN = 2e-3
"""By which training must beat the closed form: the best of many epochs is a little better by chance."""
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
    """Fit the closed form, tune it, train gates and residual on top, reveal what was hidden, and tune the fold-in.

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
    _require_something_to_learn(backbone, contents)
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
    adapter = calibrate_half(calibrate_scales(adapter, judge), judge, seed=seed)
    adapter = calibrate_ranking(adapter, judge)
    after = backbone.sha256
    if before != after:
        raise Conflict("the backbone changed under the training of its adapter", subject=before, remedy="Report this")
    adapter = reveal(adapter)
    if validation.warm_truth is not None:
        adapter = calibrate_folding(adapter, validation.warm_truth, seed=seed)
    return Trained(adapter, tuple(curve), before, after)


def _require_something_to_learn(backbone: FrozenBackbone, contents: Contents) -> None:
    if backbone.clicks.nnz == 0:
        raise InvalidInput(
            "the backbone came without interactions, and an adapter learns from them",
            subject="adapter",
            remedy="Import it again with --interactions",
        )
    if not contents.present.any():
        raise InvalidInput(
            "none of the backbone's items has a text or a picture",
            subject="adapter",
            remedy="Give the items of the data set titles, texts or pictures that can be read",
        )


def _descend(
    start: Adapter, judge: Judge, *, seed: int, on_epoch: Callable[[Epoch], None] | None
) -> tuple[Adapter, list[Epoch]]:
    """Gradient descent from the closed form; the best epoch on validation wins, where it beats epoch 0 clearly."""
    config, best = start.config, start
    curve = [Epoch(0, math.nan, cold_score(start, judge), kept=True)]
    to_beat = curve[0].cold_ndcg + _MINIMUM_GAIN
    tensors = {name: torch.from_numpy(np.array(value)) for name, value in start.parameters.items()}
    trained = [t.requires_grad_() for name, t in tensors.items() if name not in _FROZEN_PARAMETERS]
    optimiser = torch.optim.AdamW(trained, lr=config.learning_rate, weight_decay=config.weight_decay)
    lesson = Lesson(start, seed=seed)
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
        candidate = refit(start, parameters)
        score = cold_score(candidate, judge)
        kept = score > to_beat
        if kept:
            best, to_beat = candidate, score
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
