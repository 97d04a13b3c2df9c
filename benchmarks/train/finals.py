"""Trainings to the end, as the command line starts them: choosing on validation clicks is part of what they cost."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from adapters.config import AdapterConfig
from adapters.content import Contents
from adapters.embedding import embed_items
from adapters.training import train_adapter
from adapters.validation import split_validation
from benchmarks.train.steps import ranker
from benchmarks.train.tasks import LeaveOneOut, Ranking
from coldstart.backbones import FrozenBackbone
from coldstart.backbones.als_tuning import fit_als
from coldstart.backbones.config import ALSConfig, LightGCNConfig, NeuMFConfig
from coldstart.backbones.neumf_training import fit_neumf
from coldstart.backbones.training import train_backbone
from coldstart.encoders import DEFAULT_TEXT_MODEL, open_text_encoder
from coldstart.settings import Settings

T = TypeVar("T")
_TEXT_DIM, _QUICK_ANCHORS = 384, 1500


@dataclass(frozen=True)
class Final:
    """CPU-seconds of a training, and its score on the test part."""

    seconds: float
    score: float


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """What it makes, and its CPU-seconds."""
    began = time.process_time()
    return work(), time.process_time() - began


def train_als(task: Ranking, config: ALSConfig, *, seed: int) -> Final:
    """ALS alone."""
    (users, items, _), seconds = timed(lambda: fit_als(task.train, task.validation, config, seed=seed))
    return Final(seconds, task.recall(users, items))


def train_lightgcn(task: Ranking, config: LightGCNConfig, *, seed: int) -> tuple[Final, FrozenBackbone]:
    """LightGCN and its start."""
    made, seconds = timed(
        lambda: train_backbone(
            "lightgcn", task.dataset.users, task.dataset.items.ids, task.split.train, task.split.warm_val,
            config=config, seed=seed,
        )
    )  # fmt: skip
    return Final(seconds, task.recall(made.user_vectors, made.item_vectors)), made


def train_als_for_hits(task: LeaveOneOut, config: ALSConfig, *, seed: int) -> Final:
    """ALS alone."""
    train, validation = (part.matrix(*task.shape) for part in (task.train, task.validation))
    (users, items, _), seconds = timed(lambda: fit_als(train, validation, config, seed=seed))
    score = task.hit_rate(lambda user_rows, item_rows: np.einsum("nd,nd->n", users[user_rows], items[item_rows]))
    return Final(seconds, score)


def train_neumf(task: LeaveOneOut, config: NeuMFConfig, *, seed: int) -> Final:
    """NeuMF and its start."""
    made, seconds = timed(lambda: fit_neumf(task.train, task.validation, task.shape, config, seed=seed))
    return Final(seconds, task.hit_rate(ranker(made).score))


def adapter_seconds(task: Ranking, backbone: FrozenBackbone, *, quick: bool) -> float:
    """CPU-seconds of an adapter's training on titles, whose encoding is not counted.

    Quickly: of one epoch with fewer neighbours to search, on random vectors and without a validation part.
    """
    rows = task.dataset.items.ids.rows(backbone.items.ids)
    if quick:
        text = np.random.default_rng(0).standard_normal((len(rows), _TEXT_DIM)).astype(np.float32)
        random = Contents(text, np.zeros((len(rows), 0), np.float32), np.tile([True, False], (len(rows), 1)))
        config = AdapterConfig(epochs=1, max_anchors=_QUICK_ANCHORS)
        return timed(lambda: train_adapter(backbone, random, config=config))[1]
    settings = Settings()
    encoder = open_text_encoder(DEFAULT_TEXT_MODEL, runtime=settings.encoder_runtime, cache=settings.cache)
    contents = embed_items(task.dataset, text=encoder, image=None, cache=settings.cache).contents
    validation = split_validation(task.dataset, task.split, backbone, contents)
    return timed(lambda: train_adapter(backbone, contents.take(rows), validation=validation))[1]
