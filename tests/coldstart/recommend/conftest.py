"""An empty shop, and one with two tastes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from coldstart.catalog import ItemStore, open_item_store
from coldstart.index.exact import ExactIndex
from coldstart.recommend import Recommender
from tests.coldstart.recommend.toy import make, stock


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ItemStore]:
    opened = open_item_store(f"sqlite:///{tmp_path / 'catalog.sqlite3'}")
    yield opened
    opened.close()


@pytest.fixture
def index() -> ExactIndex:
    return ExactIndex(2)


@pytest.fixture
def shop(store: ItemStore, index: ExactIndex) -> Recommender:
    stock(store, index)
    return make(store, index)
