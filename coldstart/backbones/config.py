"""How each kind of backbone is trained: one dataclass a kind, a comment a field."""

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class ALSConfig:
    """Implicit-feedback matrix factorisation by alternating least squares (Hu, Koren and Volinsky 2008)."""

    d: int = 400  # width of the vectors
    alpha: float | None = None  # weight of a click, every other pair weighing 1; chosen on validation where None
    regularisation: float | None = None  # weight of the squared norms; chosen on validation where None
    iterations: int = 6  # passes over users and items; few of them regularise too


@dataclass(frozen=True)
class LightGCNConfig:
    """LightGCN; by default it starts where its propagated vectors equal ALS factors, and is tuned from there."""

    d: int = 400  # width of the vectors; best scores on citeulike-a, aldi: .282 with 256, .288 with 400, .289 with 512
    layers: int = 2  # hops over the graph; the ALS start wants an even number, which keeps the propagation invertible
    start: Literal["als", "random"] = "als"  # first values of the embeddings
    als: ALSConfig = field(default_factory=ALSConfig)  # for the start; its d is ignored
    deviation: float = 0.1  # of the normal first values where start is random
    loss: Literal["multinomial", "sampled_softmax", "bpr"] = "multinomial"  # what is minimised
    temperature: float = 0.1  # of the softmax
    negatives: int = 512  # items in the shared sample of the sampled softmax
    decay: float = 1e-4  # weight of the squared norms of a batch's embeddings, for bpr only
    batch: int = 512  # users a step for multinomial, clicks a step for the others
    learning_rate: float = 1e-3  # of Adam
    epochs: int = 12  # at most
    patience: int = 2  # epochs without a better validation score before training stops


@dataclass(frozen=True)
class NeuMFConfig:
    """NeuMF (He et al. 2017); by default its GMF tower starts from ALS factors."""

    d: int = 128  # width of the GMF tower's vectors, which retrieval uses
    mlp_d: int = 32  # width of the MLP tower's user and item embeddings, each
    hidden: tuple[int, ...] = (64, 32, 16)  # widths of the MLP tower's layers
    feedback: Literal["implicit", "explicit"] = "implicit"  # clicks with sampled negatives, or ratings
    context: tuple[str, ...] = ()  # columns of the interactions for the MLP tower; hour and weekday from the timestamp
    context_d: int = 8  # width of a category's embedding
    context_dropout: float = 0.1  # share of training rows whose context is hidden, so that it may be absent later
    start: Literal["als", "random"] = "als"  # first values of the GMF tower; explicit feedback starts at random
    als: ALSConfig = field(default_factory=ALSConfig)  # for the start; its d is ignored
    gain: float = 6.0  # first fusion weight of every GMF factor: turns ALS scores of 0..1 into logits
    loss: Literal["sampled_softmax", "bce"] = "sampled_softmax"  # of a click among its negatives, or of each alone
    negatives: int = 4  # items not met for each one that was met
    batch: int = 4096  # interactions a step
    learning_rate: float | None = None  # of Adam; where None, .0003 from an ALS start, which is soon lost, else .001
    epochs: int = 20  # at most
    patience: int = 3  # epochs without a better validation score before training stops


Config = ALSConfig | LightGCNConfig | NeuMFConfig
