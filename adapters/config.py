"""What can be chosen about an adapter, a comment per field."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AdapterConfig:
    """Shape, start and training of a gated adapter."""

    neighbours: int = 50  # warm items whose frozen vectors are averaged
    temperature: float = 0.1  # of the softmax over their corrected cosines
    hubness: float = 0.3  # weight of a neighbour's own mean similarity, subtracted (CSLS)
    image_dim: int = 256  # principal components kept of the picture embedding
    term_dim: int = 384  # principal components kept of the terms of declared columns
    term_share: float = 0.35  # of what is written about an item that is those terms
    content_dim: int = 256  # width of the content block beside the collaborative one
    ridge: float = 10.0  # of the users' content profiles
    max_anchors: int = 50_000  # warm items searched for neighbours, the most clicked first
    hidden: int = 48  # width of each modality's projection
    gate_hidden: int = 16  # width of the gates' hidden layer
    residual_hidden: int = 96  # width of the residual's hidden layer
    epochs: int = 30  # passes over the warm items; the best one on validation is kept, if clearly better than none
    patience: int = 3  # epochs without a gain after which training ends
    batch_items: int = 512  # warm items treated as cold in a step, at most
    epoch_steps: int = 25  # of a small catalogue, which is taken in smaller batches
    users_per_item: int = 4  # positive users drawn for each of them
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    softmax_temperature: float = 1.0  # of the ranking loss, in units of the scores' deviation
    distillation: float = 0.3  # weight of the loss that pulls v_hat towards the frozen vector
    validation_fraction: float = 0.1  # of the warm items, hidden to tune on where no cold validation part is given
