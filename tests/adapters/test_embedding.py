import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from adapters.embedding import embed_items
from coldstart.dataset import Dataset, read_dataset
from coldstart.encoders import ImageEncoder, TextEncoder
from coldstart.encoders.fetch import Fetcher
from coldstart.encoders.image import CnnEncoder
from coldstart.encoders.text import SentenceEncoder
from coldstart.errors import InvalidInput
from coldstart.vectors import Matrix
from tests.coldstart.encoders.toys import make_cnn_file, make_text_model


@pytest.fixture(scope="module")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> tuple[TextEncoder, ImageEncoder]:
    folder = tmp_path_factory.mktemp("models")
    return SentenceEncoder(str(make_text_model(folder))), CnnEncoder(f"timm:test_resnet@{make_cnn_file(folder)}")


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    """A shoe with a picture, a boot without, a film with a broken one, and a twin of the shoe."""
    (tmp_path / "images").mkdir()
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(buffer, "PNG")
    (tmp_path / "images" / "shoe.png").write_bytes(buffer.getvalue())
    (tmp_path / "images" / "film.png").write_bytes(buffer.getvalue()[:60])
    pl.DataFrame(
        {
            "item_id": ["shoe", "boot", "film", "twin"],
            "title": ["red shoe", "blue boot", "blue film", "red shoe"],
            "image": ["images/shoe.png", None, "images/film.png", "images/shoe.png"],
        }
    ).write_csv(tmp_path / "items.csv")
    pl.DataFrame({"user_id": ["u"], "item_id": ["shoe"]}).write_csv(tmp_path / "interactions.csv")
    return read_dataset(tmp_path)


class Counting:
    """An encoder that counts what it is asked to encode."""

    def __init__(self, inner: TextEncoder) -> None:
        self.inner, self.dim, self.fingerprint, self.encoded = inner, inner.dim, inner.fingerprint, 0

    def encode(self, batch: Sequence[str]) -> Matrix:
        self.encoded += len(batch)
        return self.inner.encode(batch)


def test_each_item_gets_what_it_has(data: Dataset, encoders: tuple[TextEncoder, ImageEncoder]) -> None:
    text, image = encoders
    embedded = embed_items(data, text=text, image=image)
    assert embedded.contents.present.tolist() == [[True, True], [True, False], [True, False], [True, True]]
    np.testing.assert_allclose(embedded.contents.text, text.encode(data.items.title), atol=1e-3)
    assert not embedded.contents.image[1].any()


def test_a_broken_picture_is_a_remark(
    data: Dataset, encoders: tuple[TextEncoder, ImageEncoder], tmp_path: Path
) -> None:
    for _ in range(2):  # the second time from the cache
        errors = embed_items(data, text=None, image=encoders[1], cache=tmp_path / "cache").picture_errors
        assert list(errors) == ["film"] and "film" in errors["film"]


def test_a_host_that_is_away_leaves_the_item_with_its_text(
    data: Dataset, encoders: tuple[TextEncoder, ImageEncoder]
) -> None:
    def nobody(host: str, port: int) -> Sequence[str]:
        raise OSError("no such host")

    remote = replace(data, items=replace(data.items, image=(*data.items.image[:3], "https://pictures.example/1.png")))
    embedded = embed_items(remote, text=encoders[0], image=encoders[1], fetcher=Fetcher(["*"], resolver=nobody))
    assert embedded.contents.present.tolist() == [[True, True], [True, False], [True, False], [True, False]]
    assert "no such host" in embedded.picture_errors["twin"]


def test_an_embedding_that_cannot_be_kept_is_refused_by_name(data: Dataset, tmp_path: Path) -> None:
    class Huge:
        dim, fingerprint = 2, "huge"

        def encode(self, batch: Sequence[str]) -> Matrix:
            return np.array([[1.0, 1e5 if "boot" in text else 1.0] for text in batch], dtype=np.float32)

    with pytest.raises(InvalidInput, match="boot, text"):
        embed_items(data, text=Huge(), image=None, cache=tmp_path / "cache")


def test_nothing_is_encoded_twice(data: Dataset, encoders: tuple[TextEncoder, ImageEncoder], tmp_path: Path) -> None:
    counting = Counting(encoders[0])
    first = embed_items(data, text=counting, image=None, cache=tmp_path / "cache").contents
    assert counting.encoded == 3  # the twin has the shoe's text
    second = embed_items(data, text=counting, image=None, cache=tmp_path / "cache").contents
    assert counting.encoded == 3
    np.testing.assert_array_equal(first.text, second.text)


def test_a_broken_cache_is_made_again(
    data: Dataset, encoders: tuple[TextEncoder, ImageEncoder], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = embed_items(data, text=encoders[0], image=None, cache=tmp_path / "cache").contents
    (file,) = (tmp_path / "cache").iterdir()
    file.write_bytes(b"rubbish")
    np.testing.assert_array_equal(
        first.text, embed_items(data, text=encoders[0], image=None, cache=tmp_path / "cache").contents.text
    )
    assert "embedding cache not used" in caplog.text


def test_progress_reaches_the_end(data: Dataset, encoders: tuple[TextEncoder, ImageEncoder]) -> None:
    seen: list[tuple[str, int, int]] = []
    embed_items(data, text=encoders[0], image=encoders[1], on_progress=lambda *told: seen.append(told))
    assert seen == [("text", 3, 3), ("image", 2, 2)]
