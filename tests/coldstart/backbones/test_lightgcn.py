import re
import warnings
from typing import Any, Literal

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from coldstart.backbones import losses
from coldstart.backbones.config import LightGCNConfig
from coldstart.backbones.lightgcn import LightGCN, as_tensor, normalised_adjacency, propagated, unpropagate
from coldstart.backbones.lightgcn_training import fit_lightgcn
from coldstart.backbones.validation import ranking_score
from coldstart.errors import ColdstartError
from coldstart.vectors import Matrix
from tests.coldstart.backbones.communities import communities

CLICKS = csr_matrix(np.array([[1, 1, 0, 0], [0, 1, 1, 0], [1, 1, 1, 0]], dtype=np.float32))  # nobody met item 3
N = sum(CLICKS.shape)


def dense(layers: int) -> NDArray[np.float64]:
    """The propagation as one dense matrix: the mean of the powers of D^-1/2 A D^-1/2."""
    adjacency = np.zeros((N, N))
    adjacency[:3, 3:] = CLICKS.toarray()
    adjacency += adjacency.T
    degrees = adjacency.sum(axis=0)
    scale = np.diag([0.0 if degree == 0 else degree**-0.5 for degree in degrees])
    step = scale @ adjacency @ scale
    powers = [np.linalg.matrix_power(step, layer) for layer in range(layers + 1)]
    return np.asarray(np.mean(powers, axis=0))


def start(seed: int = 0) -> Matrix:
    return np.random.default_rng(seed).normal(size=(N, 5)).astype(np.float32)


@pytest.mark.parametrize("layers", [0, 1, 2, 3])
def test_propagation_is_the_papers_formula(layers: int) -> None:
    users, items = LightGCN(CLICKS, start(), layers)()
    wanted = dense(layers) @ start()
    np.testing.assert_allclose(torch.cat([users, items]).detach().numpy(), wanted, atol=1e-6)


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_its_gradient_is_that_of_dense_autograd(layers: int) -> None:
    model = LightGCN(CLICKS, start(), layers)
    weights = torch.from_numpy(start(1))
    own = torch.cat(model())
    torch.autograd.backward((own.tanh() * weights).sum())
    embedding = torch.from_numpy(start()).requires_grad_()
    other = torch.from_numpy(dense(layers).astype(np.float32)) @ embedding
    torch.autograd.backward((other.tanh() * weights).sum())
    assert model.embedding.grad is not None and embedding.grad is not None
    np.testing.assert_allclose(model.embedding.grad.numpy(), embedding.grad.numpy(), atol=1e-5)


def test_an_item_without_clicks_keeps_its_share_of_its_own_embedding() -> None:
    _, items = LightGCN(CLICKS, start(), 2)()
    np.testing.assert_allclose(items[3].detach().numpy(), start()[6] / 3, rtol=1e-6)


@pytest.mark.parametrize("layers", [0, 2, 4])
def test_unpropagation_inverts_the_propagation(layers: int) -> None:
    adjacency = normalised_adjacency(CLICKS)
    users, items = LightGCN(CLICKS, unpropagate(start(), adjacency, layers), layers)()
    np.testing.assert_allclose(torch.cat([users, items]).detach().numpy(), start(), atol=1e-3)


def geometric(start: Matrix, layers: int) -> Any:
    """torch-geometric's LightGCN with these embeddings [nodes, d]."""
    with warnings.catch_warnings():  # its import compiles with torch.jit, which torch has deprecated
        warnings.simplefilter("ignore", FutureWarning)
        from torch_geometric.nn.models import LightGCN as Geometric
    model = Geometric(*start.shape, num_layers=layers)
    model.embedding.weight.data.copy_(torch.from_numpy(start))
    return model


@pytest.mark.parametrize("layers", [0, 1, 2, 3])
def test_vectors_and_bpr_gradient_are_those_of_torch_geometric(layers: int) -> None:
    generator = np.random.default_rng(layers)
    met = generator.random((15, 11)) < 0.3
    met[4] = False  # a user who met nothing
    clicks = csr_matrix(met.astype(np.float32))
    start = generator.normal(size=(15 + 11, 6)).astype(np.float32)
    users, items = (torch.from_numpy(rows) for rows in np.nonzero(met))
    others = torch.from_numpy(generator.integers(0, 11, len(users)))

    own = LightGCN(clicks, start, layers)
    u, v = own()
    torch.autograd.backward(losses.bpr((u[users] * v[items]).sum(-1), (u[users] * v[others]).sum(-1)))

    theirs = geometric(start, layers)
    there = torch.stack([users, 15 + items])
    edges = torch.cat([there, there.flip(0)], dim=1)
    wanted = theirs.get_embedding(edges)
    scores, other_scores = theirs(edges, there), theirs(edges, torch.stack([users, 15 + others]))
    torch.autograd.backward(theirs.recommendation_loss(scores, other_scores, lambda_reg=0.0))

    torch.testing.assert_close(torch.cat([u, v]), wanted, rtol=1e-5, atol=1e-6)
    assert own.embedding.grad is not None and own.embedding.grad.abs().max() > 1e-3
    torch.testing.assert_close(own.embedding.grad, theirs.embedding.weight.grad, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("loss", ["multinomial", "sampled_softmax", "bpr"])
def test_every_loss_learns_from_random_values(loss: Literal["multinomial", "sampled_softmax", "bpr"]) -> None:
    users, items, train, validation = communities()
    shape = len(users), len(items)
    config = LightGCNConfig(
        d=8, start="random", loss=loss, temperature=0.2, negatives=16, batch=64, learning_rate=0.03, epochs=20,
        patience=20,
    )  # fmt: skip
    fitted = fit_lightgcn(train.matrix(*shape), validation.matrix(*shape), config, seed=0)
    assert fitted.record["scores"][0] < 0.75  # chance is .69: a list of 20 out of 25 finds nearly everything somewhere
    reached = ranking_score(fitted.user_vectors, fitted.item_vectors, train.matrix(*shape), validation.matrix(*shape))
    assert reached == pytest.approx(max(fitted.record["scores"]))
    assert reached > 0.85  # the two unseen items of a user's community, in either order, give .9


def test_the_als_start_is_never_made_worse() -> None:
    users, items, train, validation = communities()
    shape = len(users), len(items)
    config = LightGCNConfig(d=4, epochs=3, learning_rate=10.0)
    fitted = fit_lightgcn(train.matrix(*shape), validation.matrix(*shape), config, seed=0)
    assert fitted.record["best_epoch"] == 0 and len(fitted.record["scores"]) == 3
    reached = ranking_score(fitted.user_vectors, fitted.item_vectors, train.matrix(*shape), validation.matrix(*shape))
    assert reached == fitted.record["scores"][0]


@pytest.mark.parametrize("loss", ["multinomial", "sampled_softmax", "bpr"])
@pytest.mark.parametrize("batch", [16, 10_000])
def test_a_training_that_diverges_stops_with_step_and_loss(
    loss: Literal["multinomial", "sampled_softmax", "bpr"], batch: int
) -> None:
    users, items, train, validation = communities()
    shape = len(users), len(items)
    config = LightGCNConfig(d=4, loss=loss, batch=batch, learning_rate=1e30)
    with pytest.raises(ColdstartError, match=r"LightGCN: the l.* epoch 1, step \d+") as caught:
        fit_lightgcn(train.matrix(*shape), validation.matrix(*shape), config, seed=0)
    # cosines stay finite whatever the weights, which are looked at after an epoch
    told = (
        "the loss is nan"
        if batch == 16 and loss != "sampled_softmax"
        else r"largest weight is \S+ after .* the loss is \d"
    )
    assert re.search(told, str(caught.value))


def test_a_user_without_clicks_is_no_batch_of_its_own() -> None:
    clicks = csr_matrix(np.vstack([CLICKS.toarray(), np.zeros((1, 4), np.float32)]))
    config = LightGCNConfig(d=3, start="random", batch=1, epochs=1)
    assert np.isfinite(fit_lightgcn(clicks, None, config, seed=0).user_vectors).all()


def test_half_precision_learns_nearly_the_same() -> None:
    users, items, train, validation = communities()
    clicks, truth = (part.matrix(len(users), len(items)) for part in (train, validation))
    config = LightGCNConfig(d=8, start="random", batch=16, learning_rate=0.03, epochs=3)
    single = fit_lightgcn(clicks, truth, config, seed=0)
    with torch.autocast("cpu", torch.bfloat16):
        half = fit_lightgcn(clicks, truth, config, seed=0)
    assert not np.array_equal(half.item_vectors, single.item_vectors)
    assert half.item_vectors.dtype == np.float32
    np.testing.assert_allclose(half.item_vectors, single.item_vectors, atol=0.05)


def test_torchs_propagation_is_scipys() -> None:
    adjacency = normalised_adjacency(CLICKS)
    x = torch.from_numpy(start())
    torch.testing.assert_close(propagated(x, as_tensor(adjacency), 2), propagated(x, adjacency, 2))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("loss", ["multinomial", "sampled_softmax", "bpr"])
def test_a_gpu_learns_nearly_the_same(loss: Literal["multinomial", "sampled_softmax", "bpr"]) -> None:
    users, items, train, validation = communities()
    clicks, truth = (part.matrix(len(users), len(items)) for part in (train, validation))
    config = LightGCNConfig(d=8, start="random", loss=loss, batch=64, learning_rate=0.03, epochs=3)
    cpu, gpu = (fit_lightgcn(clicks, truth, config, seed=0, device=device) for device in ("cpu", "cuda"))
    np.testing.assert_allclose(gpu.item_vectors, cpu.item_vectors, atol=0.05)
