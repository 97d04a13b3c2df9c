"""Embeddings on their way into the adapter."""

import threading
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from PIL import Image

from coldstart.catalog import Status
from coldstart.catalog.rows import from_blob, to_blob
from coldstart.vectors import Matrix
from tests.workers.conftest import Works
from tests.workers.toy import MeanColour, WordCounter, draft, picture
from workers.encoding import embed


def test_an_item_is_adapted_from_the_embedding_that_its_row_will_hold() -> None:
    embeddings, present = embed(MeanColour(), [Image.new("RGB", (4, 4), (200, 100, 50)), None])
    assert present.tolist() == [True, False]
    stored = from_blob(to_blob(embeddings[0], "<f2", "new"), "<f2")
    assert stored is not None
    np.testing.assert_array_equal(stored, embeddings[0])


def test_the_text_and_the_picture_of_a_lone_item_are_encoded_at_the_same_time(
    build: Callable[..., Works], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each waits for the other to begin: one after the other, neither would end."""
    both = threading.Barrier(2, timeout=20)
    look = MeanColour.encode

    class Waiting(WordCounter):
        def encode(self, batch: Sequence[str]) -> Matrix:
            both.wait()
            return super().encode(batch)

    def looked(encoder: MeanColour, batch: Sequence[Image.Image]) -> Matrix:
        both.wait()
        return look(encoder, batch)

    monkeypatch.setattr(MeanColour, "encode", looked)
    works = build(Waiting)
    works.store.accept([draft("a", image=picture("red"))])
    assert works.ingestor.encode_due() == 1
    assert works.store.get("a").status is Status.RETRIEVABLE
    assert works.index.fetch(["a"])["a"].vector.tolist() == [1, 0, 1, 0, 0]
