"""Trains a LightGCN: where it starts, what a batch is, and when it stops."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from torch import Tensor

from coldstart.backbones import losses
from coldstart.backbones.als_tuning import fit_als
from coldstart.backbones.config import ALSConfig, LightGCNConfig
from coldstart.backbones.distributed import group
from coldstart.backbones.fitted import Fitted
from coldstart.backbones.fitting import Schedule, fit
from coldstart.backbones.lightgcn import LightGCN, normalised_adjacency, unpropagate
from coldstart.backbones.sampling import Sampler
from coldstart.backbones.validation import ranking_score
from coldstart.vectors import Matrix, Rows, normalise


def fit_lightgcn(
    clicks: csr_matrix,
    validation: csr_matrix | None,
    config: LightGCNConfig,
    *,
    seed: int,
    device: str = "cpu",
    progress: bool = False,
    watch: Callable[[Fitted], None] | None = None,
) -> Fitted:
    """Train on clicks [users, items], stopping early on validation clicks where there are any.

    ``watch`` is shown what has been learned at the start and after each epoch.
    """
    generator = np.random.default_rng(seed)
    start, als = _start(clicks, validation, config, generator, seed=seed, progress=progress)
    model = LightGCN(clicks, start, config.layers, torch.device(device))

    def fitted(record: dict[str, Any]) -> Fitted:
        chosen = replace(config, als=als, epochs=record["best_epoch"])
        return Fitted(*_vectors(model, config), config=chosen, record=record)

    record = fit(
        model,
        lambda: _epoch_losses(model, clicks, config, generator),
        None if validation is None else lambda: ranking_score(*_vectors(model, config), clicks, validation),
        Schedule(config.learning_rate, config.epochs, config.patience),
        watch=None if watch is None else lambda epochs: watch(fitted({"best_epoch": epochs})),
        label="LightGCN",
        steps=-(-(clicks.shape[0] if config.loss == "multinomial" else clicks.nnz) // config.batch),
        progress=progress,
    )
    return fitted(record)


def _vectors(model: LightGCN, config: LightGCNConfig) -> tuple[Matrix, Matrix]:
    """User and item vectors [users, d], [items, d] to rank by; directions, where the loss looks at cosines."""
    with torch.no_grad():
        users, items = (side.cpu().numpy() for side in model())
    return (normalise(users), normalise(items)) if config.loss == "sampled_softmax" else (users, items)


def _start(
    clicks: csr_matrix,
    validation: csr_matrix | None,
    config: LightGCNConfig,
    generator: np.random.Generator,
    *,
    seed: int,
    progress: bool = False,
) -> tuple[Matrix, ALSConfig]:
    """First embeddings [users + items, d], and the ALS weights behind them."""
    if config.start == "random":
        size = (sum(clicks.shape), config.d)
        return generator.normal(0.0, config.deviation, size).astype(np.float32), config.als
    *sides, als = fit_als(clicks, validation, replace(config.als, d=config.d), seed=seed, progress=progress)
    factors = np.concatenate(sides)
    if config.loss == "sampled_softmax":
        factors = normalise(factors)  # cosines ignore the lengths, and Adam's steps are of one size
    return unpropagate(factors, normalised_adjacency(clicks), config.layers), als


def _epoch_losses(
    model: LightGCN, clicks: csr_matrix, config: LightGCNConfig, generator: np.random.Generator
) -> Iterator[Tensor]:
    """The loss of each batch of one pass over the clicks; of this process's share of it, where several train."""
    match config.loss:
        case "bpr":
            return _bpr(model, clicks, config, generator)
        case "sampled_softmax":
            return _sampled_softmax(model, clicks, config, generator)
        case "multinomial":
            return _multinomial(model, clicks, config, generator)


def _click_batches(
    clicks: csr_matrix, config: LightGCNConfig, generator: np.random.Generator
) -> Iterator[tuple[Rows, Rows]]:
    """All clicks in random order, as user rows [b] and item rows [b]."""
    users = np.repeat(np.arange(clicks.shape[0]), np.diff(clicks.indptr))
    items = clicks.indices.astype(np.int64)
    order = generator.permutation(clicks.nnz)
    for start in range(0, clicks.nnz, config.batch):
        part = order[start : start + config.batch]
        yield users[part], items[part]


def _bpr(
    model: LightGCN, clicks: csr_matrix, config: LightGCNConfig, generator: np.random.Generator
) -> Iterator[Tensor]:
    sampler, processes = Sampler(clicks), group()
    for batch in _click_batches(clicks, config, generator):
        drawn = (*batch, sampler.draw(batch[0], generator))
        users, items, others = (_rows(model, processes.share(rows)) for rows in drawn)
        u, v = model()
        loss = losses.bpr((u[users] * v[items]).sum(-1), (u[users] * v[others]).sum(-1))
        own = model.embedding[users], model.embedding[model.n_users + items], model.embedding[model.n_users + others]
        loss = loss + config.decay * sum(e.square().sum(-1).mean() for e in own)
        yield loss * processes.weight(len(users), len(batch[0]))


def _sampled_softmax(
    model: LightGCN, clicks: csr_matrix, config: LightGCNConfig, generator: np.random.Generator
) -> Iterator[Tensor]:
    processes = group()
    for batch in _click_batches(clicks, config, generator):
        others = _rows(model, generator.integers(0, clicks.shape[1], config.negatives))
        users, items = (_rows(model, processes.share(rows)) for rows in batch)
        u, v = model()
        loss = losses.sampled_softmax(u[users], v[items], v[others], config.temperature)
        yield loss * processes.weight(len(users), len(batch[0]))


def _multinomial(
    model: LightGCN, clicks: csr_matrix, config: LightGCNConfig, generator: np.random.Generator
) -> Iterator[Tensor]:
    processes, met = group(), np.diff(clicks.indptr)
    order = generator.permutation(np.flatnonzero(met))
    for start in range(0, len(order), config.batch):
        batch = order[start : start + config.batch]
        users = processes.share(batch)
        rows = _rows(model, np.repeat(np.arange(len(users)), met[users]))
        columns = _rows(model, clicks[users].indices)
        u, v = model()
        loss = losses.multinomial(u[_rows(model, users)], v, rows, columns, config.temperature)
        yield loss * processes.weight(len(rows), int(met[batch].sum()))


def _rows(model: LightGCN, rows: NDArray[np.integer]) -> Tensor:
    return torch.from_numpy(rows.astype(np.int64)).to(model.embedding.device)
