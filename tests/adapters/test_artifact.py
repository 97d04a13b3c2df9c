import hashlib
import json
import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load, save

from adapters.artifact import (
    CONFIG_FILE,
    CONTENTS_FILE,
    WEIGHTS_FILE,
    EncoderName,
    _version,
    load_artifact,
    save_artifact,
)
from adapters.config import AdapterConfig
from adapters.fit import fit
from adapters.folding import Folding
from adapters.space import Scales
from benchmarks.hostile import saving
from coldstart.errors import Conflict, InvalidInput, NotFound
from coldstart.terms import count_terms
from tests.adapters.toy import World, make_world
from tests.coldstart.encoders.toys import Canary

ENCODERS = {"text": EncoderName("toy", "t1"), "image": EncoderName("toy", "i1")}
CONFIG = AdapterConfig(neighbours=5, image_dim=8, content_dim=16)


@pytest.fixture
def world() -> World:
    return make_world()


@pytest.fixture
def folder(world: World, tmp_path: Path) -> Path:
    world.backbone.save(tmp_path / "backbone")
    save_artifact(
        fit(world.backbone, world.contents, config=CONFIG), tmp_path / "adapter",
        backbone_dir=tmp_path / "backbone", card="# Toy", **ENCODERS,
    )  # fmt: skip
    return tmp_path / "adapter"


def test_what_is_loaded_serves_what_was_saved(world: World, folder: Path) -> None:
    saved = fit(world.backbone, world.contents, config=CONFIG)
    loaded = load_artifact(folder).adapter
    np.testing.assert_allclose(
        loaded.cold_vectors(loaded.blocks(world.cold)), saved.cold_vectors(saved.blocks(world.cold)), atol=2e-3
    )
    rows = np.arange(5)
    np.testing.assert_allclose(loaded.user_vectors(rows), saved.user_vectors(rows), atol=2e-3)


def test_a_copy_of_both_folders_is_the_same_version(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere" / "on" / "the" / "disk"
    for name in ("adapter", "backbone"):
        shutil.copytree(tmp_path / name, copy / name)
    shutil.rmtree(tmp_path / "backbone")
    assert load_artifact(copy / "adapter").version == json.loads((folder / CONFIG_FILE).read_text())["version"]


def test_the_chosen_fold_in_is_kept_and_an_older_adapter_has_the_default(
    world: World, folder: Path, tmp_path: Path
) -> None:
    chosen = replace(fit(world.backbone, world.contents, config=CONFIG), folding=Folding(patience=2.0, content=0.5))
    save_artifact(chosen, tmp_path / "chosen", backbone_dir=tmp_path / "backbone", card="", **ENCODERS)
    assert load_artifact(tmp_path / "chosen").adapter.folding == Folding(patience=2.0, content=0.5)
    document = json.loads((folder / CONFIG_FILE).read_text())
    older = {name: value for name, value in document.items() if name not in ("folding", "version")}
    (folder / CONFIG_FILE).write_text(json.dumps({**older, "version": _version(older)}))
    assert load_artifact(folder).adapter.folding == Folding()


def test_embeddings_too_large_to_be_kept_are_refused(world: World, tmp_path: Path) -> None:
    adapter = fit(world.backbone, world.contents, config=CONFIG)
    world.contents.image[3] = 1e5
    with pytest.raises(InvalidInput, match="image embeddings"):
        save_artifact(adapter, tmp_path / "adapter", backbone_dir=tmp_path / "backbone", card="", **ENCODERS)
    assert not (tmp_path / "adapter").exists()


@pytest.mark.parametrize("flip", [1, 128], ids=["still text", "no longer text"])
@pytest.mark.parametrize("name", [CONFIG_FILE, WEIGHTS_FILE, CONTENTS_FILE])
def test_a_changed_byte_is_refused(folder: Path, name: str, flip: int) -> None:
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= flip
    (folder / name).write_bytes(content)
    with pytest.raises(Conflict, match=f"{name} is damaged or altered"):
        load_artifact(folder)


def rewritten(folder: Path, name: str, content: bytes) -> None:
    """Put other content in a file and make every hash fit it, as whoever made the artifact could."""
    (folder / name).write_bytes(content)
    document = json.loads((folder / CONFIG_FILE).read_text())
    del document["version"]
    document["sha256"][name] = hashlib.sha256(content).hexdigest()
    (folder / CONFIG_FILE).write_text(json.dumps({**document, "version": _version(document)}))


def lying(header: bytes) -> bytes:
    return len(header).to_bytes(8, "little") + header


@pytest.mark.parametrize("name", [WEIGHTS_FILE, CONTENTS_FILE])
def test_tensors_that_are_none_are_refused_and_nothing_is_executed(folder: Path, tmp_path: Path, name: str) -> None:
    torch_file = tmp_path / "weights.pt"
    torch.save({"x": Canary(tmp_path / "executed")}, torch_file)
    np.savez(tmp_path / "weights.npz", x=np.array([Canary(tmp_path / "executed")], dtype=object))
    for content in (
        pickle.dumps(Canary(tmp_path / "executed")),
        torch_file.read_bytes(),
        (tmp_path / "weights.npz").read_bytes(),
        (2**62).to_bytes(8, "little") + b"{}",
        lying(b'{"text":{"dtype":"F32","shape":[1000000000000,4],"data_offsets":[0,16000000000000]}}'),
        lying(b'{"text":{"dtype":"F32","shape":[1],"data_offsets":[-4,0]}}'),
        lying(b"[" * 10_000),
        b"",
    ):
        rewritten(folder, name, content)
        with pytest.raises(Conflict, match="is damaged or altered"):
            load_artifact(folder)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    ("name", "tensor", "value"),
    [
        (CONTENTS_FILE, "terms.indices", 2**30),
        (CONTENTS_FILE, "terms.indices", -5),
        (CONTENTS_FILE, "terms.indptr", 2**30),
        (WEIGHTS_FILE, "anchors.rows", 2**30),
    ],
)
def test_indices_that_point_outside_are_refused(
    world: World, tmp_path: Path, name: str, tensor: str, value: int
) -> None:
    """Sparse matrices are read by code that does not look where an index points."""
    contents = replace(world.contents, terms=count_terms([{"colour": "red"}] * len(world.contents)))
    world.backbone.save(tmp_path / "backbone")
    folder = tmp_path / "adapter"
    adapter = fit(world.backbone, contents, config=CONFIG)
    save_artifact(adapter, folder, backbone_dir=tmp_path / "backbone", card="", **ENCODERS)
    tensors = load((folder / name).read_bytes())
    tensors[tensor] = np.full_like(tensors[tensor], value)
    rewritten(folder, name, save(tensors))
    with pytest.raises(Conflict, match="is damaged or altered"):
        load_artifact(folder)


@pytest.mark.parametrize("raw", [b"5", b"null", b'"x"', b"[]", b"{}", b"[" * 100_000, b'{"version": {}}', b"\xff"])
def test_a_description_that_is_none_is_refused(folder: Path, raw: bytes) -> None:
    (folder / CONFIG_FILE).write_bytes(raw)
    with pytest.raises(Conflict, match=f"{CONFIG_FILE} is damaged or altered"):
        load_artifact(folder)


def test_a_process_killed_while_saving_leaves_the_old_or_the_new(folder: Path, tmp_path: Path) -> None:
    amid, broken = saving.attempt(folder, tmp_path / "saved" / "adapter", kills=20)
    assert amid > 0  # some kills came in the middle of a save
    assert broken == []


def test_another_backbone_is_refused(folder: Path, tmp_path: Path) -> None:
    make_world(seed=1).backbone.save(tmp_path / "other")
    with pytest.raises(Conflict, match="the adapter was trained on the backbone"):
        load_artifact(folder, backbone=tmp_path / "other")


def test_a_newer_format_is_named(folder: Path) -> None:
    document = json.loads((folder / CONFIG_FILE).read_text())
    (folder / CONFIG_FILE).write_text(json.dumps({**document, "format": 99}))
    with pytest.raises(Conflict, match="has format 99"):
        load_artifact(folder)


def test_an_artifact_of_before_graduation_gets_the_default_curve(folder: Path) -> None:
    document = json.loads((folder / CONFIG_FILE).read_text())
    del document["scales"]["half"], document["version"]
    (folder / CONFIG_FILE).write_text(json.dumps({**document, "version": _version(document)}))
    assert load_artifact(folder).adapter.scales.half == Scales().half


def test_a_missing_folder_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="coldstart train adapter"):
        load_artifact(tmp_path / "nothing")
