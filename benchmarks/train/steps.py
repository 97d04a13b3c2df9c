"""From the published settings to this code's defaults, one change at a time: what is owed to which."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, TypeVar

import implicit.cpu.als  # noqa: F401 (else the first training that needs it would pay for its import)

from benchmarks.train import references
from benchmarks.train.course import Course, until_enough
from benchmarks.train.tasks import LeaveOneOut, Ranking
from coldstart.backbones.config import LightGCNConfig, NeuMFConfig
from coldstart.backbones.context import from_json
from coldstart.backbones.fitted import Fitted
from coldstart.backbones.lightgcn_training import fit_lightgcn
from coldstart.backbones.neumf_training import fit_neumf
from coldstart.backbones.ranker import NeuMFRanker

_ENDLESS: Mapping[str, Any] = {"epochs": 100_000, "patience": 100_000}

_LIGHTGCN = LightGCNConfig(
    d=references.D, layers=references.LAYERS, batch=references.BATCH, learning_rate=references.LEARNING_RATE,
    decay=references.DECAY, start="random", deviation=0.01, loss="bpr", **_ENDLESS,
)  # fmt: skip
"""torch-geometric's model; its first values are of this deviation."""
_NEUMF = NeuMFConfig(
    d=references.D, mlp_d=2 * references.D, hidden=(2 * references.D, references.D), batch=256,
    learning_rate=references.LEARNING_RATE, start="random", loss="bce", **_ENDLESS,
)  # fmt: skip
"""Cornac's model; its embeddings start at a tenth of ours."""

_C = TypeVar("_C", LightGCNConfig, NeuMFConfig)


def _one_by_one(config: _C, steps: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, _C]]:
    for name, changes in steps.items():
        config = replace(config, **changes)
        yield name, config


_LIGHTGCN_STEPS: Mapping[str, Mapping[str, Any]] = {
    "the same, this code": {},
    "batch 8,192": {"batch": 8192},
    "rate .01": {"learning_rate": 0.01},
    "sampled softmax": {"loss": "sampled_softmax", "temperature": 0.2},
    "start from ALS, 2 layers": {"start": "als", "layers": 2},
}
_NEUMF_STEPS: Mapping[str, Mapping[str, Any]] = {
    "the same, this code": {},
    "batch 4,096": {"batch": 4096},
    "rate .005": {"learning_rate": 0.005},
    "sampled softmax": {"loss": "sampled_softmax"},
    "start from ALS, its rate": {"start": "als", "learning_rate": None},
}


LIGHTGCN: tuple[tuple[str, LightGCNConfig], ...] = (
    *_one_by_one(_LIGHTGCN, _LIGHTGCN_STEPS),
    ("as by default", replace(LightGCNConfig(), **_ENDLESS)),
)
NEUMF: tuple[tuple[str, NeuMFConfig], ...] = (
    *_one_by_one(_NEUMF, _NEUMF_STEPS),
    ("as by default", replace(NeuMFConfig(), **_ENDLESS)),
)
"""Each step's name, and the config with all that is changed by then; the last but one is as wide as the reference."""


def run_lightgcn(task: Ranking, config: LightGCNConfig, course: Course, *, seed: int = 0) -> None:
    """Train without a validation part until the course is over."""
    with until_enough():
        fit_lightgcn(
            task.train, None, config, seed=seed,
            watch=lambda made: course.judge(lambda: task.recall(made.user_vectors, made.item_vectors)),
        )  # fmt: skip


def run_neumf(task: LeaveOneOut, config: NeuMFConfig, course: Course, *, seed: int = 0) -> None:
    """Train without a validation part until the course is over."""
    with until_enough():
        fit_neumf(
            task.train, None, task.shape, config, seed=seed,
            watch=lambda made: course.judge(lambda: task.hit_rate(ranker(made).score)),
        )  # fmt: skip


def ranker(made: Fitted) -> NeuMFRanker:
    """What scores pairs by all of a NeuMF."""
    return NeuMFRanker(made.user_vectors, made.item_vectors, made.extra, from_json(made.details["context_columns"]))
