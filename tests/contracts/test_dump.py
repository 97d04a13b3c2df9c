"""A catalogue copied into a file while it is written to, and brought back, on SQLite and on PostgreSQL."""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import text

from coldstart.catalog import Draft, ItemStore, Stage, Status, open_item_store
from coldstart.catalog.dump import dump, is_vacant, load
from coldstart.catalog.engine import Database
from coldstart.entities import Event, Item
from coldstart.errors import ColdstartError, Conflict, NotFound, Unavailable


def put(store: ItemStore, *item_ids: str) -> None:
    store.accept([Draft(Item(item_id, f"Title of {item_id}"), picture=item_id.encode()) for item_id in item_ids])


@pytest.fixture
def store(url: str) -> Iterator[ItemStore]:
    with closing(open_item_store(url)) as opened:
        yield opened


def emptied(url: str) -> str:
    """The same address with nothing there: a dump knows the name of its schema."""
    database = Database(url)
    if database.is_sqlite:
        Path(str(database.engine.url.database)).unlink()
    else:
        with database.write() as tx:
            schema = tx.execute(text("SELECT current_schema()")).scalar_one()
            tx.execute(text(f'DROP SCHEMA "{schema}" CASCADE'))
            tx.execute(text(f'CREATE SCHEMA "{schema}"'))
    database.close()
    return url


def test_everything_comes_back(url: str, tmp_path: Path) -> None:
    with closing(open_item_store(url)) as store:
        put(store, "a", "ü", "gone")
        store.delete("gone")
        store.record_events([Event("e1", "u", "a", 5.0)])
        before = store.list_items(limit=9)
        dump(url, tmp_path / "dump")
    assert not is_vacant(url)
    assert is_vacant(emptied(url))
    load(tmp_path / "dump", url)
    assert not is_vacant(url)
    with closing(open_item_store(url)) as store:
        assert store.list_items(limit=9) == before
        assert store.picture("ü") == "ü".encode()
        assert [event.event_id for event in store.recent_events("u", limit=9)] == ["e1"]
        assert store.counts()[Status.DELETED] == 1 and store.due(Stage.ENCODE) == 2
        put(store, "gone")
        assert store.get("gone").version == 3  # versions go on counting


def test_a_dump_is_one_instant_of_what_is_written_meanwhile(store: ItemStore, url: str, tmp_path: Path) -> None:
    over, started = threading.Event(), threading.Event()

    def write() -> None:
        for n in count():
            store.accept([Draft(Item("first", f"{n}")), Draft(Item("second", f"{n}"))])  # one transaction
            started.set()
            if over.is_set():
                return

    put(store, *(f"i{n}" for n in range(3000)))
    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert started.wait(10)
        before = store.get("first").version
        dump(url, tmp_path / "dump")
        after = store.get("first").version
    finally:
        over.set()
        writer.join()
    assert after > before  # it did not wait for the dump
    store.close()
    load(tmp_path / "dump", emptied(url))
    with closing(open_item_store(url)) as restored:
        first, second = restored.get("first"), restored.get("second")
    assert before <= first.version == second.version <= after
    assert first.item.title == second.item.title


def test_what_is_there_is_not_written_over(store: ItemStore, url: str, tmp_path: Path) -> None:
    put(store, "a")
    dump(url, tmp_path / "dump")
    put(store, "b")
    with pytest.raises(Conflict, match="restore into"):
        load(tmp_path / "dump", url)
    assert store.get("b").version == 1


def test_a_file_that_is_no_dump_leaves_nothing_behind(url: str, tmp_path: Path) -> None:
    (tmp_path / "dump").write_bytes(b"no dump at all" * 1000)
    with pytest.raises(ColdstartError):
        load(tmp_path / "dump", emptied(url) if url.startswith("postgresql") else url)
    assert is_vacant(url)


def test_what_an_old_sqlite_catalogue_left_beside_would_be_replayed_into_the_new_one(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/state/catalog.sqlite3"
    with closing(open_item_store(url)) as store:
        put(store, "a")
        dump(url, tmp_path / "dump")
    Path(tmp_path / "state/catalog.sqlite3").unlink()
    assert is_vacant(url)
    (tmp_path / "state/catalog.sqlite3-wal").write_bytes(b"frames")
    assert not is_vacant(url)
    with pytest.raises(Conflict, match=r"catalog\.sqlite3-wal"):
        load(tmp_path / "dump", url)


def test_a_catalogue_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"catalog\.sqlite3"):
        dump(f"sqlite:///{tmp_path}/catalog.sqlite3", tmp_path / "dump")
    assert not (tmp_path / "catalog.sqlite3").exists()


def test_a_damaged_sqlite_catalogue_is_not_saved_as_if_it_were_whole(tmp_path: Path) -> None:
    url, file = f"sqlite:///{tmp_path}/catalog.sqlite3", tmp_path / "catalog.sqlite3"
    with closing(open_item_store(url)) as store:
        put(store, *(f"i{n}" for n in range(500)))
    raw = bytearray(file.read_bytes())
    raw[8192 : len(raw) // 2] = b"\x5a" * (len(raw) // 2 - 8192)
    file.write_bytes(raw)
    with pytest.raises(Unavailable, match="damaged"):
        dump(url, tmp_path / "dump")


def test_progress_is_told(url: str, store: ItemStore, tmp_path: Path) -> None:
    put(store, "a")
    told: list[tuple[int, int]] = []
    dump(url, tmp_path / "dump", on_progress=lambda done, total: told.append((done, total)))
    assert told[-1][0] == told[-1][1] > 0


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Hides PostgreSQL's programs."""

    def hide() -> None:
        monkeypatch.setenv("PATH", "")
        monkeypatch.setattr("coldstart.catalog.dump.DEBIAN", Path("/nowhere"))

    return hide


def test_without_postgresqls_programs_it_says_what_to_install(
    cluster: Callable[[], str], nowhere: Callable[[], None], tmp_path: Path
) -> None:
    url = cluster()
    open_item_store(url).close()
    nowhere()
    with pytest.raises(Unavailable, match=r"pg_dump is not installed.*postgresql-client"):
        dump(url, tmp_path / "dump")


def test_a_server_that_is_away_is_said_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(Unavailable) as refused:
        dump("postgresql://me:hush-hush@127.0.0.1:1/shop", tmp_path / "dump")
    assert "hush-hush" not in str(refused.value)
