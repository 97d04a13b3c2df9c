"""A real store and a real embedded index, around toy encoders."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest

from adapters.serving import ServedAdapter
from coldstart.catalog import ItemStore, open_item_store
from coldstart.encoders.fetch import Fetcher
from coldstart.index import VectorIndex, open_index_store
from coldstart.telemetry import Telemetry
from tests.workers.toy import MeanColour, SideBySide, WordCounter
from workers.encoding import BatchEncoder
from workers.ingest import Ingestor
from workers.models import Models
from workers.pictures import PictureReader


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ItemStore]:
    opened = open_item_store(f"sqlite:///{tmp_path / 'catalog.sqlite3'}")
    yield opened
    opened.close()


@pytest.fixture
def index(tmp_path: Path) -> Iterator[VectorIndex]:
    indexes = open_index_store(root=tmp_path / "index")
    yield indexes.create("toy", SideBySide.dim)
    indexes.close()


@dataclass
class Works:
    """An ingestor and what can be looked at around it."""

    store: ItemStore
    index: VectorIndex
    words: WordCounter
    telemetry: Telemetry
    ingestor: Ingestor


@pytest.fixture
def build(store: ItemStore, index: VectorIndex) -> Callable[..., Works]:
    def make(
        open_text: Callable[[], WordCounter] | None = None, adapter: SideBySide | None = None, **changes: Any
    ) -> Works:
        words, telemetry = WordCounter(), Telemetry()
        models = Models(open_text or (lambda: words), MeanColour)
        pictures = PictureReader(Fetcher(), max_bytes=100_000, max_pixels=1_000_000)
        encoder = BatchEncoder(cast(ServedAdapter, adapter or SideBySide()), models, pictures)
        parts: dict[str, Any] = {
            "store": store, "index": index, "encoder": encoder, "telemetry": telemetry, "batch": 8, "lease_s": 60.0,
            "max_attempts": 3,
        }  # fmt: skip
        return Works(store, index, words, telemetry, Ingestor(**(parts | changes)))

    return make


@pytest.fixture
def works(build: Callable[..., Works]) -> Works:
    return build()
