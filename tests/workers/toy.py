"""Small parts with obvious outcomes: a text is its tea and its coffee, a picture its mean colour, an item both."""

import io
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from coldstart.catalog import Draft
from coldstart.entities import Attributes, ExternalId, Item
from coldstart.vectors import Mask, Matrix


@dataclass
class WordCounter:
    """A `TextEncoder`: [tea, coffee]. A text with ``poison`` in it fails, as does the batch around it.

    Eight teas are one too many: their embedding is finite, but not in the half precision in which it is stored.
    """

    dim: int = 2
    fingerprint: str = "words"
    batches: list[list[str]] = field(default_factory=list)

    def encode(self, batch: Sequence[str]) -> Matrix:
        self.batches.append(list(batch))
        if any("poison" in text for text in batch):
            raise RuntimeError("the tokeniser choked")
        counts = [[text.lower().count("tea"), text.lower().count("coffee")] for text in batch]
        embeddings = np.array(counts, dtype=np.float32).reshape(len(batch), 2)
        embeddings[embeddings[:, 0] == 8] *= 1e5
        return embeddings


@dataclass
class MeanColour:
    """An `ImageEncoder`: [red, green, blue], each 0 to 1."""

    dim: int = 3
    fingerprint: str = "colours"

    def encode(self, batch: Sequence[Image.Image]) -> Matrix:
        means = [np.asarray(picture, dtype=np.float32).mean(axis=(0, 1)) / 255 for picture in batch]
        return np.array(means, dtype=np.float32).reshape(len(batch), 3)


@dataclass(frozen=True)
class Served:
    """What `ServedAdapter.serve` answers."""

    vectors: Matrix
    gates: Matrix
    cold: Mask


@dataclass(frozen=True)
class SideBySide:
    """Serves [text, image], D = 5. A text that counts tea 7 times becomes a vector that is not finite."""

    version: str = "toy"
    dim: int = 5

    def serve(
        self,
        item_ids: Sequence[ExternalId],
        text: Matrix,
        image: Matrix,
        present: Mask,
        attributes: Sequence[Attributes] | None = None,
    ) -> Served:
        vectors = np.hstack([text, image])
        vectors[text[:, 0] == 7] = np.nan
        gates = present / np.maximum(present.sum(axis=1, keepdims=True), 1)
        return Served(vectors, gates.astype(np.float32), np.array([not i.startswith("warm") for i in item_ids]))

    def remembered(self, item_ids: Sequence[ExternalId]) -> tuple[Matrix, Matrix, Mask]:
        """Nothing: it was not trained."""
        b = len(item_ids)
        return np.zeros((b, 2), np.float32), np.zeros((b, 3), np.float32), np.zeros((b, 2), np.bool_)


def picture(colour: str = "red", size: int = 32) -> bytes:
    """A PNG of one colour."""
    buffer = io.BytesIO()
    Image.new("RGB", (size, size), colour).save(buffer, "PNG")
    return buffer.getvalue()


def draft(item_id: ExternalId, title: str = "Tea", *, image: bytes | None = None) -> Draft:
    """An item to accept."""
    return Draft(Item(item_id, title), picture=image)


def wait_until(condition: Callable[[], bool], *, seconds: float = 20.0, what: str = "the condition") -> None:
    """Return as soon as the condition holds; fail where it does not in time."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not hold within {seconds} s")
        pause.wait(0.01)
