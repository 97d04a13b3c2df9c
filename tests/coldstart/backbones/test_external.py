import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from safetensors.numpy import save_file

from coldstart.backbones import FrozenBackbone
from coldstart.backbones.external import import_backbone, read_vectors
from coldstart.errors import InvalidInput
from coldstart.vectors import Matrix

IDS = ["b", "a", "snow ☃"]
VECTORS = np.arange(6, dtype=np.float32).reshape(3, 2)


def npz(path: Path, ids: list[str], vectors: Matrix) -> Path:
    np.savez(path.with_suffix(".npz"), ids=np.array(ids), vectors=vectors)
    return path.with_suffix(".npz")


def parquet_list(path: Path, ids: list[str], vectors: Matrix) -> Path:
    pl.DataFrame({"item_id": ids, "vector": vectors.tolist()}).write_parquet(path.with_suffix(".parquet"))
    return path.with_suffix(".parquet")


def parquet_columns(path: Path, ids: list[str], vectors: Matrix) -> Path:
    columns = {f"d{n}": vectors[:, n] for n in range(vectors.shape[1])}
    pl.DataFrame({"id": ids, **columns}).write_parquet(path.with_suffix(".parquet"))
    return path.with_suffix(".parquet")


def safetensors(path: Path, ids: list[str], vectors: Matrix) -> Path:
    save_file({"embedding.weight": vectors}, path.with_suffix(".safetensors"), metadata={"ids": json.dumps(ids)})
    return path.with_suffix(".safetensors")


FORMATS = [npz, parquet_list, parquet_columns, safetensors]


@pytest.mark.parametrize("write", FORMATS)
def test_every_format_gives_the_same(tmp_path: Path, write: Callable[[Path, list[str], Matrix], Path]) -> None:
    ids, vectors = read_vectors(write(tmp_path / "items", IDS, VECTORS))
    assert list(ids.ids) == IDS
    np.testing.assert_array_equal(vectors, VECTORS)


@pytest.mark.parametrize("write", FORMATS)
def test_a_bad_number_is_named_by_id_and_row(tmp_path: Path, write: Callable[[Path, list[str], Matrix], Path]) -> None:
    bad = VECTORS.copy()
    bad[1, 0] = np.nan
    with pytest.raises(InvalidInput, match=r"items\.\w+: the vector of 'a' in row 2 is not finite"):
        read_vectors(write(tmp_path / "items", IDS, bad))


def test_float64_that_does_not_fit_is_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "items.npz", ids=np.array(IDS), vectors=np.full((3, 2), 1e300))
    with pytest.raises(InvalidInput, match="the vector of 'b' in row 1 is not finite"):
        read_vectors(tmp_path / "items.npz")


def test_ids_of_a_text_file(tmp_path: Path) -> None:
    np.savez(tmp_path / "items.npz", vectors=VECTORS)
    with pytest.raises(InvalidInput, match="come without ids"):
        read_vectors(tmp_path / "items.npz")
    (tmp_path / "ids.txt").write_text("\n".join(IDS) + "\n")
    assert list(read_vectors(tmp_path / "items.npz", ids=tmp_path / "ids.txt")[0].ids) == IDS


@pytest.mark.parametrize(
    ("ids", "vectors", "message"),
    [
        (["a", "b"], VECTORS, "there are 2 ids for 3 vectors"),
        (["a", "b", "a"], VECTORS, "the id 'a' occurs twice"),
        (["a", "", "c"], VECTORS, "in row 2 the id is empty"),
        (IDS, VECTORS[:, :0], r"have the shape \(3, 0\)"),
        (IDS, VECTORS[0], r"have the shape \(2,\)"),
    ],
)
def test_what_does_not_fit_is_said(tmp_path: Path, ids: list[str], vectors: Matrix, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        read_vectors(npz(tmp_path / "items", ids, vectors))


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    class Canary:
        def __reduce__(self) -> tuple[object, tuple[object, ...]]:
            return Path.touch, (tmp_path / "executed",)

    np.savez(tmp_path / "items.npz", ids=np.array(IDS), vectors=np.array([Canary()], dtype=object))
    (tmp_path / "items.safetensors").write_bytes(pickle.dumps(Canary()))
    (tmp_path / "items.parquet").write_bytes(pickle.dumps(Canary()))
    for name in ("items.npz", "items.safetensors", "items.parquet"):
        with pytest.raises(InvalidInput, match=r"cannot be read|not readable"):
            read_vectors(tmp_path / name)
    assert not (tmp_path / "executed").exists()


def test_two_sides_and_their_clicks_make_a_backbone(tmp_path: Path) -> None:
    users = npz(tmp_path / "users", ["u", "v"], VECTORS[:2])
    items = safetensors(tmp_path / "items", IDS, VECTORS)
    clicks = pl.DataFrame({"user_id": ["u", "u"], "item_id": ["a", "a"]})
    backbone = import_backbone(users, items, interactions=clicks)
    assert backbone.clicks.toarray().tolist() == [[0, 1, 0], [0, 0, 0]]
    backbone.save(tmp_path / "backbone")
    assert FrozenBackbone.load(tmp_path / "backbone").sha256 == backbone.sha256
    assert import_backbone(users, items).clicks.nnz == 0


def test_sides_of_two_models_are_refused(tmp_path: Path) -> None:
    users = npz(tmp_path / "users", ["u", "v"], np.ones((2, 3), np.float32))
    with pytest.raises(InvalidInput, match="users have 3 numbers each, items 2"):
        import_backbone(users, npz(tmp_path / "items", IDS, VECTORS))


def test_vectors_that_rank_nothing_are_refused(tmp_path: Path) -> None:
    users, items = npz(tmp_path / "users", ["u", "v"], VECTORS[:2]), npz(tmp_path / "items", IDS, VECTORS)
    same = npz(tmp_path / "same", IDS, np.full((3, 2), 0.5, np.float32))
    with pytest.raises(InvalidInput, match=r"same\.npz: the vectors of all items are the same"):
        import_backbone(users, same)
    with pytest.raises(InvalidInput, match=r"zero\.npz: the vectors of all users are zero"):
        import_backbone(npz(tmp_path / "zero", ["u", "v"], np.zeros((2, 2), np.float32)), items)
    # one vector for all users is what a recommender by popularity has, and the only item need not differ
    assert import_backbone(same, items).dim == 2
    assert len(import_backbone(users, npz(tmp_path / "single", ["i"], VECTORS[1:2])).items) == 1


def test_clicks_on_an_unknown_item_are_refused(tmp_path: Path) -> None:
    clicks = pl.DataFrame({"user_id": ["b"], "item_id": ["zzz"]})
    side = npz(tmp_path / "items", IDS, VECTORS)
    with pytest.raises(InvalidInput, match="1 unknown item: 'zzz'"):
        import_backbone(side, side, interactions=clicks)


def test_a_typo_and_a_foreign_format_are_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"itmes\.npz: the file does not exist"):
        read_vectors(tmp_path / "itmes.npz")
    (tmp_path / "items.xlsx").write_bytes(b"")
    with pytest.raises(InvalidInput, match=r"\.xlsx is no format for vectors\. Give \.npz"):
        read_vectors(tmp_path / "items.xlsx")
    (tmp_path / "model.pth").write_bytes(b"")
    with pytest.raises(InvalidInput, match=r"\.pth is no format for vectors: a pickle can run anything"):
        read_vectors(tmp_path / "model.pth")


def test_vectors_of_zeros_are_left_out(tmp_path: Path) -> None:
    vectors = VECTORS + 1
    vectors[1] = 0
    side = npz(tmp_path / "items", IDS, vectors)
    clicks = pl.DataFrame({"user_id": ["b", "a"], "item_id": ["snow ☃", "b"]})
    backbone = import_backbone(side, side, interactions=clicks)
    assert backbone.items.ids == backbone.users.ids == ("b", "snow ☃")
    assert backbone.clicks.toarray().tolist() == [[0, 1], [0, 0]]


def test_ids_that_would_have_to_be_unpickled_say_how_to_save_them(tmp_path: Path) -> None:
    np.savez(tmp_path / "items.npz", ids=np.array(IDS, dtype=object), vectors=VECTORS)
    with pytest.raises(InvalidInput, match=r"Save ids\.astype\(str\)"):
        read_vectors(tmp_path / "items.npz")
