"""What training minimises. Pure functions of scores or vectors; each returns the mean over the batch."""

import torch
from torch import Tensor
from torch.nn import functional as F


def bpr(positive: Tensor, negative: Tensor) -> Tensor:
    """Bayesian personalised ranking (Rendle et al. 2009): ``-log sigmoid(positive - negative)``.

    Parameters
    ----------
    positive, negative : float [b]
        Scores of an item the user met and of one the user did not.
    """
    return -F.logsigmoid(positive - negative).mean()


def sampled_softmax(users: Tensor, positives: Tensor, negatives: Tensor, temperature: float) -> Tensor:
    """Cross entropy of the met item against a shared sample of items, on cosines over a temperature.

    Parameters
    ----------
    users, positives : float [b, d]
    negatives : float [n, d]
        Shared by the batch; a met item among them is noise of order met items / all items, and is left in.
    temperature : float
        Smaller values look harder at the best negatives (Wu et al. 2022, "On the effectiveness of sampled softmax").
    """
    users, positives, negatives = (F.normalize(v, dim=-1) for v in (users, positives, negatives))
    own = (users * positives).sum(-1, keepdim=True)  # (b, 1)
    logits = torch.cat([own, users @ negatives.T], dim=1) / temperature  # (b, 1 + n)
    return first_of(logits)


def first_of(logits: Tensor) -> Tensor:
    """Cross entropy of the first of each row of logits [b, 1 + n] against the others: a met item among drawn ones."""
    return (torch.logsumexp(logits, dim=1) - logits[:, 0]).mean()


def multinomial(users: Tensor, items: Tensor, rows: Tensor, columns: Tensor, temperature: float) -> Tensor:
    """Negative log likelihood of clicks under a softmax over all items (Liang et al. 2018, arXiv 1802.05814).

    Without a sample of negatives there is no sampling noise, and a user's clicks share one row of scores: for the price
    of 512 sampled negatives a click, every one of 14,000 items is a negative.

    Parameters
    ----------
    users, items : float [b, d], [n, d]
    rows, columns : int [clicks]
        Click k is of ``users[rows[k]]`` on ``items[columns[k]]``.
    temperature : float
        Divides the inner products.
    """
    likelihood = F.log_softmax(users @ items.T / temperature, dim=1)  # (b, n)
    return -likelihood[rows, columns].mean()


def bce(logits: Tensor, labels: Tensor) -> Tensor:
    """Binary cross entropy of logits with labels in [0, 1] of the same shape."""
    return F.binary_cross_entropy_with_logits(logits, labels)


def squared_error(predictions: Tensor, ratings: Tensor) -> Tensor:
    """Mean squared difference of predictions [b] and ratings [b], in squared rating units."""
    return F.mse_loss(predictions, ratings)
