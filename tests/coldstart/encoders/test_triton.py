"""Model repositories: as Triton's own schema has them, and whole or not at all. In test_kserve Triton serves one."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import onnxruntime
import pytest
from google.protobuf import text_format

pytest.importorskip("torch", reason="the export needs coldstart-service[train]")

from benchmarks.processes import NotInstalled
from benchmarks.triton import packages
from coldstart.encoders import DEFAULT_IMAGE_MODEL, DEFAULT_TEXT_MODEL
from coldstart.encoders.kserve import version_of
from coldstart.encoders.kserve.messages import MESSAGES, message
from coldstart.encoders.onnx import OnnxImageEncoder, OnnxTextEncoder, exported
from coldstart.encoders.triton import Device, Serving, write_model
from coldstart.errors import Conflict, InvalidInput


@pytest.fixture(scope="module")
def text_file(cache: Path) -> Path:
    return exported("text", DEFAULT_TEXT_MODEL, cache)


@pytest.fixture(scope="module")
def image_file(cache: Path) -> Path:
    return exported("image", DEFAULT_IMAGE_MODEL, cache)


@pytest.fixture(scope="module")
def schema() -> Iterator[Any]:
    """Triton's protobuf modules, without the client around them, which wants packages that are not ours."""
    try:
        folder = packages() / "tritonclient" / "grpc"
    except NotInstalled as missing:
        pytest.skip(str(missing))
    names = ["model_config_pb2", "service_pb2"]
    with pytest.MonkeyPatch.context() as patch:
        for name, path in (("tritonclient", folder.parent), ("tritonclient.grpc", folder)):
            package = ModuleType(name)
            package.__path__ = [str(path)]
            patch.setitem(sys.modules, name, package)
        loaded = {name: importlib.import_module(f"tritonclient.grpc.{name}") for name in names}
        yield type("Schema", (), loaded)
        for name in names:
            del sys.modules[f"tritonclient.grpc.{name}"]


def config_of(schema: Any, repository: Path, name: str) -> Any:
    return text_format.Parse((repository / name / "config.pbtxt").read_text(), schema.model_config_pb2.ModelConfig())


def test_a_text_encoder_is_a_model_with_free_axes(schema: Any, text_file: Path, tmp_path: Path) -> None:
    model = write_model(tmp_path / "models", "texts", text_file, Serving(max_batch=8, queue_delay_us=250, instances=2))
    fingerprint = OnnxTextEncoder(text_file).fingerprint
    config = config_of(schema, tmp_path / "models", "texts")
    assert (config.name, config.backend, config.platform) == ("texts", "onnxruntime", "onnxruntime_onnx")
    assert config.max_batch_size == 8
    assert config.dynamic_batching.max_queue_delay_microseconds == 250
    assert [(group.kind, group.count) for group in config.instance_group] == [(0, 2)]  # KIND_AUTO
    inputs = {each.name: (each.data_type, list(each.dims)) for each in config.input}
    int64 = schema.model_config_pb2.TYPE_INT64
    assert inputs == {name: (int64, [-1]) for name in ("input_ids", "attention_mask", "token_type_ids")}
    fp32 = schema.model_config_pb2.TYPE_FP32
    assert [(each.name, each.data_type, list(each.dims)) for each in config.output] == [("vectors", fp32, [384])]
    assert config.parameters["fingerprint"].string_value == fingerprint
    assert set(config.model_warmup[0].inputs) == set(inputs)
    assert model.version == version_of(fingerprint)
    assert (tmp_path / "models" / "texts" / model.version / "model.onnx").read_bytes() == text_file.read_bytes()


@pytest.mark.parametrize(("device", "kind"), [("cpu", "KIND_CPU"), ("gpu", "KIND_GPU"), ("auto", "KIND_AUTO")])
def test_a_picture_encoder_keeps_its_shape(
    schema: Any, image_file: Path, tmp_path: Path, device: Device, kind: str
) -> None:
    write_model(tmp_path, "pictures", image_file, Serving(device=device))
    config = config_of(schema, tmp_path, "pictures")
    side = onnxruntime.InferenceSession(image_file).get_inputs()[0].shape[-1]
    assert [list(each.dims) for each in config.input] == [[3, side, side]]
    assert list(config.output[0].dims) == [OnnxImageEncoder(image_file).dim]
    kinds = schema.model_config_pb2.ModelInstanceGroup.Kind
    assert [kinds.Name(group.kind) for group in config.instance_group] == [kind]


def test_another_network_is_another_version(text_file: Path, image_file: Path, tmp_path: Path) -> None:
    versions = [write_model(tmp_path, file.stem, file, Serving()).version for file in (text_file, image_file)]
    assert len(set(versions)) == 2
    assert all(0 < int(version) < 2**63 for version in versions)  # Triton's are int64


def test_what_is_there_is_not_written_over(text_file: Path, tmp_path: Path) -> None:
    write_model(tmp_path, "texts", text_file, Serving())
    before = (tmp_path / "texts" / "config.pbtxt").read_bytes()
    with pytest.raises(Conflict, match="there already"):
        write_model(tmp_path, "texts", text_file, Serving(max_batch=1))
    assert (tmp_path / "texts" / "config.pbtxt").read_bytes() == before


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "two words", 'a"b'])
def test_a_name_that_is_no_folders_is_refused(text_file: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidInput, match="cannot be a model's"):
        write_model(tmp_path / "models", name, text_file, Serving())
    assert not (tmp_path / "models").exists()


def test_a_write_that_fails_leaves_nothing(text_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("coldstart.encoders.triton.write_file", full)
    with pytest.raises(OSError, match="No space"):
        write_model(tmp_path, "texts", text_file, Serving())
    assert list(tmp_path.iterdir()) == []


def test_others_may_read_the_repository(text_file: Path, tmp_path: Path) -> None:
    write_model(tmp_path, "texts", text_file, Serving())
    for path in (tmp_path / "texts").rglob("*"):
        assert path.stat().st_mode & 0o004, path
    assert (tmp_path / "texts").stat().st_mode & 0o005 == 0o005


@pytest.mark.parametrize("name", MESSAGES)
def test_our_messages_have_the_protocols_fields(schema: Any, name: str) -> None:
    theirs = {**vars(schema.service_pb2), "ModelConfig": schema.model_config_pb2.ModelConfig}
    outer = theirs.get(name) or schema.service_pb2.ModelInferRequest.InferInputTensor
    for field in message(name).DESCRIPTOR.fields:
        standard = outer.DESCRIPTOR.fields_by_name[field.name]
        assert (field.number, field.is_repeated) == (standard.number, standard.is_repeated)
        small = standard.type == standard.TYPE_INT32  # a varint, as ours is
        assert field.type == (standard.TYPE_INT64 if small else standard.type)
