from itertools import product
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import event, inspect, text

from coldstart.catalog.engine import Database
from coldstart.catalog.models import metadata
from coldstart.catalog.newcomers import newcomers
from coldstart.catalog.schema import alembic_config, migrate
from coldstart.errors import Conflict
from tests import servers


def agrees(url: str) -> None:
    database = Database(url)
    migrate(database)
    migrate(database)
    with database.read() as tx:
        context = MigrationContext.configure(tx, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []
    with database.write() as tx:
        command.downgrade(alembic_config(tx), "base")
        assert inspect(tx).get_table_names() == ["alembic_version"]
    database.close()


def test_models_and_migrations_agree_on_sqlite(tmp_path: Path) -> None:
    agrees(f"sqlite:///{tmp_path}/catalog.sqlite3")


def test_models_and_migrations_agree_on_postgresql() -> None:
    with servers.postgresql() as url:
        agrees(url)


def test_newcomers_are_found_without_a_look_at_any_item(tmp_path: Path) -> None:
    database, statements = Database(f"sqlite:///{tmp_path}/catalog.sqlite3"), list[tuple[str, Any]]()
    migrate(database)
    with database.read() as tx:
        event.listen(tx, "before_cursor_execute", lambda *told: statements.append((told[2], told[3])))
        newcomers(tx, since=0.0, limit=9)
        sought, given = next(told for told in statements if "impressions" in told[0])
        plan = [row.detail for row in tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {sought}", given)]
    database.close()
    assert any("COVERING INDEX ix_items_cold" in step for step in plan), plan


def counts_what_there_was(url: str) -> None:
    """Events of before there were hours are in them after the migration, as if they had come since."""
    database = Database(url)
    with database.write() as tx:
        command.upgrade(alembic_config(tx), "0006")
    hours = [0.0, 3599.9, 3600.0, 5401.0, 7199.9]
    kinds = ["click", "view", "purchase", "dislike", "of one's own"]
    with database.write() as tx:
        for n, (timestamp, kind) in enumerate(product(hours, kinds)):
            values = {"id": f"{n}", "kind": kind, "time": timestamp}
            tx.execute(text("INSERT INTO events VALUES (:id, 'u', 'a', :kind, :time, 0)"), values)
    migrate(database)
    with database.read() as tx:
        assert tx.execute(text("SELECT hour, item_id, times FROM item_hours ORDER BY hour")).all() == [
            (0, "a", 6), (1, "a", 9),
        ]  # fmt: skip
    database.close()


def test_events_are_counted_when_the_hours_come_on_sqlite(tmp_path: Path) -> None:
    counts_what_there_was(f"sqlite:///{tmp_path}/catalog.sqlite3")


def test_events_are_counted_when_the_hours_come_on_postgresql() -> None:
    with servers.postgresql() as url:
        counts_what_there_was(url)


def test_tables_of_a_newer_version_are_refused_and_left_alone(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/catalog.sqlite3")
    migrate(database)
    with database.write() as tx:
        tx.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(Conflict, match="9999"):
        migrate(database)
    with database.read() as tx:
        assert tx.execute(text("SELECT version_num FROM alembic_version")).scalar_one() == "9999"
    database.close()
