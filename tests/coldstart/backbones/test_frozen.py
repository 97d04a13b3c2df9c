import hashlib
import json
import pickle
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load, save
from scipy.sparse import csr_matrix

from coldstart.backbones import FrozenBackbone
from coldstart.backbones.frozen import _document_sha256
from coldstart.errors import Conflict, InvalidInput, NotFound
from coldstart.ids import IdMap
from tests.coldstart.encoders.toys import Canary

USERS, ITEMS = ("ann", "Łucja", "🦊"), ("x", "y")


def make(seed: int = 0, *, users: tuple[str, ...] = USERS) -> FrozenBackbone:
    generator = np.random.default_rng(seed)
    return FrozenBackbone(
        kind="external",
        users=IdMap(users),
        items=IdMap(ITEMS),
        user_vectors=generator.normal(size=(3, 4)).astype(np.float32),
        item_vectors=generator.normal(size=(2, 4)).astype(np.float32),
        clicks=csr_matrix(np.array([[1, 0], [1, 1], [0, 0]], dtype=np.float32)),
        config={"alpha": 1.5, "hidden": [4, 2]},
        extra={"mlp.0.weight": generator.normal(size=(5, 2)).astype(np.float32), "codes": np.arange(3)},
    )


def test_what_is_loaded_is_what_was_saved(tmp_path: Path) -> None:
    saved = make()
    saved.save(tmp_path / "deep" / "backbone")
    loaded = FrozenBackbone.load(tmp_path / "deep" / "backbone")
    assert (loaded.kind, loaded.users.ids, loaded.items.ids, loaded.config) == ("external", USERS, ITEMS, saved.config)
    assert loaded.sha256 == saved.sha256
    assert (loaded.dim, loaded.parameters) == (4, 5 * 4 + 10 + 3)
    np.testing.assert_array_equal(loaded.user_vectors, saved.user_vectors)
    np.testing.assert_array_equal(loaded.item_vectors, saved.item_vectors)
    np.testing.assert_array_equal(loaded.clicks.toarray(), saved.clicks.toarray())
    for name, array in saved.extra.items():
        np.testing.assert_array_equal(loaded.extra[name], array)
    assert sorted(path.name for path in (tmp_path / "deep").iterdir()) == ["backbone"]
    assert sorted(path.name for path in (tmp_path / "deep" / "backbone").iterdir()) == [
        "backbone.json", "backbone.safetensors",
    ]  # fmt: skip


def test_the_fingerprint_is_of_the_present_numbers() -> None:
    backbone = make()
    before = backbone.sha256
    backbone.item_vectors[0, 0] += 1
    assert backbone.sha256 != before


def test_a_second_save_replaces_the_first(tmp_path: Path) -> None:
    make(0).save(tmp_path / "backbone")
    make(1).save(tmp_path / "backbone")
    assert FrozenBackbone.load(tmp_path / "backbone").sha256 == make(1).sha256


def test_a_folder_that_holds_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(Conflict, match=r"thesis\.txt"):
        make().save(tmp_path)
    with pytest.raises(Conflict, match="a file of that name"):
        make().save(tmp_path / "thesis.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize("name", ["backbone.safetensors", "backbone.json"])
def test_every_flipped_byte_is_refused(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "backbone"
    make().save(folder)
    whole = (folder / name).read_bytes()
    for place in range(0, len(whole), max(1, len(whole) // 97)):
        if name.endswith(".json") and whole[place : place + 1].isspace():
            continue  # a space that becomes another character that JSON skips changes nothing
        (folder / name).write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(Conflict, match=str(folder)):
            FrozenBackbone.load(folder)


def test_files_of_two_backbones_are_refused(tmp_path: Path) -> None:
    make(0).save(tmp_path / "one")
    make(1).save(tmp_path / "two")
    shutil.copy(tmp_path / "one" / "backbone.json", tmp_path / "two" / "backbone.json")
    with pytest.raises(Conflict, match="not the file"):
        FrozenBackbone.load(tmp_path / "two")


def test_a_cut_file_is_refused(tmp_path: Path) -> None:
    make().save(tmp_path / "backbone")
    weights = tmp_path / "backbone" / "backbone.safetensors"
    weights.write_bytes(weights.read_bytes()[:-7])
    with pytest.raises(Conflict, match="damaged"):
        FrozenBackbone.load(tmp_path / "backbone")


def rewritten(folder: Path, weights: bytes, **fields: object) -> None:
    """Put other content in the files and make every hash fit it, as whoever made the backbone could."""
    document = {**json.loads((folder / "backbone.json").read_text()), **fields}
    del document["document_sha256"]
    document["sha256"] = hashlib.sha256(weights).hexdigest()
    document["document_sha256"] = _document_sha256(document)
    (folder / "backbone.safetensors").write_bytes(weights)
    (folder / "backbone.json").write_text(json.dumps(document))


@pytest.mark.parametrize("value", [2**30, -5])
@pytest.mark.parametrize("name", ["clicks.indices", "clicks.indptr"])
def test_indices_that_point_outside_are_refused(tmp_path: Path, name: str, value: int) -> None:
    """Sparse matrices are read by code that does not look where an index points."""
    make().save(tmp_path / "backbone")
    tensors = load((tmp_path / "backbone" / "backbone.safetensors").read_bytes())
    rewritten(tmp_path / "backbone", save({**tensors, name: np.full_like(tensors[name], value)}))
    with pytest.raises(Conflict, match="damaged"):
        FrozenBackbone.load(tmp_path / "backbone")


@pytest.mark.parametrize("ids", [None, 5, [[1]], {}])
def test_ids_that_are_none_are_refused(tmp_path: Path, ids: object) -> None:
    make().save(tmp_path / "backbone")
    rewritten(tmp_path / "backbone", (tmp_path / "backbone" / "backbone.safetensors").read_bytes(), users=ids)
    with pytest.raises(Conflict, match="damaged"):
        FrozenBackbone.load(tmp_path / "backbone")


def test_weights_that_are_none_are_refused_and_nothing_is_executed(tmp_path: Path) -> None:
    make().save(tmp_path / "backbone")
    for content in (pickle.dumps(Canary(tmp_path / "executed")), (2**62).to_bytes(8, "little") + b"{}", b""):
        rewritten(tmp_path / "backbone", content)
        with pytest.raises(Conflict, match="damaged"):
            FrozenBackbone.load(tmp_path / "backbone")
    (tmp_path / "backbone" / "backbone.json").write_bytes(b"[" * 100_000)
    with pytest.raises(Conflict, match="damaged"):
        FrozenBackbone.load(tmp_path / "backbone")
    assert not (tmp_path / "executed").exists()


def test_a_later_format_is_refused(tmp_path: Path) -> None:
    make().save(tmp_path / "backbone")
    path = tmp_path / "backbone" / "backbone.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 99}))
    with pytest.raises(Conflict, match="format 99"):
        FrozenBackbone.load(tmp_path / "backbone")


def test_a_folder_without_a_backbone_is_not_found(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(NotFound, match=str(folder)):
            FrozenBackbone.load(folder)


def test_rows_that_do_not_fit_the_ids_are_refused() -> None:
    with pytest.raises(InvalidInput, match=r"\(3, 4\)"):
        make(users=("ann", "bob"))


def test_numbers_that_are_not_finite_are_refused() -> None:
    whole = make()
    whole.user_vectors[1, 1] = np.nan
    with pytest.raises(InvalidInput, match="NaN"):
        FrozenBackbone("als", whole.users, whole.items, whole.user_vectors, whole.item_vectors, whole.clicks)


SAVE_FOR_EVER = """
import sys
from pathlib import Path
from tests.coldstart.backbones.test_frozen import make
print("ready", flush=True)
seed = 0
while True:
    make(seed % 2).save(Path(sys.argv[1]))
    seed += 1
"""


def test_a_process_killed_while_saving_leaves_the_old_or_the_new(tmp_path: Path) -> None:
    folder = tmp_path / "backbone"
    make(0).save(folder)
    whole = {make(0).sha256, make(1).sha256}
    chance = random.Random(0)  # noqa: S311 - chooses moments
    for _ in range(4):
        process = subprocess.Popen([sys.executable, "-c", SAVE_FOR_EVER, str(folder)], stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        until = time.monotonic() + chance.uniform(0.0, 0.03)
        while time.monotonic() < until:
            pass
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        assert FrozenBackbone.load(folder).sha256 in whole


def test_between_the_two_renames_the_old_one_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "backbone"
    make(0).save(folder)
    rename = Path.rename

    def killed(self: Path, target: Path) -> Path:
        if self.name.endswith(".new"):
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", killed)
    with pytest.raises(KeyboardInterrupt):
        make(1).save(folder)
    monkeypatch.undo()
    assert not folder.exists()
    assert FrozenBackbone.load(folder).sha256 == make(0).sha256
    make(1).save(folder)
    assert FrozenBackbone.load(folder).sha256 == make(1).sha256
