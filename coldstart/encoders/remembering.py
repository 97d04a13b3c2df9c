"""An unchanged text or picture is not encoded twice, as long as it is remembered."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from threading import Lock
from typing import Generic, Protocol, TypeVar

import numpy as np
from cachetools import LRUCache
from PIL.Image import Image

from coldstart.vectors import Matrix, Vector

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)

ENTRY_BYTES = 400
"""Of an embedding's key and place, beside its numbers."""
OnEncoded = Callable[[int, int], None]
"""Told of a batch how many contents were remembered, and how many were encoded."""


class Encoder(Protocol[T_contra]):
    """`TextEncoder` or `ImageEncoder`."""

    @property
    def dim(self) -> int:
        """See there."""
        ...

    @property
    def fingerprint(self) -> str:
        """See there."""
        ...

    def encode(self, batch: Sequence[T_contra]) -> Matrix:
        """See there."""
        ...


class Memory:
    """Embeddings by what they are of, those used last within ``max_bytes``; for any number of threads and encoders."""

    def __init__(self, max_bytes: int) -> None:
        self._kept: LRUCache[bytes, Vector] = LRUCache(max_bytes, getsizeof=lambda vector: vector.nbytes + ENTRY_BYTES)
        self._lock = Lock()

    def known(self, keys: Sequence[bytes]) -> dict[bytes, Vector]:
        """The embeddings of those keys that are remembered."""
        with self._lock:
            return {key: self._kept[key] for key in keys if key in self._kept}

    def remember(self, vectors: Mapping[bytes, Vector]) -> None:
        """Keep them; one that is larger than the whole memory is left out."""
        with self._lock:
            for key, vector in vectors.items():
                if vector.nbytes + ENTRY_BYTES <= self._kept.maxsize:
                    self._kept[key] = vector

    @property
    def bytes(self) -> int:
        """How much is in use."""
        with self._lock:
            return int(self._kept.currsize)


class Remembering(Generic[T]):
    """An encoder that encodes each content once while the memory has it, and each content of a batch once.

    Parameters
    ----------
    encoder : Encoder
    memory : Memory
    content_of : callable
        The bytes that decide the embedding.
    on_encoded : callable, optional
        Told of every batch.
    """

    def __init__(
        self,
        encoder: Encoder[T],
        memory: Memory,
        content_of: Callable[[T], bytes],
        *,
        on_encoded: OnEncoded = lambda remembered, encoded: None,
    ) -> None:
        self._encoder, self._memory, self._content_of, self._on_encoded = encoder, memory, content_of, on_encoded
        self.dim, self.fingerprint = encoder.dim, encoder.fingerprint
        self._salt = hashlib.sha256(f"{self.fingerprint}\0".encode())

    def encode(self, batch: Sequence[T]) -> Matrix:
        """Embeddings [b, dim], as the encoder itself gives them."""
        keys = [self._key(content) for content in batch]
        vectors = self._memory.known(keys)
        new = {key: content for key, content in zip(keys, batch, strict=True) if key not in vectors}
        if new:
            # Copies: a row of the batch's matrix would keep all of it.
            encoded = dict(zip(new, map(np.copy, self._encoder.encode(list(new.values()))), strict=True))
            self._memory.remember(encoded)
            vectors |= encoded
        self._on_encoded(len(batch) - len(new), len(new))
        return np.array([vectors[key] for key in keys], dtype=np.float32).reshape(len(keys), self.dim)

    def _key(self, content: T) -> bytes:
        digest = self._salt.copy()
        digest.update(self._content_of(content))
        return digest.digest()


def bytes_of_text(text: str) -> bytes:
    """What decides a text's embedding."""
    return text.encode()


def bytes_of_picture(picture: Image) -> bytes:
    """What decides a picture's embedding: its size and its pixels."""
    return f"{picture.mode} {picture.width} {picture.height}\0".encode() + picture.tobytes()
