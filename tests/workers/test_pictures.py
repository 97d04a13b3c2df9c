"""Pictures of a batch: each is read or remarked upon on its own."""

import base64
import threading

import pytest

from coldstart.catalog import Claim, ItemRecord, Status
from coldstart.encoders.fetch import Fetcher
from coldstart.entities import Item
from coldstart.errors import Unavailable
from tests.workers.toy import picture
from workers.pictures import FETCHES_AT_ONCE, PictureReader


class TogetherOnly(Fetcher):
    """A host that answers when as many ask as may at once, and is away for one address."""

    def __init__(self) -> None:
        super().__init__(["pictures.example"])
        self._all_here = threading.Barrier(FETCHES_AT_ONCE)

    def fetch(self, url: str) -> bytes:
        self._all_here.wait(timeout=10)
        if url.endswith("away.png"):
            raise Unavailable("no answer", subject=url)
        return picture("blue")


def claim(item_id: str, image: str | None, content: bytes | None = None) -> Claim:
    return Claim(ItemRecord(Item(item_id, "", image=image), 1, Status.ENCODING, 0.0), 1, picture=content)


@pytest.fixture
def reader() -> PictureReader:
    return PictureReader(TogetherOnly(), max_bytes=100_000, max_pixels=1_000_000)


def test_addresses_are_fetched_together_and_one_that_is_away_harms_no_other(reader: PictureReader) -> None:
    names = [f"{n}.png" for n in range(FETCHES_AT_ONCE - 1)] + ["away.png"]
    *read, (missing, error) = reader.read_all([claim(name, f"http://pictures.example/{name}") for name in names])
    assert all(image is not None and remark is None for image, remark in read)
    assert missing is None
    assert error is not None
    assert "no answer" in error


def test_sent_bytes_come_before_an_address(reader: PictureReader) -> None:
    [(image, error)] = reader.read_all([claim("a", "http://pictures.example/away.png", picture("red"))])
    assert error is None
    assert image is not None
    assert image.getpixel((0, 0)) == (255, 0, 0)


def test_a_data_url_is_a_picture(reader: PictureReader) -> None:
    url = "data:image/png;base64," + base64.b64encode(picture("red")).decode()
    [(image, error)] = reader.read_all([claim("a", url)])
    assert (image is not None, error) == (True, None)


def test_no_picture_is_no_error(reader: PictureReader) -> None:
    assert reader.read_all([claim("a", None)]) == [(None, None)]


def test_pictures_are_fetched_together_and_decoded_one_by_one(
    reader: PictureReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight at the cap, decoded together, would take eight times the memory."""
    alone, seen = threading.Lock(), []

    def decode(data: bytes, **limits: object) -> str:
        seen.append(alone.acquire(blocking=False))
        threading.Event().wait(0.001)  # room for another thread to come in between
        alone.release()
        return "decoded"

    monkeypatch.setattr("workers.pictures.decode_picture", decode)
    names = [f"{n}.png" for n in range(FETCHES_AT_ONCE)]
    reader.read_all([claim(name, f"http://pictures.example/{name}") for name in names])
    assert seen == [True] * FETCHES_AT_ONCE
