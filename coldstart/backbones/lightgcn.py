"""LightGCN: user and item embeddings smoothed over the graph of clicks (He et al. 2020, arXiv 2002.02126)."""

from typing import Any, TypeVar

import numpy as np
import torch
from scipy.sparse import block_array, csr_matrix, diags_array
from torch import Tensor, nn

from coldstart.vectors import Matrix

_Array = TypeVar("_Array", Matrix, Tensor)
_CPU = torch.device("cpu")
_ITERATIONS, _TOLERANCE, _TINY = 30, 1e-4, 1e-20


def normalised_adjacency(clicks: csr_matrix) -> csr_matrix:
    """``D^-1/2 A D^-1/2`` of the bipartite graph, float32 csr [users + items, users + items].

    Parameters
    ----------
    clicks : csr [users, items]
        A user or item without any click keeps a row of zeros.
    """
    adjacency = block_array([[None, clicks], [clicks.T, None]], format="csr", dtype=np.float32)
    degrees = np.asarray(adjacency.sum(axis=1)).ravel()
    scale = diags_array(np.where(degrees > 0, degrees, np.inf) ** -0.5)
    return csr_matrix(scale @ adjacency @ scale, dtype=np.float32)


class _Propagate(torch.autograd.Function):
    """``sum over l = 0..layers of A^l x / (layers + 1)``, in single precision.

    A is symmetric, hence so is this map, and its gradient is the map itself: no transpose is kept or made.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, adjacency: csr_matrix | Tensor, layers: int) -> Tensor:
        ctx.adjacency, ctx.layers = adjacency, layers
        return propagated(x.detach(), adjacency, layers)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return propagated(gradients[0], ctx.adjacency, ctx.layers), None, None


def propagated(x: Tensor, adjacency: csr_matrix | Tensor, layers: int) -> Tensor:
    """The mean of x [n, d] after 0, 1 .. ``layers`` hops; scipy's adjacency for the CPU, torch's for other devices."""
    if isinstance(adjacency, Tensor):
        with torch.autocast(x.device.type, enabled=False):
            return _layer_mean(adjacency, x, layers)
    return torch.from_numpy(_layer_mean(adjacency, x.numpy(), layers))


def _layer_mean(adjacency: Any, x: _Array, layers: int) -> _Array:
    total, layer = 1.0 * x, x
    for _ in range(layers):
        layer = adjacency @ layer
        total += layer
    total /= layers + 1
    return total


def _on_device(adjacency: csr_matrix, device: torch.device) -> csr_matrix | Tensor:
    """The adjacency where it is multiplied: on the CPU scipy's product is 1.6 to 3 times as fast as torch's."""
    if device.type == "cpu":
        return adjacency
    return as_tensor(adjacency).to(device)


def as_tensor(adjacency: csr_matrix) -> Tensor:
    """The same matrix as torch has it: by coordinates, of which no warning says that they are a beta."""
    pairs = adjacency.tocoo()
    indices = torch.from_numpy(np.stack([pairs.row, pairs.col]).astype(np.int64))
    return torch.sparse_coo_tensor(
        indices, torch.from_numpy(pairs.data), pairs.shape, is_coalesced=True, check_invariants=True
    )


class LightGCN(nn.Module):
    """Embeddings [users + items, d] and their propagation.

    Parameters
    ----------
    clicks : csr [users, items]
        Training clicks, ones.
    start : float32 [users + items, d]
        First values of the embeddings.
    layers : int
        How many times the embeddings are propagated; 0 is plain matrix factorisation.
    device : torch.device
        Where they are kept and propagated.
    """

    def __init__(self, clicks: csr_matrix, start: Matrix, layers: int, device: torch.device = _CPU) -> None:
        super().__init__()
        self.n_users = clicks.shape[0]
        self.layers = layers
        self.adjacency = _on_device(normalised_adjacency(clicks), device)
        self.embedding = nn.Parameter(torch.tensor(start, device=device))

    def forward(self) -> tuple[Tensor, Tensor]:
        """The propagated user vectors [users, d] and item vectors [items, d]."""
        vectors: Tensor = _Propagate.apply(self.embedding, self.adjacency, self.layers)
        return vectors[: self.n_users], vectors[self.n_users :]


def unpropagate(vectors: Matrix, adjacency: csr_matrix, layers: int) -> Matrix:
    """The embeddings [n, d] whose propagation gives the vectors [n, d], by conjugate gradients on each column.

    For an even number of layers the propagation is positive definite (its smallest eigenvalue is 1/4 for 2 layers), so
    that a few iterations are enough; for an odd number the result is the nearest that a few iterations reach.
    """
    solution = vectors.copy()
    residual = vectors - _layer_mean(adjacency, solution, layers)
    direction, square = residual.copy(), (residual**2).sum(axis=0)
    target = _TOLERANCE**2 * float((vectors**2).sum())
    for _ in range(_ITERATIONS):
        if square.sum() <= target:
            break
        image = _layer_mean(adjacency, direction, layers)
        step = square / np.maximum((direction * image).sum(axis=0), _TINY)
        solution += step * direction
        residual -= step * image
        previous, square = square, (residual**2).sum(axis=0)
        direction = residual + square / np.maximum(previous, _TINY) * direction
    return np.asarray(solution, dtype=np.float32)
