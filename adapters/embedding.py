"""From a catalogue to the embeddings that an adapter is trained on, each distinct content encoded once."""

import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save

from adapters.content import MODALITIES, Contents
from coldstart.clean import compose_text
from coldstart.dataset import Dataset, Items
from coldstart.encoders import ImageEncoder, TextEncoder
from coldstart.encoders.fetch import Fetcher
from coldstart.encoders.media import decode_picture, read_picture
from coldstart.entities import ExternalId
from coldstart.errors import ColdstartError, InvalidInput
from coldstart.folder import write_file
from coldstart.terms import count_terms
from coldstart.vectors import Matrix, Vector, require_finite, rounded

log = logging.getLogger(__name__)
_BATCH = 64
OnProgress = Callable[[str, int, int], None]
"""Told the modality, how many contents are done and how many there are."""


@dataclass(frozen=True)
class Embedded:
    """Contents of a catalogue, in its row order, and what went wrong on the way: item id -> why it has no picture."""

    contents: Contents
    picture_errors: Mapping[str, str]


def embed_items(
    dataset: Dataset,
    *,
    text: TextEncoder | None,
    image: ImageEncoder | None,
    cache: Path | None = None,
    fetcher: Fetcher | None = None,
    on_progress: OnProgress | None = None,
) -> Embedded:
    """Embed every item of a data set; its declared columns are terms beside the embeddings, whatever is left out.

    Embeddings are rounded to float16, as they are stored. A picture that cannot be read leaves its item with its text.
    Raises `InvalidInput`, naming the item, for an embedding that float16 cannot hold.

    Parameters
    ----------
    text, image : encoders, optional
        ``None`` leaves the modality out.
    cache : folder, optional
        Where embeddings are kept by content and encoder, so that unchanged contents are not encoded again.
    """
    n, ids = len(dataset.items), dataset.items.ids.ids
    texts, images = np.zeros((n, 0), np.float32), np.zeros((n, 0), np.float32)
    errors: dict[str, str] = {}
    if text is not None:
        encode_texts = text.encode
        sentences = list(_sentences(dataset.items))
        with _Cache(cache, text.fingerprint) as known:
            texts = known.through(
                [sentence.encode() for sentence in sentences],
                lambda rows: encode_texts([sentences[row] for row in rows]),
                ids=ids, dim=text.dim, modality=MODALITIES[0], on_progress=on_progress,
            )  # fmt: skip
    if image is not None:
        encode_images = image.encode
        pictures = _Pictures(dataset, fetcher or Fetcher(), errors)

        def encode(rows: Sequence[int]) -> Matrix:
            vectors = np.zeros((len(rows), image.dim), np.float32)
            decoded = {}
            for place, row in enumerate(rows):
                try:
                    decoded[place] = decode_picture(pictures[row], subject=ids[row])
                except InvalidInput as error:
                    errors[ids[row]] = str(error)
            if decoded:
                vectors[list(decoded)] = encode_images(list(decoded.values()))
            return vectors

        with _Cache(cache, image.fingerprint) as known:
            images = known.through(
                pictures, encode, ids=ids, dim=image.dim, modality=MODALITIES[1], on_progress=on_progress
            )
    terms = count_terms(dataset.items.attributes)
    present = np.stack([texts.any(axis=1) | (np.diff(terms.indptr) > 0), images.any(axis=1)], axis=1)
    return Embedded(Contents(texts, images, present, terms), errors)


def _sentences(items: Items) -> Iterator[str]:
    for row in range(len(items)):
        item = items.item(row)
        yield compose_text(item.title, item.text, item.attributes)


class _Pictures(Sequence[bytes]):
    """Each item's picture file, read when it is asked for; ``b""`` where there is none."""

    def __init__(self, dataset: Dataset, fetcher: Fetcher, errors: dict[str, str]) -> None:
        self.dataset, self.fetcher, self.errors = dataset, fetcher, errors

    def __len__(self) -> int:
        return len(self.dataset.items)

    def __getitem__(self, row: int) -> bytes:  # type: ignore[override]  # rows only: nobody slices
        source = self.dataset.items.image[row]
        try:
            return read_picture(source, root=self.dataset.root, fetcher=self.fetcher) if source else b""
        except ColdstartError as error:  # also of a host that is away: one picture must not end a run of thousands
            self.errors[self.dataset.items.ids.ids[row]] = str(error)
            return b""


class _Cache:
    """Embeddings of one encoder by the sha256 of their content, in one file that is replaced whole."""

    def __init__(self, folder: Path | None, fingerprint: str) -> None:
        name = hashlib.sha256(fingerprint.encode()).hexdigest()[:32]
        self.path = None if folder is None else folder / f"embeddings-{name}.safetensors"
        self.vectors: dict[str, Vector] = {}

    def __enter__(self) -> "_Cache":
        if self.path is not None and self.path.exists():
            try:
                stored = load_file(self.path)
                keys = [row.tobytes().hex() for row in stored["keys"]]
                self.vectors = dict(zip(keys, stored["vectors"].astype(np.float32), strict=True))
            except Exception as error:  # a cache that cannot be read is no reason to fail
                log.warning("embedding cache not used", extra={"path": str(self.path), "error": str(error)})
        self.known = len(self.vectors)
        return self

    def __exit__(self, *_: object) -> None:
        if self.path is None or len(self.vectors) == self.known:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        keys = np.frombuffer(bytes.fromhex("".join(self.vectors)), np.uint8).reshape(len(self.vectors), 32)
        vectors = np.stack(list(self.vectors.values())).astype(np.float16)
        write_file(self.path, save({"keys": keys, "vectors": vectors}))

    def through(
        self,
        contents: Sequence[bytes],
        encode: Callable[[Sequence[int]], Matrix],
        *,
        ids: Sequence[ExternalId],
        dim: int,
        modality: str,
        on_progress: OnProgress | None,
    ) -> Matrix:
        """Vectors [n, dim] of the contents, zeros for empty ones; ``encode`` gets the rows that are not known yet."""
        keys = [hashlib.sha256(content).hexdigest() if content else "" for content in contents]
        rows = list({key: row for row, key in enumerate(keys) if key and key not in self.vectors}.values())
        for start in range(0, len(rows), _BATCH):
            part = rows[start : start + _BATCH]
            for row, vector in zip(part, rounded(encode(part)), strict=True):
                require_finite(vector, f"{ids[row]}, {modality}")
                # Zeros stand for what could not be decoded: that is found again, and said again, the next time.
                if vector.any():
                    self.vectors[keys[row]] = vector
            if on_progress is not None:
                on_progress(modality, start + len(part), len(rows))
        vectors = np.zeros((len(contents), dim), np.float32)
        for row, key in enumerate(keys):
            if key in self.vectors:
                vectors[row] = self.vectors[key]
        return vectors
