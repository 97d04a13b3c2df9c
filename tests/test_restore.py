"""A backup taken amid writes, everything wiped, restored and started: the index is what the backup says."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest

from benchmarks import restore
from tests import servers
from tests.toyshop import make_shop

ITEMS = 80


@pytest.mark.parametrize(
    ("name", "database"), [("sqlite", lambda: nullcontext(None)), ("postgresql", servers.postgresql)]
)
def test_a_wiped_deployment_is_what_its_backup_says(
    name: str, database: Callable[[], AbstractContextManager[str | None]], cache: Path, tmp_path: Path
) -> None:
    shop = make_shop(tmp_path / "shop", cache=cache)
    newer = name == "sqlite"  # once is enough: what it asks of PostgreSQL, the contracts do
    drill = restore.run(
        shop.artifact, tmp_path, database=database, items=ITEMS, newer_index=newer, flags=["--cache-dir", str(cache)]
    )
    assert drill.items >= ITEMS // 2
    assert drill.changed_meanwhile > 0  # writes went on
    assert drill.lost == 0
    assert drill.gone > 0  # what came after the backup, which an index that outlives the catalogue knows
    assert drill.digest_equal and drill.newer_index_reconciled is (True if newer else None)
