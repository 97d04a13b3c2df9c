"""The frozen backbone: ids, vectors and training clicks in one folder whose bytes never change."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save
from scipy.sparse import csr_matrix

from coldstart.errors import Conflict, InvalidInput, NotFound
from coldstart.folder import current_folder, write_folder
from coldstart.ids import IdMap
from coldstart.vectors import Matrix, require_finite

FORMAT = 1
WEIGHTS_FILE, DOCUMENT_FILE = "backbone.safetensors", "backbone.json"
_OWN_TENSORS = ("user_vectors", "item_vectors", "clicks.indptr", "clicks.indices")


@dataclass(frozen=True)
class FrozenBackbone:
    """A trained or imported collaborative recommender, scored by the inner product ``user_vectors @ item_vectors.T``.

    Parameters
    ----------
    kind : str
        ``lightgcn``, ``neumf``, ``als`` or ``external``.
    users, items : IdMap
        External ids of the rows. Items are the warm ones: those the backbone has seen.
    user_vectors, item_vectors : float32 [users, d], [items, d]
        U and V.
    clicks : csr_matrix float32 [users, items]
        Ones where the user met the item in training; empty where an import brought none.
    config : mapping
        How it was trained; JSON values only.
    extra : mapping of arrays
        Further tensors of the kind (NeuMF's towers), kept with the same care.

    Raises
    ------
    InvalidInput
        Where a vector is not finite, or the shapes do not fit the ids.
    """

    kind: str
    users: IdMap
    items: IdMap
    user_vectors: Matrix
    item_vectors: Matrix
    clicks: csr_matrix
    config: Mapping[str, Any] = field(default_factory=dict)
    extra: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require_finite(self.user_vectors, "backbone user vectors")
        require_finite(self.item_vectors, "backbone item vectors")
        shapes = (self.user_vectors.shape, self.item_vectors.shape, self.clicks.shape)
        d = self.item_vectors.shape[-1]
        wanted = ((len(self.users), d), (len(self.items), d), (len(self.users), len(self.items)))
        if shapes != wanted:
            raise InvalidInput(
                f"the shapes of user vectors, item vectors and clicks are {shapes}, not {wanted}",
                subject=f"{self.kind} backbone",
                remedy="Give one row per id, and one width for users and items",
            )

    @property
    def dim(self) -> int:
        """d, the width of the vectors."""
        return int(self.item_vectors.shape[1])

    @property
    def parameters(self) -> int:
        """How many numbers were learned."""
        return int(self.user_vectors.size + self.item_vectors.size + sum(a.size for a in self.extra.values()))

    @property
    def sha256(self) -> str:
        """Fingerprint of the weights in memory, recomputed at every call: a changed byte shows."""
        return hashlib.sha256(self._weights()).hexdigest()

    def save(self, folder: Path) -> None:
        """Write ``backbone.safetensors`` and ``backbone.json``, replacing an older backbone whole or not at all."""
        weights = self._weights()
        document = {
            "format": FORMAT,
            "kind": self.kind,
            "config": dict(self.config),
            "sha256": hashlib.sha256(weights).hexdigest(),
            "users": self.users.ids,
            "items": self.items.ids,
        }
        document["document_sha256"] = _document_sha256(document)
        text = json.dumps(document, ensure_ascii=False, indent=1)
        write_folder(folder, {WEIGHTS_FILE: weights, DOCUMENT_FILE: text.encode()})

    @staticmethod
    def load(folder: Path) -> "FrozenBackbone":
        """Read a saved backbone, to the byte.

        Raises
        ------
        NotFound
            Where the folder holds no backbone.
        Conflict
            Where the files are damaged, do not belong together, or are of a format this version cannot read.
        """
        source = current_folder(folder)
        try:
            weights, text = (source / WEIGHTS_FILE).read_bytes(), (source / DOCUMENT_FILE).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            raise NotFound(
                "the folder holds no backbone",
                subject=str(folder),
                remedy="Train one with 'coldstart train backbone', or import one",
            ) from None
        try:
            document = json.loads(text)
            found = document["format"]
        except (ValueError, KeyError, TypeError, RecursionError):
            raise _damaged(folder, f"{DOCUMENT_FILE} is not a backbone's description") from None
        if found != FORMAT:
            raise Conflict(
                f"the backbone has format {found!r}, this version reads {FORMAT}",
                subject=str(folder),
                remedy="Train it again, or use the version of coldstart that wrote it",
            )
        if document.pop("document_sha256", None) != _document_sha256(document):
            raise _damaged(folder, f"{DOCUMENT_FILE} was altered")
        if hashlib.sha256(weights).hexdigest() != document["sha256"]:
            raise _damaged(folder, f"{WEIGHTS_FILE} is not the file that {DOCUMENT_FILE} describes")
        try:
            return _assemble(document, load(weights))
        except (SafetensorError, KeyError, TypeError, ValueError, InvalidInput) as error:
            raise _damaged(folder, f"the tensors do not fit the ids ({error})") from None

    def _weights(self) -> bytes:
        """The tensors as safetensors bytes: the same arrays always give the same bytes."""
        clicks = self.clicks.sorted_indices()
        return save(
            {
                "user_vectors": np.ascontiguousarray(self.user_vectors, dtype=np.float32),
                "item_vectors": np.ascontiguousarray(self.item_vectors, dtype=np.float32),
                "clicks.indptr": clicks.indptr.astype(np.int64),
                "clicks.indices": clicks.indices.astype(np.int32),
                **{f"extra.{name}": np.ascontiguousarray(array) for name, array in sorted(self.extra.items())},
            }
        )


def _assemble(document: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]) -> FrozenBackbone:
    users, items = IdMap(document["users"]), IdMap(document["items"])
    indptr, indices = tensors["clicks.indptr"], tensors["clicks.indices"]
    ones = np.ones(len(indices), dtype=np.float32)
    clicks = csr_matrix((ones, indices, indptr), shape=(len(users), len(items)))
    clicks.check_format(full_check=True)  # scipy reads where an index points, be it within the matrix or not
    return FrozenBackbone(
        kind=document["kind"],
        users=users,
        items=items,
        user_vectors=tensors["user_vectors"],
        item_vectors=tensors["item_vectors"],
        clicks=clicks,
        config=document["config"],
        extra={name.removeprefix("extra."): array for name, array in tensors.items() if name not in _OWN_TENSORS},
    )


def _document_sha256(document: Mapping[str, Any]) -> str:
    """Fingerprint of ids, kind and configuration: a swapped id is as wrong as a flipped weight."""
    return hashlib.sha256(json.dumps(document, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _damaged(folder: Path, what: str) -> Conflict:
    return Conflict(f"the backbone is damaged: {what}", subject=str(folder), remedy="Restore the folder or train again")
