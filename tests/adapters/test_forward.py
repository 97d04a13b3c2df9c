import numpy as np
import pytest
import torch

from adapters import forward
from adapters.config import AdapterConfig
from adapters.fit import initial_parameters
from tests.adapters.toy import DIM, IMAGE_DIM, TEXT_DIM, make_world


@pytest.fixture
def parameters() -> dict[str, np.ndarray]:
    """Random everywhere, so that no branch is silent."""
    start = initial_parameters(
        make_world().backbone, text_dim=TEXT_DIM, image_dim=IMAGE_DIM, config=AdapterConfig(), seed=0
    )
    rng = np.random.default_rng(1)
    return {name: rng.standard_normal(np.shape(value)).astype(np.float32) * 0.3 for name, value in start.items()}


def inputs(n: int = 5, k: int = 4) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(2)
    present = np.array([[True, True], [True, False], [False, True], [False, False], [True, True]])[:n]
    text = rng.standard_normal((n, TEXT_DIM)).astype(np.float32) * present[:, :1]
    image = rng.standard_normal((n, IMAGE_DIM)).astype(np.float32) * present[:, 1:]
    similarity = rng.random((n, k, 2)).astype(np.float32)
    return text, image, present, similarity, rng.standard_normal((n, k, DIM)).astype(np.float32)


def test_numpy_serves_what_torch_trains(parameters: dict[str, np.ndarray]) -> None:
    served, gate = forward.adapt(parameters, *inputs(), temperature=0.1)
    tensors = {name: torch.from_numpy(value) for name, value in parameters.items()}
    trained, trained_gate = forward.adapt(tensors, *map(torch.from_numpy, inputs()), temperature=0.1)
    np.testing.assert_allclose(served, trained.numpy(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(gate, trained_gate.numpy(), rtol=1e-5, atol=1e-6)


def test_gates_share_one_among_what_is_present(parameters: dict[str, np.ndarray]) -> None:
    text, image, present, *_ = inputs()
    gate = forward.gates(parameters, text, image, present)
    np.testing.assert_allclose(gate.sum(axis=1), present.any(axis=1), atol=1e-6)
    assert (gate[~present] == 0).all()


def test_each_gate_looks_at_both_modalities(parameters: dict[str, np.ndarray]) -> None:
    text, image, present, *_ = inputs()
    both = np.flatnonzero(present.all(axis=1))
    before = forward.gates(parameters, text, image, present)[both]
    assert not np.allclose(before, forward.gates(parameters, text + 1, image, present)[both])
    assert not np.allclose(before, forward.gates(parameters, text, image + 1, present)[both])


def test_neighbours_weigh_by_the_gated_similarity() -> None:
    similarity = np.array([[[1.0, 0.0], [0.0, 1.0]]], dtype=np.float32)
    vectors = np.array([[[1.0, 0.0], [0.0, 1.0]]], dtype=np.float32)
    only_text = np.array([[1.0, 0.0]], dtype=np.float32)
    mean = forward.neighbour_mean({}, only_text, similarity, vectors, 0.05)
    np.testing.assert_allclose(mean, [[1.0, 0.0]], atol=1e-6)
