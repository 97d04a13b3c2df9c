"""``coldstart export onnx``: both encoders as files that say what they are, and how near torch."""

import json
from pathlib import Path

import numpy as np
import pytest
from onnxruntime import InferenceSession
from PIL import Image
from typer.testing import CliRunner

pytest.importorskip("torch", reason="the export needs coldstart-service[train]")

from adapters.serving import ServedAdapter
from api.cli import app
from coldstart.encoders import DEFAULT_IMAGE_MODEL, DEFAULT_TEXT_MODEL
from coldstart.encoders.onnx import OnnxImageEncoder, OnnxTextEncoder
from tests.coldstart.encoders.toys import make_cnn_file, make_text_model
from tests.toyshop import Shop

Run = CliRunner().invoke


def test_named_models_are_written_to_a_folder_with_how_near_torch_they_are(tmp_path: Path) -> None:
    text, image = str(make_text_model(tmp_path)), f"timm:test_resnet@{make_cnn_file(tmp_path)}"
    asked = ["export", "onnx", "--text-model", text, "--image-model", image, "--cache-dir", str(tmp_path / "cache")]
    done = Run(app, [*asked, "--precision", "int8", "--out", str(tmp_path / "out"), "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout.splitlines()[-1])
    for kind, model, dim in (("text", text, 16), ("image", image, told["image"]["dim"])):
        facts = told[kind]
        assert (facts["model"], facts["precision"], facts["dim"]) == (model, "int8", dim)
        assert facts["file"] == str(tmp_path / "out" / f"{kind}.onnx")
        assert facts["bytes"] == Path(facts["file"]).stat().st_size
        assert 0.98 <= facts["cosine_mean"] <= 1.0001 and facts["cosine_min"] <= facts["cosine_mean"]
        assert facts["fingerprint"].endswith("+int8.2")
    assert OnnxTextEncoder(tmp_path / "out" / "text.onnx").encode(["red shoe"]).shape == (1, 16)
    picture = Image.new("RGB", (9, 9))
    assert OnnxImageEncoder(tmp_path / "out" / "image.onnx").encode([picture]).shape == (1, told["image"]["dim"])


def test_by_default_those_of_the_adapter_go_where_the_service_finds_them(
    shop: Shop, cache: Path, tmp_path: Path
) -> None:
    for place in (
        ["--adapter", str(shop.artifact)],
        ["--data-dir", str(tmp_path)],
    ):  # where there is none, the defaults
        asked = ["export", "onnx", *place, "--cache-dir", str(cache)]
        done = Run(app, [*asked, "--precision", "fp32"])
        assert done.exit_code == 0, done.output
        assert DEFAULT_TEXT_MODEL in done.stdout and DEFAULT_IMAGE_MODEL in done.stdout and str(cache) in done.stdout
        assert "adapter.onnx" not in done.stdout  # the service reads its own format


def test_the_adapter_goes_to_the_folder_with_them(shop: Shop, cache: Path, tmp_path: Path) -> None:
    asked = ["export", "onnx", "--adapter", str(shop.artifact), "--cache-dir", str(cache), "--precision", "fp32"]
    done = Run(app, [*asked, "--out", str(tmp_path), "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout.splitlines()[-1])
    assert set(told) == {"text", "image", "adapter"}  # and no ranker, as the shop's backbone is no NeuMF
    facts, served = told["adapter"], ServedAdapter.load(shop.artifact)
    assert (facts["model"], facts["fingerprint"]) == (served.version, f"adapter@{served.version}")
    assert facts["cosine_min"] == pytest.approx(1, abs=1e-4)
    text, image, present = served.remembered(["tea-0", "tool-3"])
    placed = InferenceSession(facts["file"]).run(["vectors"], {"text": text, "image": image, "terms": [[-1], [-1]]})[0]
    np.testing.assert_allclose(placed, served.serve(["new-0", "new-1"], text, image, present).vectors, atol=1e-5)


def test_what_cannot_be_exported_is_one_line_with_the_reason(tmp_path: Path, cache: Path) -> None:
    asked = ["export", "onnx", "--image-model", "timm:no_such_model", "--cache-dir", str(cache), "--precision", "fp32"]
    done = Run(app, asked)
    assert done.exit_code == 2
    assert "timm does not know it" in done.stderr
