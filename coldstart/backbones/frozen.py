"""The frozen backbone: ids, vectors and training clicks in one folder whose bytes never change."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save
from scipy.sparse import csr_matrix

from coldstart.errors import Conflict, NotFound
from coldstart.ids import IdMap
from coldstart.vectors import Matrix, require_finite


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

    @property
    def dim(self) -> int:
        """d, the width of the vectors."""
        return int(self.item_vectors.shape[1])

    @property
    def parameters(self) -> int:
        """How many numbers were learned."""
        return int(self.user_vectors.size + self.item_vectors.size + sum(a.size for a in self.extra.values()))

    @cached_property
    def _bytes(self) -> bytes:
        """The weights as canonical safetensors bytes: the same arrays always give the same bytes."""
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

    @property
    def sha256(self) -> str:
        """Fingerprint of the weights in memory, recomputed at every call: a changed byte shows."""
        self.__dict__.pop("_bytes", None)
        return hashlib.sha256(self._bytes).hexdigest()
