"""What a study of an evaluation is given, and what it gives back."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from adapters.baselines import Vectors
from adapters.config import AdapterConfig
from adapters.content import Contents
from adapters.space import Adapter
from coldstart.backbones import FrozenBackbone
from coldstart.dataset import Dataset, Interactions
from coldstart.evaluation import protocols
from coldstart.evaluation.report import Section
from coldstart.splits import Split
from coldstart.vectors import Rows

TrainBackbone = Callable[[Interactions, Interactions | None, int], FrozenBackbone]
"""Trains a backbone on training interactions, chosen on validation interactions where there are any, by a seed."""


@dataclass(frozen=True)
class Stage:
    """One seed of an evaluation, when its adapter is trained.

    Parameters
    ----------
    contents : Contents [dataset items]
        In the data set's row order.
    part : str
        ``val`` or ``test``: which held-out parts may be looked at. Everything is chosen on ``val``.
    adapter : Adapter
        Trained and tuned, with its frozen backbone.
    users, items : int64 [backbone users], [backbone items]
        The backbone's rows in the data set (-1: not in it).
    protocol, validation : Protocol
        Of ``part``, and of ``val``.
    vectors : float32 [users, D], [items, D]
        The adapter's user and item vectors in the data set's rows, warm and cold together.
    train_backbone : callable
        For a study that needs a backbone of other interactions.
    """

    dataset: Dataset
    split: Split
    contents: Contents
    part: protocols.Part
    seed: int
    config: AdapterConfig
    adapter: Adapter
    users: Rows
    items: Rows
    protocol: protocols.Protocol
    validation: protocols.Protocol
    vectors: Vectors
    train_backbone: TrainBackbone


@dataclass(frozen=True)
class Finding:
    """What a study found over all seeds: for people, and as JSON values."""

    section: Section
    document: Mapping[str, Any]


class Study(Protocol):
    """Something measured seed by seed beside the three lists; `measure` gives ``None`` where the data cannot tell."""

    name: str
    """What it is called on the command line, and its key in the JSON document."""

    def measure(self, stage: Stage) -> Any: ...

    def find(self, measured: Sequence[Any]) -> Finding: ...
