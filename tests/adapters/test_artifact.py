import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

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
from coldstart.errors import Conflict, InvalidInput, NotFound
from tests.adapters.toy import World, make_world

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
