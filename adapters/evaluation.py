"""Backbone, adapter and lists of one split over several seeds: what ``coldstart evaluate`` prints."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from adapters.config import AdapterConfig
from adapters.content import MODALITIES, Contents
from adapters.space import Adapter
from adapters.training import Epoch, train_adapter
from adapters.validation import Validation, take_known
from coldstart.backbones import FrozenBackbone
from coldstart.dataset import Dataset
from coldstart.evaluation.protocols import LISTS, Protocol, cold_candidates
from coldstart.splits import Split
from coldstart.vectors import Matrix, Rows

Figures = dict[str, dict[str, float]]
"""Per list, Recall@20 and NDCG@20 averaged over its users."""

METRICS = ("recall@20", "ndcg@20")


@dataclass(frozen=True)
class Run:
    """One seed: the lists with the adapter, of the backbone alone, and by popularity."""

    adapter: Figures
    backbone: Figures
    popularity: Figures
    curve: tuple[Epoch, ...]
    gates: dict[str, float]
    adapter_parameters: int
    backbone_parameters: int
    sha256_before: str
    sha256_after: str
    seconds: dict[str, float]


@dataclass(frozen=True)
class Evaluation:
    """All seeds of one data set and split."""

    dataset: str
    split: str
    modalities: tuple[str, ...]
    backbone: str
    runs: tuple[Run, ...] = field(default=())
    encode_seconds: float = 0.0

    def figures(self, part: str) -> dict[str, dict[str, dict[str, float]] | None]:
        """Mean and standard deviation over the seeds of ``adapter``, ``backbone`` or ``popularity``, per list."""
        return {name: self._over_seeds([getattr(run, part).get(name) for run in self.runs]) for name in LISTS}

    def document(self) -> dict[str, object]:
        """The JSON form."""
        last = self.runs[-1]
        return {
            "dataset": self.dataset,
            "split": self.split,
            "modalities": list(self.modalities),
            "backbone": self.backbone,
            "seeds": len(self.runs),
            **self.figures("adapter"),
            "popularity": self.figures("popularity"),
            "backbone_alone": self.figures("backbone"),
            "gates": last.gates,
            "adapter_parameters": last.adapter_parameters,
            "backbone_parameters": last.backbone_parameters,
            "backbone_sha256_before": last.sha256_before,
            "backbone_sha256_after": last.sha256_after,
            "seconds": {
                "encode": round(self.encode_seconds, 1),
                **{
                    name: round(float(np.mean([run.seconds[name] for run in self.runs])), 1)
                    for name in ("backbone", "adapter", "evaluate")
                },
            },
        }

    @staticmethod
    def _over_seeds(figures: Sequence[Mapping[str, float] | None]) -> dict[str, dict[str, float]] | None:
        found = [each for each in figures if each is not None]
        if not found:
            return None
        return {
            metric: {
                "mean": round(float(np.mean([each[metric] for each in found])), 5),
                "std": round(float(np.std([each[metric] for each in found])), 5),
            }
            for metric in METRICS
        }


TrainBackbone = Callable[[int], FrozenBackbone]
"""Trains the backbone of a seed on the split's training part."""


def run_seed(
    dataset: Dataset,
    split: Split,
    contents: Contents,
    *,
    train_backbone: TrainBackbone,
    seed: int,
    config: AdapterConfig | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
) -> Run:
    """Train backbone and adapter with one seed, tuned on the validation parts, and judge the test parts.

    Parameters
    ----------
    contents : Contents [dataset items]
        In the data set's row order.
    """
    started = time.perf_counter()
    backbone = train_backbone(seed)
    trained_backbone = time.perf_counter()
    rows = dataset.items.ids.rows(backbone.items.ids)
    validation = split_validation(dataset, split, backbone, contents)
    trained = train_adapter(
        backbone, contents.take(rows), config=config, validation=validation, seed=seed, on_epoch=on_epoch
    )
    trained_adapter = time.perf_counter()
    protocol = Protocol.of(split, len(dataset.users), len(dataset.items))
    cold = np.flatnonzero(protocol.cold)
    vectors, gates = _item_vectors(trained.adapter, contents, rows, cold)
    users = dataset.users.rows(backbone.users.ids)
    adapter = _judge(protocol, _scatter(_all_users(trained.adapter), users, len(dataset.users)), vectors)
    alone = _judge(
        protocol,
        _scatter(backbone.user_vectors, users, len(dataset.users)),
        _scatter(backbone.item_vectors, rows, len(dataset.items)),
    )
    # It has no vector for a cold item: any order of them would be of our making.
    alone.pop("cold", None)
    popularity = _judge(protocol, *_popularity(protocol, seed))
    done = time.perf_counter()
    return Run(
        adapter=adapter, backbone=alone, popularity=popularity, curve=trained.curve, gates=gates,
        adapter_parameters=trained.adapter.trained_parameters, backbone_parameters=backbone.parameters,
        sha256_before=trained.sha256_before, sha256_after=trained.sha256_after,
        seconds={
            "backbone": trained_backbone - started,
            "adapter": trained_adapter - trained_backbone,
            "evaluate": done - trained_adapter,
        },
    )  # fmt: skip


def split_validation(dataset: Dataset, split: Split, backbone: FrozenBackbone, contents: Contents) -> Validation | None:
    """The split's validation parts in the backbone's rows; ``None`` where no cold item is held out for validation."""
    if len(split.cold_val_items) == 0:
        return None
    rows = cold_candidates(split, part="cold_val")
    users = dataset.users.rows(backbone.users.ids)
    shape = len(dataset.users), len(dataset.items)
    cold = take_known(split.cold_val.matrix(*shape), users)[:, rows].tocsr()
    warm = take_known(split.warm_val.matrix(*shape), users)[:, dataset.items.ids.rows(backbone.items.ids)].tocsr()
    return Validation(contents.take(rows), np.full(len(rows), -1), cold, warm if warm.nnz else None)


def _item_vectors(adapter: Adapter, contents: Contents, warm: Rows, cold: Rows) -> tuple[Matrix, dict[str, float]]:
    """Served vectors [dataset items, D] of warm and cold rows, and the cold items' mean gates."""
    vectors = np.zeros((len(contents), adapter.dim), np.float32)
    own = np.arange(len(warm))
    vectors[warm] = adapter.warm_vectors(own, adapter.blocks(contents.take(warm), own))
    blocks = adapter.blocks(contents.take(cold))
    vectors[cold] = adapter.cold_vectors(blocks)
    gates = {name: round(float(blocks.gate[:, i].mean()), 4) for i, name in enumerate(MODALITIES)}
    return vectors, gates


def _all_users(adapter: Adapter) -> Matrix:
    return adapter.user_vectors(np.arange(len(adapter.backbone.users)))


def _scatter(vectors: Matrix, rows: Rows, n: int) -> Matrix:
    """Vectors [n, D] with the given ones at the given rows, zeros elsewhere."""
    out = np.zeros((n, vectors.shape[1]), np.float32)
    out[rows] = vectors
    return out


def _popularity(protocol: Protocol, seed: int) -> tuple[Matrix, Matrix]:
    """Users who all want what was met most; equals (all cold items) in random order."""
    counts = np.asarray(protocol.train.sum(axis=0)).ravel()
    ties = np.random.default_rng(seed).random(len(counts)) / 2
    return np.ones((protocol.train.shape[0], 1), np.float32), (counts + ties).astype(np.float32)[:, None]


def _judge(protocol: Protocol, users: Matrix, items: Matrix) -> Figures:
    judged = {name: protocol.judge(name, users, items) for name in LISTS}
    return {
        name: dict(zip(METRICS, (float(each.recall.mean()), float(each.ndcg.mean())), strict=True))
        for name, each in judged.items()
        if each is not None
    }
