"""Vectors that another recommender learned, brought in with its own ids from npz, parquet or safetensors."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from coldstart.backbones.frozen import FrozenBackbone
from coldstart.backbones.sides import Side, fault, freeze
from coldstart.dataset.reading import read_interactions
from coldstart.dataset.tables import Source, read_parquet
from coldstart.entities import ExternalId
from coldstart.errors import ColdstartError, InvalidInput
from coldstart.ids import IdMap
from coldstart.vectors import Matrix

_ID_COLUMNS = ("id", "user_id", "item_id")


def import_backbone(
    users: Path,
    items: Path,
    *,
    interactions: "Source | None" = None,
    user_ids: Path | None = None,
    item_ids: Path | None = None,
) -> FrozenBackbone:
    """Freeze external vectors whose inner product is the score.

    Parameters
    ----------
    users, items : paths
        One file a side, read by `read_vectors`; the same one twice where it is what ``implicit`` saved. Rows of zeros
        are left out: they say nothing of their user or item.
    interactions : path or frame, optional
        With ``user_id`` and ``item_id``: what the recommender was trained on. Without it nothing is known to be seen,
        users have no content profile, and an adapter cannot be tuned.
    user_ids, item_ids : paths, optional
        Text files with an id a line, for vectors that come without.

    Raises
    ------
    InvalidInput
        Naming file and row: for NaN or infinite numbers, ids that are missing or occur twice, rows that do not fit the
        ids, sides of different widths, items whose vectors are all the same, users whose vectors are all zero,
        interactions with unknown ids.
    """
    left = _read_side(users, ids=user_ids, side="user")
    right = _read_side(items, ids=item_ids, side="item")
    shape = len(left.ids), len(right.ids)
    clicks = csr_matrix(shape, dtype=np.float32)
    if interactions is not None:
        clicks = read_interactions(interactions, users=left.ids, items=right.ids)[0].matrix(*shape)
    return freeze(left, right, clicks, config={"users": users.name, "items": items.name})


def read_vectors(path: Path, *, ids: Path | None = None) -> tuple[IdMap, Matrix]:
    """Ids and vectors float32 [n, d] of one side.

    - ``.npz``: arrays ``ids`` and ``vectors``; or ``user_factors`` and ``item_factors``, as models of ``implicit`` save
      them, of which `import_backbone` takes the side it reads
    - ``.parquet``: a column ``id``, ``user_id`` or ``item_id``, and a list column ``vector`` or one column a number
    - ``.safetensors``: one tensor, or one named ``vectors``; ids as a JSON list in the metadata key ``ids``

    ``ids`` names a text file with an id a line, and wins over ids within the file. Nothing is ever unpickled.
    """
    found = _read_side(path, ids=ids, side=None)
    return found.ids, found.vectors


def _read_side(path: Path, *, ids: Path | None, side: Literal["user", "item"] | None) -> Side:
    if not path.is_file():
        raise InvalidInput("the file does not exist", subject=str(path), remedy="Check the name")
    try:
        match path.suffix:
            case ".npz":
                found, vectors = _from_npz(path, side)
            case ".parquet":
                found, vectors = _from_parquet(path)
            case ".safetensors":
                found, vectors = _from_safetensors(path)
            case ".pkl" | ".pickle" | ".joblib" | ".pt" | ".pth" as other:
                raise _error(path, f"{other} is no format for vectors: a pickle can run anything when it is read",
                             "Load the model where it was trained, and import the object or its arrays")  # fmt: skip
            case other:
                raise _error(path, f"{other or 'a name without ending'} is no format for vectors",
                             "Give .npz, .parquet or .safetensors")  # fmt: skip
    except ColdstartError:
        raise
    except Exception as error:  # the readers of three libraries, on bytes of unknown origin
        raise _error(path, f"the file cannot be read ({error})", "Write it again") from error
    if ids is not None:
        found = _lines(ids)
    if found is None:
        raise _error(path, "the vectors come without ids", "Store them beside, or name a text file with an id a line")
    return Side.checked(path.name, found, vectors)


def _from_npz(path: Path, side: str | None) -> tuple[list[ExternalId] | None, NDArray[np.generic]]:
    with np.load(path, allow_pickle=False) as arrays:
        name = next((each for each in ("vectors", f"{side}_factors") if each in arrays), None)
        if name is None:
            raise _error(path, f"there is no array 'vectors' among {sorted(arrays)}", "Save it under that name")
        return (_names(path, arrays) if "ids" in arrays else None), arrays[name]


def _names(path: Path, arrays: Mapping[str, NDArray[np.generic]]) -> list[ExternalId]:
    try:
        return [str(each) for each in arrays["ids"].tolist()]
    except ValueError:  # an array of Python objects, which would have to be unpickled
        raise _error(path, "the ids are Python objects, which are not read", "Save ids.astype(str)") from None


def _from_parquet(path: Path) -> tuple[list[ExternalId] | None, NDArray[np.generic]]:
    import polars as pl

    frame = read_parquet(path)
    column = next((name for name in _ID_COLUMNS if name in frame.columns), None)
    found = None if column is None else [str(each) for each in frame[column].to_list()]
    if "vector" in frame.columns:
        widths = frame["vector"].list.len() if frame["vector"].dtype == pl.List else None
        if widths is not None and widths.n_unique() > 1:
            row = int(np.flatnonzero((widths != widths[0]).to_numpy())[0])
            raise _error(
                path, f"the vector in row {row + 1} has {widths[row]} numbers, not {widths[0]}", "Write it again"
            )
        return found, np.array(frame["vector"].to_list(), dtype=np.float32)
    return found, frame.drop(column or []).to_numpy()


def _from_safetensors(path: Path) -> tuple[list[ExternalId] | None, NDArray[np.generic]]:
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        names = list(file.keys())
        name = "vectors" if "vectors" in names else names[0] if len(names) == 1 else None
        if name is None:
            raise _error(path, f"it holds the tensors {sorted(names)}", "Keep one, or name it 'vectors'")
        listed = (file.metadata() or {}).get("ids")
        found = None if listed is None else [str(each) for each in json.loads(listed)]
        return found, file.get_tensor(name)


def _lines(path: Path) -> list[ExternalId]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise _error(path, f"the ids cannot be read ({error})", "Give a text file with an id a line") from None


def _error(path: Path, what: str, remedy: str) -> InvalidInput:
    return fault(path.name, what, remedy)
