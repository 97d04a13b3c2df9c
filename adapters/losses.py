"""The losses of the adapter, as pure functions of torch tensors."""

import torch
from torch import Tensor
from torch.nn import functional


def ranking(scores: Tensor, target: Tensor, known: Tensor) -> Tensor:
    """Softmax cross-entropy of each user's own item against the other items of the batch.

    Parameters
    ----------
    scores : float32 [m, b]
        Of m users for b items, in units of their deviation.
    target : int64 [m]
        The item each user was drawn for.
    known : bool [m, b]
        Other items the user has met: no negatives, so left out.
    """
    own = functional.one_hot(target, scores.shape[1]).bool()
    return functional.cross_entropy(scores.masked_fill(known & ~own, -torch.inf), target)


def distillation(adapted: Tensor, frozen: Tensor) -> Tensor:
    """One minus the cosine of v_hat [b, d] and the frozen vectors [b, d]: the direction that clicks gave the item."""
    return (1.0 - functional.cosine_similarity(adapted, frozen, dim=-1)).mean()
