"""What follows from settings for several parts at once."""

import pytest

from coldstart.settings import Settings


@pytest.mark.parametrize(
    ("url", "embedded"), [(None, True), ("sqlite:///here.sqlite3", True), ("postgresql://postgres@host/db", False)]
)
def test_a_catalogue_is_embedded_where_it_is_a_file(url: str | None, embedded: bool) -> None:
    assert Settings(database_url=url).embeds_catalog is embedded
