"""Trains a NeuMF on clicks with sampled negatives, or on ratings."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from coldstart.backbones import losses
from coldstart.backbones.als_tuning import fit_als
from coldstart.backbones.config import ALSConfig, NeuMFConfig
from coldstart.backbones.context import Category, Context, Number, encode_events, fit_context, to_json
from coldstart.backbones.distributed import group
from coldstart.backbones.fitted import Fitted
from coldstart.backbones.fitting import Schedule, fit
from coldstart.backbones.neumf import NeuMF
from coldstart.backbones.sampling import Sampler
from coldstart.dataset import Interactions
from coldstart.errors import InvalidInput
from coldstart.vectors import Matrix, Rows

_HIT_K, _HIT_NEGATIVES, _HIT_PAIRS = 10, 99, 10_000  # HR@10 among 100, as in the paper; at most so many pairs
_SCORE_BATCH = 1_000  # events scored at once
_ALS_RATE, _RATE = 3e-4, 1e-3


def fit_neumf(
    events: Interactions,
    held_out: Interactions | None,
    shape: tuple[int, int],
    config: NeuMFConfig,
    *,
    seed: int,
    device: str = "cpu",
    progress: bool = False,
    watch: Callable[[Fitted], None] | None = None,
) -> Fitted:
    """Train on the events of ``shape`` = (users, items), stopping early on held-out ones where there are any.

    The score that stops training is the mean of HR@10 and NDCG@10 among 99 items not met, or minus the RMSE of ratings.
    ``watch`` is shown what has been learned at the start and after each epoch.
    """
    generator = np.random.default_rng(seed)
    if config.feedback == "explicit":
        events = events.take(np.isfinite(_ratings(events)))
        held_out = None if held_out is None else held_out.take(np.isfinite(_ratings(held_out, part="held-out")))
    context = fit_context(events, config.context)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = NeuMF(
            *shape, d=config.d, mlp_d=config.mlp_d, hidden=config.hidden, context_d=config.context_d,
            categories=[len(c.values) for c in context if isinstance(c, Category)],
            numbers=sum(isinstance(c, Number) for c in context),
        )  # fmt: skip
    from_als = config.start == "als" and config.feedback == "implicit"
    rate = config.learning_rate or (_ALS_RATE if from_als else _RATE)
    als = _start(model, events, held_out, shape, config, seed=seed, progress=progress)
    model.to(device)
    sampler = Sampler(events.matrix(*shape))
    epoch = _rating_losses if config.feedback == "explicit" else _click_losses
    inputs = encode_events(context, events)

    def fitted(record: dict[str, Any]) -> Fitted:
        used = replace(config, als=als, learning_rate=rate, epochs=record["best_epoch"])
        return _export(model, used, record, context)

    record = fit(
        model,
        lambda: epoch(model, events, inputs, sampler, config, generator),
        None if held_out is None else _score(model, held_out, context, sampler, config, generator),
        Schedule(rate, config.epochs, config.patience),
        watch=None if watch is None else lambda epochs: watch(fitted({"best_epoch": epochs})),
        label="NeuMF",
        steps=-(-len(events) // config.batch),
        progress=progress,
    )
    return fitted(record)


def _ratings(events: Interactions, *, part: str = "training") -> NDArray[np.float32]:
    """Ratings [n]; NaN where an event has none."""
    if events.rating is None or not np.isfinite(events.rating).any():
        raise InvalidInput(f"explicit feedback needs ratings, and the {part} interactions have none", subject="rating",
                           remedy="Add that column, or train with implicit feedback")  # fmt: skip
    return events.rating


def _start(
    model: NeuMF,
    events: Interactions,
    held_out: Interactions | None,
    shape: tuple[int, int],
    config: NeuMFConfig,
    *,
    seed: int,
    progress: bool,
) -> ALSConfig:
    """Set the first values that are not random, and tell the ALS weights behind them."""
    als = config.als
    with torch.no_grad():
        if config.feedback == "explicit":
            model.fusion.bias.fill_(float(_ratings(events).mean()))
        elif config.start == "als":
            truth = None if held_out is None else held_out.matrix(*shape)
            u, v, als = fit_als(events.matrix(*shape), truth, replace(als, d=config.d), seed=seed, progress=progress)
            model.gmf_user.weight.copy_(torch.from_numpy(u))
            model.gmf_item.weight.copy_(torch.from_numpy(v))
            model.fusion.weight[:, : config.d] = config.gain
            model.fusion.weight[:, config.d :] = 0.0  # the MLP tower earns its place
            model.fusion.bias.fill_(-config.gain / 2)
    return als


Inputs = tuple[Rows, Matrix]
"""Codes [n, categories] and numbers [n, numbers] of the events."""


def _click_losses(
    model: NeuMF,
    events: Interactions,
    inputs: Inputs,
    sampler: Sampler,
    config: NeuMFConfig,
    generator: np.random.Generator,
) -> Iterator[Tensor]:
    """Each click with ``negatives`` items that its user has not met, in the click's own context."""
    processes, k = group(), config.negatives
    order = generator.permutation(len(events))
    for start in range(0, len(order), config.batch):
        part = order[start : start + config.batch]
        users = events.user_rows[part]
        others = sampler.draw(np.repeat(users, k), generator).reshape(-1, k)
        items = np.concatenate([events.item_rows[part, None], others], axis=1)  # (b, 1 + k), the click first
        codes, numbers = _hide(inputs[0][part], inputs[1][part], config.context_dropout, generator)
        own = [processes.share(each) for each in (users, items, codes, numbers)]
        yield _click_loss(_logits(model, *own), config) * processes.weight(len(own[0]), len(part))


def _click_loss(logits: Tensor, config: NeuMFConfig) -> Tensor:
    """The loss of logits [b, 1 + negatives], the first of which are of clicks."""
    match config.loss:
        case "sampled_softmax":
            return losses.first_of(logits)
        case "bce":
            labels = torch.zeros_like(logits)
            labels[:, 0] = 1.0
            return losses.bce(logits, labels)


def _rating_losses(
    model: NeuMF,
    events: Interactions,
    inputs: Inputs,
    _: Sampler,
    config: NeuMFConfig,
    generator: np.random.Generator,
) -> Iterator[Tensor]:
    processes, ratings = group(), _ratings(events)
    order = generator.permutation(len(events))
    for start in range(0, len(order), config.batch):
        rows = order[start : start + config.batch]
        codes, numbers = _hide(inputs[0][rows], inputs[1][rows], config.context_dropout, generator)
        batch = (events.user_rows[rows], events.item_rows[rows, None], codes, numbers, ratings[rows])
        *own, truth = (processes.share(each) for each in batch)
        loss = losses.squared_error(_logits(model, *own).squeeze(1), _tensor(model, truth))
        yield loss * processes.weight(len(truth), len(rows))


def _hide(codes: Rows, numbers: Matrix, share: float, generator: np.random.Generator) -> Inputs:
    """The context with a share of its rows made unknown."""
    shown = generator.random((len(codes), 1)) >= share
    return codes * shown, numbers * shown.astype(np.float32)


def _logits(model: NeuMF, users: Rows, items: Rows, codes: Rows, numbers: Matrix) -> Tensor:
    logits: Tensor = model(*(_tensor(model, array) for array in (users, items, codes, numbers)))
    return logits


def _tensor(model: NeuMF, array: NDArray[Any]) -> Tensor:
    return torch.from_numpy(array).to(model.fusion.weight.device)


def _score(
    model: NeuMF,
    held_out: Interactions,
    context: Context,
    sampler: Sampler,
    config: NeuMFConfig,
    generator: np.random.Generator,
) -> Callable[[], float]:
    """The validation score as a function of the model's present state; the negatives are drawn once."""
    if len(held_out) > _HIT_PAIRS and config.feedback == "implicit":
        held_out = held_out.take(np.sort(generator.permutation(len(held_out))[:_HIT_PAIRS]))
    codes, numbers = encode_events(context, held_out)

    def logits(items: Rows) -> NDArray[np.float32]:
        """Of each held-out event's user with items [n, k]."""
        parts = [slice(start, start + _SCORE_BATCH) for start in range(0, len(items), _SCORE_BATCH)]
        with torch.no_grad():
            return np.concatenate([
                _logits(model, held_out.user_rows[p], items[p], codes[p], numbers[p]).cpu().numpy() for p in parts
            ])  # fmt: skip

    if config.feedback == "explicit":
        ratings = _ratings(held_out).astype(np.float64)
        return lambda: -float(np.sqrt(np.square(logits(held_out.item_rows[:, None])[:, 0] - ratings).mean()))
    others = sampler.draw(np.repeat(held_out.user_rows, _HIT_NEGATIVES), generator).reshape(-1, _HIT_NEGATIVES)
    items = np.concatenate([held_out.item_rows[:, None], others], axis=1)

    def hits() -> float:
        scores = logits(items)
        places = (scores[:, 1:] >= scores[:, :1]).sum(axis=1)
        hit, gain = places < _HIT_K, 1 / np.log2(places + 2)
        return float((hit + hit * gain).mean() / 2)

    return hits


def _export(model: NeuMF, config: NeuMFConfig, record: dict[str, Any], context: Context) -> Fitted:
    """The GMF tower as vectors, its fusion weights folded into the users; the rest as extra tensors."""
    state = {name: tensor.detach().cpu().numpy().copy() for name, tensor in model.state_dict().items()}
    fusion = state["fusion.weight"][0]
    extra = {
        "mlp.user": state["mlp_user.weight"],
        "mlp.item": state["mlp_item.weight"],
        "fusion.mlp": fusion[config.d :],
        "fusion.bias": state["fusion.bias"],
    }
    for name, array in state.items():
        match name.split("."):
            case ["context", number, "weight"]:
                extra[f"context.{number}"] = array
            case ["mlp", *_]:
                extra[name] = array
    return Fitted(
        user_vectors=state["gmf_user.weight"] * fusion[: config.d],
        item_vectors=state["gmf_item.weight"],
        config=config,
        record=record,
        extra=extra,
        details={"context_columns": to_json(context)},
    )
