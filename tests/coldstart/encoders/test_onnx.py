"""Exports: made once, whole or not at all, read without torch; what cannot be exported still runs on torch."""

import logging
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch", reason="the export needs coldstart-service[train]")
pytest.importorskip("onnxruntime", reason="needs coldstart-service[train]")

from coldstart.encoders import onnx, open_image_encoder, open_text_encoder
from coldstart.encoders.image import CnnEncoder
from coldstart.encoders.onnx import OnnxImageEncoder, OnnxTextEncoder, export_path, exported
from coldstart.encoders.precision import LEAST_COSINE, Precision, compatible, precision_of
from coldstart.encoders.reducing import reduce
from coldstart.encoders.text import SentenceEncoder
from coldstart.errors import InvalidInput, MissingExtra, Unavailable
from tests.coldstart.encoders.toys import make_cnn_file, make_text_model

TEXTS = ["red shoe", "", "blue film boot " * 9, "a [SEP] boot"]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("onnx") / "made" / "on" / "demand"


@pytest.fixture(scope="module")
def cnn(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"timm:test_resnet@{make_cnn_file(tmp_path_factory.mktemp('cnn'))}"


def test_a_folder_with_a_prompt_and_another_pooling(tmp_path: Path, cache: Path) -> None:
    folder = make_text_model(tmp_path, pooling="cls", prompt="query : ")
    torch_encoder, onnx_encoder = (
        SentenceEncoder(str(folder)),
        open_text_encoder(str(folder), precision="fp32", cache=cache),
    )
    assert isinstance(onnx_encoder, OnnxTextEncoder)
    assert onnx_encoder.fingerprint == torch_encoder.fingerprint
    np.testing.assert_allclose(onnx_encoder.encode(TEXTS), torch_encoder.encode(TEXTS), atol=1e-4)
    bare = SentenceEncoder(str(make_text_model(tmp_path / "bare", pooling="cls")))
    assert not np.allclose(onnx_encoder.encode(TEXTS), bare.encode(TEXTS), atol=1e-3)


def test_an_export_is_made_once_and_leaves_nothing_else(cnn: str, cache: Path) -> None:
    first = exported("image", cnn, cache)
    made = first.stat().st_mtime_ns
    assert exported("image", cnn, cache) == first
    assert first.stat().st_mtime_ns == made
    assert [path for path in cache.iterdir() if path.name.startswith(".")] == []
    torch_encoder, onnx_encoder = CnnEncoder(cnn), OnnxImageEncoder(first)
    assert onnx_encoder.fingerprint == torch_encoder.fingerprint
    pictures = [Image.new("RGB", (40, 30), colour) for colour in ("red", "green", "blue", "white", "black")]
    np.testing.assert_allclose(onnx_encoder.encode(pictures), torch_encoder.encode(pictures), atol=1e-4)


def test_of_many_threads_that_need_an_export_at_once_one_makes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads, arrived = 32, threading.Semaphore(0)
    made: list[str] = []

    def path_of(*_: object) -> Path:
        arrived.release()
        return tmp_path / "made.onnx"

    def export(arguments: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        assert all(arrived.acquire(timeout=30) for _ in range(threads - len(made)))  # everybody found it missing
        made.append(arguments[-1])
        Path(arguments[-1]).touch()
        return subprocess.CompletedProcess(arguments, 0, "", "")

    monkeypatch.setattr(onnx, "export_path", path_of)
    monkeypatch.setattr("subprocess.run", export)
    with ThreadPoolExecutor(threads) as pool:
        paths = [asked.result() for asked in [pool.submit(exported, "image", "any", tmp_path) for _ in range(threads)]]
    assert set(paths) == {tmp_path / "made.onnx"} and len(made) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["made.onnx"]


def test_of_many_processes_that_need_an_export_at_once_one_makes_it(tmp_path: Path) -> None:
    script = """
import subprocess, sys, time
from pathlib import Path
from coldstart.encoders import onnx
folder, me = Path(sys.argv[1]), sys.argv[2]
def path_of(*_):
    (folder / f"arrived-{me}").touch()
    return folder / "cache" / "made.onnx"
def export(arguments, **_):
    deadline = time.monotonic() + 60
    while len(list(folder.glob("arrived-*"))) < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    (folder / f"made-by-{me}").touch()
    Path(arguments[-1]).touch()
    return subprocess.CompletedProcess(arguments, 0, "", "")
onnx.export_path, subprocess.run = path_of, export
onnx.exported("image", "any", folder / "cache")
"""
    running = [subprocess.Popen([sys.executable, "-c", script, str(tmp_path), str(n)]) for n in range(4)]
    assert [process.wait(60) for process in running] == [0] * 4
    assert len(list(tmp_path.glob("arrived-*"))) == 4 and len(list(tmp_path.glob("made-by-*"))) == 1


def test_a_process_that_only_serves_never_imports_torch(cnn: str, cache: Path) -> None:
    exported("image", cnn, cache)
    script = """
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from PIL import Image
from coldstart.encoders import open_image_encoder
encoder = open_image_encoder(sys.argv[1], cache=Path(sys.argv[2]))
assert encoder.encode([Image.new("RGB", (9, 9))]).shape == (1, encoder.dim)
import coldstart.encoders.media, coldstart.encoders.fetch
print(sorted({"torch", "transformers", "sentence_transformers", "timm", "torchvision"} & set(sys.modules)))
"""
    run = subprocess.run([sys.executable, "-c", script, cnn, str(cache)], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_other_weights_under_the_same_name_are_another_export(tmp_path: Path, cache: Path) -> None:
    file = make_cnn_file(tmp_path)
    name = f"timm:test_resnet@{file}"
    before = export_path("image", name, cache)
    assert export_path("image", name, cache) == before
    make_cnn_file(tmp_path, seed=1).replace(file)
    assert export_path("image", name, cache) != before


def test_a_damaged_export_says_which_file_to_delete(cnn: str, cache: Path, tmp_path: Path) -> None:
    whole = exported("image", cnn, cache).read_bytes()
    damaged = tmp_path / "image.onnx"
    damaged.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(Unavailable, match=r"image\.onnx.*Delete the file"):
        OnnxImageEncoder(damaged)


def test_what_cannot_be_exported_runs_on_torch_and_says_so(
    tmp_path: Path, cnn: str, caplog: pytest.LogCaptureFixture
) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    with caplog.at_level(logging.WARNING, logger="coldstart.encoders"):
        assert isinstance(open_image_encoder(cnn, cache=blocked / "cache"), CnnEncoder)
    assert "does not run on ONNX Runtime in int8" in caplog.text and "in fp32" in caplog.text
    with pytest.raises(Unavailable, match="cache folder"):
        open_image_encoder(cnn, runtime="onnx", cache=blocked / "cache")


def test_the_reason_comes_back_from_the_exporting_process(cache: Path) -> None:
    with pytest.raises(Unavailable, match="timm does not know it"):
        open_image_encoder("timm:no_such_model", runtime="onnx", precision="fp32", cache=cache)
    with pytest.raises(InvalidInput, match="timm does not know it"):
        open_image_encoder("timm:no_such_model", precision="fp32", cache=cache)


def test_what_differs_too_much_is_refused_once_and_runs_in_fp32(
    tmp_path: Path, cnn: str, cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = export_path("image", cnn, tmp_path, "int8")
    monkeypatch.setitem(LEAST_COSINE, "int8", 1.1)
    with pytest.raises(InvalidInput, match=r"int8 differ from those in fp32: mean cosine .*, which should be 1\.1 at"):
        reduce("image", exported("image", cnn, cache), "int8", path)
    assert list(tmp_path.iterdir()) == [path.with_suffix(".refused")]
    asked: list[str] = []
    run = subprocess.run

    def watched(arguments: list[str], **options: Any) -> Any:
        asked.append(arguments[2])
        return run(arguments, **options)

    monkeypatch.setattr("subprocess.run", watched)
    with caplog.at_level(logging.WARNING, logger="coldstart.encoders"):
        encoder = open_image_encoder(cnn, cache=tmp_path)
    assert isinstance(encoder, OnnxImageEncoder) and precision_of(encoder.fingerprint) == "fp32"
    assert "differ from those in fp32" in caplog.text
    assert asked == ["coldstart.encoders.export"]
    with pytest.raises(Unavailable, match=r"differ from those in fp32.*delete .*\.refused"):
        open_image_encoder(cnn, precision="int8", cache=tmp_path)


def test_fewer_bits_are_made_of_what_torch_exported_before(
    tmp_path: Path, cnn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    run = subprocess.run

    def watched(arguments: list[str], **options: Any) -> Any:
        asked.append(arguments[2].rpartition(".")[2])
        return run(arguments, **options)

    monkeypatch.setattr("subprocess.run", watched)
    alone = OnnxImageEncoder(exported("image", cnn, tmp_path / "alone", "int8"))
    assert asked == ["export", "reducing"]
    assert {path.suffix for path in (tmp_path / "alone").iterdir()} == {".onnx"}
    assert len(list((tmp_path / "alone").iterdir())) == 1  # what it was made of is not kept for it alone
    exported("image", cnn, tmp_path / "both")
    after = OnnxImageEncoder(exported("image", cnn, tmp_path / "both", "int8"))
    assert asked[2:] == ["export", "reducing"]
    pictures = [Image.new("RGB", (9, 9), colour) for colour in ("red", "white")]
    np.testing.assert_array_equal(alone.encode(pictures), after.encode(pictures))


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_an_export_in_fewer_bits_says_what_it_is(tmp_path: Path, cache: Path, precision: Precision) -> None:
    folder = make_text_model(tmp_path, pooling="cls")
    encoder = OnnxTextEncoder(exported("text", str(folder), cache, precision))
    assert encoder.card["precision"] == precision and precision_of(encoder.fingerprint) == precision
    assert LEAST_COSINE[precision] <= float(encoder.card["cosine_mean"]) <= 1.0001
    assert float(encoder.card["cosine_min"]) <= float(encoder.card["cosine_mean"])
    assert compatible(encoder.fingerprint, SentenceEncoder(str(folder)).fingerprint)


def test_torch_does_not_compute_in_fewer_bits(cnn: str, cache: Path) -> None:
    with pytest.raises(InvalidInput, match="torch does not compute in int8"):
        open_image_encoder(cnn, runtime="torch", precision="int8", cache=cache)
    with pytest.raises(InvalidInput, match="needs a folder"):
        open_image_encoder(cnn, precision="int8")


def test_without_a_cache_torch_runs(cnn: str) -> None:
    assert isinstance(open_image_encoder(cnn), CnnEncoder)
    with pytest.raises(InvalidInput, match="needs a folder"):
        open_image_encoder(cnn, runtime="onnx")


def test_a_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "coldstart.encoders.text", raising=False)
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(MissingExtra, match=r"pip install 'coldstart-service\[train\]'"):
        open_text_encoder(runtime="torch")
