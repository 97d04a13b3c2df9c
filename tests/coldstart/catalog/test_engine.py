import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from coldstart.catalog import open_item_store
from coldstart.catalog.engine import Database
from coldstart.errors import InvalidInput, Unavailable


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "made" / "when needed" / "catalog.sqlite3"


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{path}?timeout=0.05")
    yield database
    database.close()


@pytest.mark.parametrize(("durable", "synchronous"), [(False, 1), (True, 2)])
def test_what_a_caller_is_told_survives_a_power_cut(database: Database, durable: bool, synchronous: int) -> None:
    with database.write(durable=durable) as tx:
        assert tx.execute(text("PRAGMA synchronous")).scalar_one() == synchronous
        assert tx.execute(text("PRAGMA journal_mode")).scalar_one() == "wal"
        assert tx.execute(text("PRAGMA foreign_keys")).scalar_one() == 1


def test_an_exception_rolls_back(database: Database) -> None:
    with pytest.raises(RuntimeError), database.write() as tx:
        tx.execute(text("CREATE TABLE t (a)"))
        raise RuntimeError
    with database.read() as tx:
        assert tx.execute(text("SELECT count(*) FROM sqlite_master")).scalar_one() == 0


def test_errors_do_not_quote_what_a_statement_was_about(database: Database) -> None:
    with pytest.raises(IntegrityError) as caught, database.write() as tx:
        tx.execute(text("CREATE TABLE t (who PRIMARY KEY)"))
        for _ in range(2):
            tx.execute(text("INSERT INTO t VALUES (:who)"), {"who": "somebody"})
    assert "t.who" in str(caught.value) and "somebody" not in str(caught.value)


def test_what_is_deleted_is_overwritten(database: Database, path: Path) -> None:
    with database.write() as tx:
        tx.execute(text("CREATE TABLE t (a)"))
        tx.execute(text("INSERT INTO t VALUES ('a-secret')"))
    with database.write() as tx:
        tx.execute(text("DELETE FROM t"))
    database.close()
    assert b"a-secret" not in path.read_bytes()


def test_the_log_can_be_told_to_let_go_of_what_is_gone(database: Database, path: Path) -> None:
    with database.write() as tx:
        tx.execute(text("CREATE TABLE t (a)"))
        tx.execute(text("INSERT INTO t VALUES ('a-secret')"))
    with database.write() as tx:
        tx.execute(text("DELETE FROM t"))

    def told() -> bool:
        return any(b"a-secret" in each.read_bytes() for each in path.parent.iterdir())

    assert told()
    with database.read() as reader:
        reader.execute(text("SELECT count(*) FROM t"))
        database.clear_log()  # which gives up
    assert told()
    database.clear_log()
    assert not told()


def test_readers_do_not_wait_for_a_writer(database: Database) -> None:
    with database.write() as writer:
        writer.execute(text("CREATE TABLE t (a)"))
        with database.read() as reader:
            assert reader.execute(text("SELECT count(*) FROM sqlite_master")).scalar_one() == 0


def test_a_database_locked_by_another_program_is_unavailable(database: Database, path: Path) -> None:
    with database.read():
        pass
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable, match="locked"), database.write():
        pass
    other.close()
    with database.write():
        pass


def test_a_file_that_is_no_database_is_unavailable(database: Database, path: Path) -> None:
    path.write_bytes(b"not a database, " * 100)
    with pytest.raises(Unavailable, match="not a database"), database.read():
        pass


def test_a_server_that_does_not_answer_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="does not answer"):
        open_item_store(f"postgresql://nobody@/catalog?host={tmp_path}")


@pytest.mark.parametrize("url", ["", "catalog.sqlite3", "sqlite://", "sqlite:///:memory:", "mysql://u:secret@h/d"])
def test_a_url_that_cannot_be_used_says_which_can(url: str) -> None:
    with pytest.raises(InvalidInput, match="sqlite:///FILE") as caught:
        open_item_store(url)
    assert "secret" not in str(caught.value)


def test_a_new_file_that_another_program_writes_is_waited_for(tmp_path: Path) -> None:
    """Left to itself, SQLite refuses the switch to WAL at once here, whatever the timeout."""
    path = tmp_path / "new.sqlite3"
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("CREATE TABLE other (x)")
        other.execute("BEGIN IMMEDIATE")
        other.execute("INSERT INTO other VALUES (1)")
        refused = sqlite3.connect(path)
        with closing(refused), pytest.raises(sqlite3.OperationalError, match="locked"):
            refused.execute("PRAGMA journal_mode=WAL")
        done = threading.Timer(0.2, other.execute, ["COMMIT"])
        done.start()
        database = Database(f"sqlite:///{path}")
        with database.read() as tx:
            assert tx.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        database.close()
        done.join()


def test_what_a_statement_was_given_is_in_no_error(database: Database) -> None:
    """Errors are logged, and ids of users have no place in a log."""
    add, row = text("INSERT INTO people VALUES (:user_id)"), {"user_id": "somebody"}
    with database.write() as tx:
        tx.execute(text("CREATE TABLE people (user_id TEXT PRIMARY KEY)"))
        tx.execute(add, row)
    with pytest.raises(IntegrityError) as caught, database.write() as tx:
        tx.execute(add, row)
    assert "somebody" not in str(caught.value)
