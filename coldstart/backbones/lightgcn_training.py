"""Trains a LightGCN: where it starts, what a batch is, and when it stops."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor

from coldstart.backbones import losses
from coldstart.backbones.als_tuning import fit_als
from coldstart.backbones.config import ALSConfig, LightGCNConfig
from coldstart.backbones.fitted import Fitted
from coldstart.backbones.fitting import Schedule, fit
from coldstart.backbones.lightgcn import LightGCN, normalised_adjacency, unpropagate
from coldstart.backbones.sampling import Sampler
from coldstart.backbones.validation import ranking_score
from coldstart.vectors import Matrix, normalise


def fit_lightgcn(
    clicks: csr_matrix, validation: csr_matrix | None, config: LightGCNConfig, *, seed: int, progress: bool = False
) -> Fitted:
    """Train on clicks [users, items], stopping early on validation clicks where there are any."""
    generator = np.random.default_rng(seed)
    start, als = _start(clicks, validation, config, generator, seed=seed, progress=progress)
    model = LightGCN(clicks, start, config.layers)

    def vectors() -> tuple[Matrix, Matrix]:
        with torch.no_grad():
            users, items = (v.numpy() for v in model())
        return (normalise(users), normalise(items)) if config.loss == "sampled_softmax" else (users, items)

    batches = {"bpr": _bpr, "sampled_softmax": _sampled_softmax, "multinomial": _multinomial}[config.loss]
    rows = clicks.shape[0] if config.loss == "multinomial" else clicks.nnz
    record = fit(
        model,
        lambda: batches(model, clicks, config, generator),
        None if validation is None else lambda: ranking_score(*vectors(), clicks, validation),
        Schedule(config.learning_rate, config.epochs, config.patience),
        label="LightGCN",
        steps=-(-rows // config.batch),
        progress=progress,
    )
    return Fitted(*vectors(), config=replace(config, als=als, epochs=record["best_epoch"]), record=record)


def _start(
    clicks: csr_matrix,
    validation: csr_matrix | None,
    config: LightGCNConfig,
    generator: np.random.Generator,
    *,
    seed: int,
    progress: bool,
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


def _click_batches(
    clicks: csr_matrix, config: LightGCNConfig, generator: np.random.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """All clicks in random order, as user rows [b] and item rows [b]."""
    users = np.repeat(np.arange(clicks.shape[0]), np.diff(clicks.indptr))
    items = clicks.indices.astype(np.int64)
    order = generator.permutation(clicks.nnz)
    for start in range(0, clicks.nnz, config.batch):
        part = order[start : start + config.batch]
        yield torch.from_numpy(users[part]), torch.from_numpy(items[part])


def _bpr(
    model: LightGCN, clicks: csr_matrix, config: LightGCNConfig, generator: np.random.Generator
) -> Iterator[Tensor]:
    sampler = Sampler(clicks)
    for users, items in _click_batches(clicks, config, generator):
        others = torch.from_numpy(sampler.draw(users.numpy(), generator))
        u, v = model()
        loss = losses.bpr((u[users] * v[items]).sum(-1), (u[users] * v[others]).sum(-1))
        own = model.embedding[users], model.embedding[model.n_users + items], model.embedding[model.n_users + others]
        yield loss + config.decay * sum(e.square().sum(-1).mean() for e in own)


def _sampled_softmax(
    model: LightGCN, clicks: csr_matrix, config: LightGCNConfig, generator: np.random.Generator
) -> Iterator[Tensor]:
    for users, items in _click_batches(clicks, config, generator):
        others = torch.from_numpy(generator.integers(0, clicks.shape[1], config.negatives))
        u, v = model()
        yield losses.sampled_softmax(u[users], v[items], v[others], config.temperature)


def _multinomial(
    model: LightGCN, clicks: csr_matrix, config: LightGCNConfig, generator: np.random.Generator
) -> Iterator[Tensor]:
    order = generator.permutation(clicks.shape[0])
    for start in range(0, len(order), config.batch):
        users = order[start : start + config.batch]
        met = clicks[users]
        rows = torch.from_numpy(np.repeat(np.arange(len(users)), np.diff(met.indptr)))
        u, v = model()
        columns = torch.from_numpy(met.indices.astype(np.int64))
        yield losses.multinomial(u[torch.from_numpy(users)], v, rows, columns, config.temperature)
