"""How each kind of backbone is trained: one dataclass a kind, the defaults measured on CiteULike-a (split aldi)."""

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class ALSConfig:
    """Implicit-feedback matrix factorisation by alternating least squares (Hu, Koren and Volinsky 2008)."""

    d: int = 400  # width of the vectors
    alpha: float = 100.0  # weight of a click; every other pair weighs 1
    regularisation: float = 30.0  # weight of the squared norms; grows with alpha
    iterations: int = 10  # passes over users and items


@dataclass(frozen=True)
class LightGCNConfig:
    """LightGCN; by default it starts where its propagated vectors equal ALS factors, and is tuned from there."""

    d: int = 256  # width of the vectors
    layers: int = 2  # hops over the graph; an even number keeps the propagation invertible, which the ALS start needs
    start: Literal["als", "random"] = "als"  # first values of the embeddings
    als: ALSConfig = field(default_factory=ALSConfig)  # for the start; its d is ignored
    deviation: float = 0.1  # of the normal first values where start is random
    loss: Literal["multinomial", "sampled_softmax", "bpr"] = "multinomial"  # what is minimised
    temperature: float = 0.1  # of the softmax
    negatives: int = 512  # items in the shared sample of the sampled softmax
    decay: float = 1e-4  # weight of the squared norms of a batch's embeddings, for bpr only: cosines need none
    batch: int = 512  # users a step for multinomial, clicks a step for the others
    learning_rate: float = 1e-3  # of Adam
    epochs: int = 12  # at most
    patience: int = 3  # epochs without a better validation score before training stops
