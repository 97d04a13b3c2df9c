from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select

from coldstart.catalog import Draft, Embeddings, Encoded
from coldstart.catalog.models import items
from coldstart.catalog.rows import check_text, digest, from_blob, storable, to_blob
from coldstart.catalog.statements import chunks
from coldstart.catalog.store import SqlItemStore
from coldstart.entities import Item
from coldstart.errors import InvalidInput


def test_vectors_come_back_at_the_precision_they_are_stored_in() -> None:
    vector = np.array([1.0, -0.1, 60000.0], dtype=np.float32)
    for dtype, size in (("<f2", 6), ("<f4", 12)):
        blob = to_blob(vector, dtype, "a")
        assert blob is not None
        assert len(blob) == size
        back = from_blob(blob, dtype)
        assert back is not None
        assert back.dtype == np.float32
        assert back.tolist() == vector.astype(dtype).astype(np.float32).tolist()
    assert to_blob(None, "<f2", "a") is None
    assert from_blob(None, "<f2") is None


def test_what_does_not_fit_into_float16_is_refused() -> None:
    with pytest.raises(InvalidInput, match="a: "):
        to_blob(np.array([70000.0], dtype=np.float32), "<f2", "a")


def test_the_row_keeps_content_in_float16_and_the_served_vector_in_float32(tmp_path: Path) -> None:
    store = SqlItemStore(f"sqlite:///{tmp_path}/catalog.sqlite3")
    embeddings = Embeddings(text=np.full(384, 0.5, dtype=np.float32), image=np.full(1280, 0.25, dtype=np.float32))
    encoded = Encoded("a", 0, embeddings, np.full(64, 0.1, dtype=np.float32), {}, True, "adapter-1")
    store.accept_encoded([(Draft(Item("a", "t")), encoded)])
    with store._database.read() as tx:
        row = tx.execute(select(items)).one()
    assert row.text_embedding == np.full(384, 0.5, dtype="<f2").tobytes()
    assert row.image_embedding == np.full(1280, 0.25, dtype="<f2").tobytes()
    assert row.vector == np.full(64, 0.1, dtype="<f4").tobytes()
    assert store.get("a").modalities == ("text", "image")
    store.close()


def test_a_message_becomes_storable() -> None:
    assert storable("nul \0 and \ud800") == "nul \ufffd and ?"
    assert storable("é 🦊") == "é 🦊"
    assert storable(None) is None


@pytest.mark.parametrize("text", ["\0", "a\udfff"])
def test_text_that_no_database_takes(text: str) -> None:
    with pytest.raises(InvalidInput, match="subject: "):
        check_text(text, subject="subject")


def test_a_picture_is_named_by_its_content() -> None:
    assert digest(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_chunks() -> None:
    assert list(chunks([1, 2, 3, 4, 5], 2)) == [[1, 2], [3, 4], [5]]
    assert list(chunks([], 2)) == []
