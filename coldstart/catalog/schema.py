"""Brings a database to the newest tables when it is opened."""

import threading
from importlib.resources import files

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection, text

from coldstart.catalog.engine import Database
from coldstart.errors import Conflict

# Any number, the same in every version: who holds it may change the tables.
_ADVISORY_LOCK = 5_221_094_713
_THREADS = threading.Lock()  # Alembic keeps the migration under way in a global


def open_database(url: str) -> Database:
    """The database at a SQLAlchemy URL (SQLite or PostgreSQL), its tables the newest; for errors see `migrate`."""
    database = Database(url)
    try:
        migrate(database)
    except BaseException:
        database.close()
        raise
    return database


def migrate(database: Database) -> None:
    """Apply what is missing, in one transaction; processes that open at once wait for each other.

    Raises
    ------
    Conflict
        Where the tables were made by a newer version of this software.
    """
    with _THREADS, database.write(durable=True) as tx:
        if not database.is_sqlite:  # SQLite's write transaction excludes every other already
            tx.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
        try:
            command.upgrade(alembic_config(tx), "head")
        except CommandError as error:
            raise Conflict(
                f"the catalogue's tables are of a version unknown here ({error})",
                remedy="Run the version of coldstart that last opened it, or a newer one",
            ) from error


def alembic_config(tx: Connection) -> Config:
    """Alembic's settings for work on this connection."""
    config = Config(attributes={"connection": tx})
    config.set_main_option("script_location", str(files("coldstart.catalog") / "migrations"))
    config.set_main_option("path_separator", "os")
    return config
