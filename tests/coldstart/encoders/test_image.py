"""Picture models by name: from a package, from torchvision or timm, with weights from a file or a hub."""

import pickle
import urllib.error
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("timm", reason="needs coldstart-service[train]")

import timm
import torch
import torchvision
from safetensors.torch import load_file

from coldstart.encoders.image import CnnEncoder
from coldstart.encoders.weights import parse_cnn
from coldstart.errors import InvalidInput, Unavailable
from tests.coldstart.encoders.toys import Canary, make_cnn_file

RED, BLUE = Image.new("RGB", (50, 70), "red"), Image.new("RGB", (50, 70), "blue")


def test_timm_with_a_file(tmp_path: Path) -> None:
    path = make_cnn_file(tmp_path)
    encoder = CnnEncoder(f"timm:test_resnet@{path}")
    vectors = encoder.encode([RED, BLUE])
    assert vectors.shape == (2, encoder.dim)
    headless = timm.create_model("test_resnet", num_classes=0).eval()
    assert encoder.dim == headless.num_features
    assert not np.allclose(vectors[0], vectors[1])
    assert encoder.fingerprint.startswith("timm:test_resnet@sha256:")
    assert str(tmp_path) not in encoder.fingerprint


def test_torchvision_with_a_file_loses_its_classifier(tmp_path: Path) -> None:
    model = torchvision.models.mobilenet_v3_small(weights=None).eval()
    torch.save(model.state_dict(), tmp_path / "weights.pth")
    encoder = CnnEncoder(f"torchvision:mobilenet_v3_small@{tmp_path / 'weights.pth'}")
    assert encoder.dim == 1024  # what the last linear layer reads, instead of its 1000 classes
    with torch.inference_mode():
        classes = model(torch.from_numpy(encoder.pixels.array([RED]))).numpy()
    last = model.classifier[3]
    assert isinstance(last, torch.nn.Linear)
    expected = encoder.encode([RED]) @ last.weight.detach().numpy().T + last.bias.detach().numpy()
    np.testing.assert_allclose(classes, expected, atol=1e-4)


def test_the_same_weights_in_another_file_are_the_same_encoder(tmp_path: Path) -> None:
    path = make_cnn_file(tmp_path)
    torch.save(load_file(path), tmp_path / "copy.pth")
    first, copy, other = (
        CnnEncoder(f"timm:test_resnet@{file}").fingerprint
        for file in (path, tmp_path / "copy.pth", make_cnn_file(tmp_path, seed=1))
    )
    assert first == copy
    assert first != other


@pytest.mark.parametrize(
    "name",
    [
        "efficientnet-lite0",
        "keras:resnet50",
        "timm:",
        "package:nothing",
        "timm:no_such_model",
        "timm:test_resnet@WEIGHTS",
        "torchvision:no_such_model",
        "torchvision:resnet18@NO_SUCH_WEIGHTS",
    ],
)
def test_names_that_mean_nothing(name: str) -> None:
    with pytest.raises(InvalidInput):
        CnnEncoder(name)


def test_a_model_without_a_linear_classifier_is_refused(tmp_path: Path) -> None:
    torch.save(torchvision.models.squeezenet1_1(weights=None).state_dict(), tmp_path / "weights.pth")
    with pytest.raises(InvalidInput, match="no linear classifier"):
        CnnEncoder(f"torchvision:squeezenet1_1@{tmp_path / 'weights.pth'}")


def test_a_file_that_does_not_fit_is_named(tmp_path: Path) -> None:
    path = make_cnn_file(tmp_path, name="test_vit")
    (tmp_path / "text.safetensors").write_text("not weights")
    for file in (path, tmp_path / "text.safetensors", tmp_path / "absent.safetensors"):
        with pytest.raises(InvalidInput, match=file.name):
            CnnEncoder(f"timm:test_resnet@{file}")


def test_pickled_code_is_not_executed(tmp_path: Path) -> None:
    (tmp_path / "weights.pth").write_bytes(pickle.dumps(Canary(tmp_path / "executed")))
    torch.save({"fc.weight": Canary(tmp_path / "executed")}, tmp_path / "zipped.pth")
    for file in ("weights.pth", "zipped.pth"):
        with pytest.raises(InvalidInput, match="cannot be loaded"):
            CnnEncoder(f"timm:test_resnet@{tmp_path / file}")
    assert not (tmp_path / "executed").exists()


def test_without_a_network_the_error_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise urllib.error.URLError("no route")

    monkeypatch.setattr("torch.hub.urlopen", unreachable)
    monkeypatch.setattr("torch.hub._hub_dir", str(tmp_path))
    with pytest.raises(Unavailable) as caught:
        CnnEncoder("torchvision:resnet18@IMAGENET1K_V1")
    for part in (str(tmp_path), "https://download.pytorch.org/models/resnet18", "@/path/to/file.safetensors"):
        assert part in str(caught.value)


def test_names_are_taken_apart() -> None:
    assert str(parse_cnn("timm:resnet50.a1_in1k@/weights/a.safetensors")) == "timm:resnet50.a1_in1k"
    assert parse_cnn("timm:resnet50.a1_in1k@/weights/a@b.safetensors").file == Path("/weights/a@b.safetensors")
    assert parse_cnn("torchvision:resnet50@IMAGENET1K_V2").file is None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_the_gpu_agrees_with_the_cpu(tmp_path: Path) -> None:
    encoder = CnnEncoder("package:efficientnet-lite0")
    on_gpu = encoder.encode([RED, BLUE])
    with torch.inference_mode():
        on_cpu = encoder.module.cpu()(torch.from_numpy(encoder.pixels.array([RED, BLUE]))).numpy()
    lengths = np.linalg.norm(on_gpu, axis=1) * np.linalg.norm(on_cpu, axis=1)
    assert ((on_gpu * on_cpu).sum(axis=1) / lengths > 0.999).all()
