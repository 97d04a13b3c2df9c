"""Databases of both kinds for the contracts of what is kept in one."""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text

from tests import servers


@pytest.fixture(scope="package")
def cluster() -> Iterator[Callable[[], str]]:
    """Makes a new, empty schema (a tenth of the time of a database) and returns the URL that leads into it."""
    numbers = count()
    with servers.postgresql() as url:
        engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")

        def create() -> str:
            name = f"catalog{next(numbers)}"
            with engine.connect() as connection:
                connection.execute(text(f"CREATE SCHEMA {name}"))
            return f"{url}&options=-csearch_path%3D{name}"

        yield create
        engine.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def new_url(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], str]:
    """Makes a new, empty database of either kind and returns its URL."""
    if request.param == "postgresql":
        create: Callable[[], str] = request.getfixturevalue("cluster")
        return create
    numbers = count()
    return lambda: f"sqlite:///{tmp_path}/{next(numbers)}/catalog.sqlite3"


@pytest.fixture
def url(new_url: Callable[[], str]) -> str:
    return new_url()
