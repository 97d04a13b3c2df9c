"""Embeddings on their way into the adapter."""

import numpy as np
from PIL import Image

from coldstart.catalog.rows import from_blob, to_blob
from tests.workers.toy import MeanColour
from workers.encoding import embed


def test_an_item_is_adapted_from_the_embedding_that_its_row_will_hold() -> None:
    embeddings, present = embed(MeanColour(), [Image.new("RGB", (4, 4), (200, 100, 50)), None])
    assert present.tolist() == [True, False]
    stored = from_blob(to_blob(embeddings[0], "<f2", "new"), "<f2")
    assert stored is not None
    np.testing.assert_array_equal(stored, embeddings[0])
