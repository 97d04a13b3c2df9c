"""The exported graphs answer as the service does, whatever of an item is missing."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnxruntime import InferenceSession

pytest.importorskip("torch", reason="the export needs coldstart-service[train]")

import torch

from adapters import export
from adapters.artifact import Artifact, EncoderName
from adapters.config import AdapterConfig
from adapters.content import Contents
from adapters.export import export_adapter, export_ranker
from adapters.fit import fit
from adapters.serving import TAIL, ServedAdapter
from adapters.space import Scales
from coldstart.backbones.context import Category, Number
from coldstart.backbones.ranker import NeuMFRanker
from coldstart.entities import Attributes
from coldstart.errors import InvalidInput
from coldstart.terms import count_terms
from tests.adapters.toy import DIM, IMAGE_DIM, TEXT_DIM, World, make_world
from tests.adapters.toy_neumf import with_towers

CONFIG = AdapterConfig(neighbours=5, image_dim=8, content_dim=16, term_dim=6, term_share=0.35)
NAME = EncoderName("toy", "toy@1")
ALL: list[Attributes] = [{"colour": "red", "size": 4}, {"colour": "blue", "size": 5}, {"colour": "green"}]
"""Columns that warm items share; the last of a colour that none has."""


def artifact(world: World, contents: Contents | None = None, **scales: float) -> Artifact:
    """An adapter whose every branch says something."""
    if contents is None:
        terms = count_terms([ALL[row % 2] for row in range(len(world.contents))])
        contents = replace(world.contents, terms=terms)
    adapter = fit(world.backbone, contents, config=CONFIG)
    rng = np.random.default_rng(1)
    parameters = {
        name: value if name == "norm" else rng.standard_normal(np.shape(value)).astype(np.float32) * 0.3
        for name, value in adapter.parameters.items()
    }
    fitted = Scales(cold=1.7, cold_content=0.8, strength=0.3, cold_spread=0.6, **scales)
    return Artifact(replace(adapter, parameters=parameters, scales=fitted), NAME, NAME, "0123456789ab")


def run(path: Path, **inputs: Any) -> dict[str, np.ndarray]:
    session = InferenceSession(path)
    return dict(zip([each.name for each in session.get_outputs()], session.run(None, inputs), strict=True))


def items(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[Attributes]]:
    """Embeddings, what is there of them, and columns of n items: all combinations of what may be missing."""
    rng = np.random.default_rng(n)
    has = (np.arange(n)[:, None] >> np.arange(3)) % 2 == 0
    text = rng.standard_normal((n, TEXT_DIM)).astype(np.float32) * has[:, :1]
    image = rng.standard_normal((n, IMAGE_DIM)).astype(np.float32) * has[:, 1:2]
    attributes = [ALL[row % 3] if has[row, 2] else {} for row in range(n)]
    return text, image, has[:, :2], attributes


def padded(attributes: list[Attributes]) -> np.ndarray:
    rows = [count_terms([each]).indices.tolist() for each in attributes]
    longest = max(1, *map(len, rows))
    return np.array([row + [-1] * (longest - len(row)) for row in rows], dtype=np.int64)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> tuple[Artifact, Path]:
    made, path = artifact(make_world()), tmp_path_factory.mktemp("plain") / "adapter.onnx"
    export_adapter(made, path)
    return made, path


@pytest.fixture(scope="module")
def neumf(tmp_path_factory: pytest.TempPathFactory) -> tuple[Artifact, Path]:
    folder = tmp_path_factory.mktemp("neumf")
    made = artifact(with_towers(make_world()), cold_ranker=0.3, warm_ranker=0.2)
    export_adapter(made, folder / "adapter.onnx")
    export_ranker(made, folder / "ranker.onnx")
    return made, folder


@pytest.mark.parametrize("n", [1, 16])
def test_items_are_placed_as_the_service_places_them(plain: tuple[Artifact, Path], n: int) -> None:
    made, path = plain
    served = ServedAdapter(made)
    text, image, present, attributes = items(n)
    expected = served.serve([f"new-{row}" for row in range(n)], text, image, present, attributes)
    found = run(path, text=text, image=image, terms=padded(attributes))
    np.testing.assert_allclose(found["vectors"], expected.vectors, atol=1e-5)
    np.testing.assert_allclose(found["gates"], expected.gates, atol=1e-5)
    terms = count_terms(attributes)
    written = present[:, 0] | (np.diff(terms.indptr) > 0)
    contents = Contents(text, image, np.stack([written, present[:, 1]], axis=1), terms)
    np.testing.assert_allclose(found["adapted"], made.adapter.blocks(contents).collaborative, atol=1e-5)
    assert found["adapted"].shape == (n, DIM)
    assert np.abs(found["vectors"]).max() > 0.1


def test_an_item_of_which_nothing_is_known_is_nowhere(plain: tuple[Artifact, Path]) -> None:
    made, path = plain
    nothing = {"text": np.zeros((1, TEXT_DIM), np.float32), "image": np.zeros((1, IMAGE_DIM), np.float32)}
    found = run(path, **nothing, terms=np.array([[-1]]))
    expected = ServedAdapter(made).serve(["new"], nothing["text"], nothing["image"], np.zeros((1, 2), np.bool_))
    np.testing.assert_allclose(found["vectors"], expected.vectors, atol=1e-6)
    assert not found["gates"].any()


@pytest.mark.parametrize("kept", [("text",), ("image",)])
def test_a_catalogue_of_one_modality_has_the_same_inputs(kept: tuple[str, ...], tmp_path: Path) -> None:
    world = make_world()
    made = artifact(world, world.contents.only(kept))
    export_adapter(made, tmp_path / "adapter.onnx")
    text, image, present, _ = items(8)
    expected = ServedAdapter(made).serve([f"new-{n}" for n in range(8)], text, image, present)
    found = run(tmp_path / "adapter.onnx", text=text, image=image, terms=np.full((8, 1), -1))
    np.testing.assert_allclose(found["vectors"], expected.vectors, atol=1e-5)


def test_a_new_item_carries_its_embedding_to_the_ranker(neumf: tuple[Artifact, Path]) -> None:
    made, folder = neumf
    served = ServedAdapter(made)
    tower = served.tower
    assert tower is not None
    text, image, present, attributes = items(8)
    placed = run(folder / "adapter.onnx", text=text, image=image, terms=padded(attributes))["vectors"]
    expected = served.serve([f"new-{n}" for n in range(8)], text, image, present, attributes).vectors
    np.testing.assert_allclose(placed, expected, atol=1e-5)
    m, users = tower.items.shape[1], np.array([[3], [0], [11]])
    tails = placed[:, -m:].reshape(1, 8, m)
    found = run(folder / "ranker.onnx", users=users, items=np.repeat(tails, 3, axis=0))["logits"]
    for row, user in enumerate(users[:, 0]):
        again = tower.perceptron(tower.users[user : user + 1], expected[:, -m:] * 2.0**10)
        np.testing.assert_allclose(found[row], again, atol=1e-4)
    assert np.ptp(found) > 1


def test_a_ranker_of_contexts_takes_them_for_unknown() -> None:
    rng = np.random.default_rng(3)
    m, hidden, width = 4, 6, 3
    shapes = {
        "mlp.user": (9, m), "mlp.item": (7, m), "context.0": (3, width),
        "mlp.0.weight": (hidden, 2 * m + width + 1), "mlp.0.bias": (hidden,), "mlp.1.weight": (5, hidden),
        "mlp.1.bias": (5,), "fusion.mlp": (5,), "fusion.bias": (1,),
    }  # fmt: skip
    tensors = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    nothing = np.empty((0, 0), np.float32)
    tower = NeuMFRanker(nothing, nothing, tensors, (Category("place", ("gym", "home")), Number("price", 3.0, 2.0)))
    users, items = np.array([[8], [2]]), np.stack([tower.items[:5], tower.items[2:]])
    found = export._Rank(tower)(torch.from_numpy(users), torch.from_numpy(TAIL * items)).numpy()
    for row, user in enumerate(users[:, 0]):
        expected = tower.perceptron(tower.users[user : user + 1], items[row])
        np.testing.assert_allclose(found[row], expected, atol=1e-5)


def test_files_say_what_they_are(neumf: tuple[Artifact, Path]) -> None:
    made, folder = neumf
    card = InferenceSession(folder / "adapter.onnx").get_modelmeta().custom_metadata_map
    assert (card["fingerprint"], card["text_fingerprint"]) == (f"adapter@{made.version}", "toy@1")
    assert float(card["cosine_min"]) == pytest.approx(1, abs=1e-5)
    card = InferenceSession(folder / "ranker.onnx").get_modelmeta().custom_metadata_map
    assert (card["fingerprint"], card["cold_weight"], card["warm_weight"]) == (f"ranker@{made.version}", "0.3", "0.2")


def test_a_ranker_without_a_say_is_not_exported(plain: tuple[Artifact, Path], tmp_path: Path) -> None:
    assert export_ranker(plain[0], tmp_path / "ranker.onnx") is None
    assert list(tmp_path.iterdir()) == []


def test_what_one_file_cannot_hold_is_refused(
    plain: tuple[Artifact, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "MOST_BYTES", 1000)
    with pytest.raises(InvalidInput, match="one ONNX file holds 1000"):
        export_adapter(plain[0], tmp_path / "adapter.onnx")


def test_a_file_that_answers_otherwise_is_refused(
    plain: tuple[Artifact, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = plain[0]
    monkeypatch.setattr(export, "_Place", lambda adapter, table: Turned(adapter, table))
    with pytest.raises(InvalidInput, match=r"adapter@0123456789ab: .* answers otherwise"):
        export_adapter(made, tmp_path / "adapter.onnx")
    assert list(tmp_path.iterdir()) == []


class Turned(export._Place):
    """A placement that is wrong."""

    def forward(self, text: Any, image: Any, terms: Any) -> tuple[Any, ...]:
        vectors, *others = super().forward(text, image, terms)
        return (vectors.flip(1), *others)
