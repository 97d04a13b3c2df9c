"""A catalogue as one file, taken while it is written to, and back into a place where there is none.

SQLite's file is copied by its online backup, within one read transaction: writers go on, and what they commit meanwhile
is not in the copy. PostgreSQL's own ``pg_dump`` and ``pg_restore`` do the same for the tables of this software.
"""

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from sqlalchemy import URL, inspect, make_url, text

from coldstart.catalog.engine import Database
from coldstart.catalog.models import metadata
from coldstart.errors import Conflict, NotFound, Unavailable
from coldstart.folder import copy_file, sync

OnProgress = Callable[[int, int], None]

DEBIAN = Path("/usr/lib/postgresql")
_TABLES = (*metadata.tables, "alembic_version")
_PAGES = 256  # copied at a time, between two words on how far it is
_BESIDE = ("", "-wal", "-shm", "-journal")  # what belongs to a SQLite file


def dump(url: str, file: Path, *, on_progress: OnProgress = lambda done, total: None) -> None:
    """Write the catalogue as it is at one instant into a file, forced to the disk.

    Raises
    ------
    NotFound
        Where there is no catalogue.
    Unavailable
        Where the database is away or damaged, or ``pg_dump`` is not installed.
    """
    if is_sqlite(url):
        _dump_sqlite(_file(url), file, on_progress)
        return
    if is_vacant(url):
        raise NotFound("the database holds no catalogue", subject=_shown(url), remedy="Check --database-url")
    schema = _schema(url)
    tables = [f'--table="{schema}"."{table}"' for table in _TABLES]
    _run("pg_dump", url, ["--format=custom", "--no-owner", "--no-privileges", f"--file={file}", *tables])
    sync(file)
    on_progress(1, 1)


def load(file: Path, url: str, *, on_progress: OnProgress = lambda done, total: None) -> None:
    """Bring a dump back, whole or not at all.

    Raises
    ------
    Conflict
        Where there is a catalogue already, or what one left behind.
    Unavailable
        Where the database is away, the file is no dump of its kind, or ``pg_restore`` is not installed.
    """
    if left := _left(url):
        raise Conflict(
            "there is a catalogue, or what one left", subject=left,
            remedy="Move it away, or restore into another data folder or database",
        )  # fmt: skip
    if is_sqlite(url):
        _check_sqlite(file)
        place = _file(url)
        place.parent.mkdir(parents=True, exist_ok=True)
        fresh = place.with_name(f".{place.name}.new")
        copy_file(file, fresh, on_progress=on_progress)
        fresh.rename(place)
        sync(place.parent)
        return
    wanted = ["--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges", str(file)]
    _run("pg_restore", url, wanted)
    on_progress(1, 1)


def is_vacant(url: str) -> bool:
    """Whether nothing of a catalogue is there, so that one may be restored."""
    return not _left(url)


def is_sqlite(url: str) -> bool:
    """Whether the catalogue is a file."""
    return make_url(url).get_backend_name() == "sqlite"


def _left(url: str) -> str | None:
    """The name of something that a catalogue consists of, where there is any of it."""
    if is_sqlite(url):
        paths = [Path(f"{_file(url)}{suffix}") for suffix in _BESIDE]
        return next((str(path) for path in paths if path.exists()), None)
    with closing(Database(url)) as database, database.read() as tx:
        there = set(inspect(tx).get_table_names())
    return next((f"table {table}" for table in _TABLES if table in there), None)


def _dump_sqlite(source: Path, file: Path, on_progress: OnProgress) -> None:
    if not source.exists():
        raise NotFound("there is no catalogue", subject=str(source), remedy="Check --data-dir and --database-url")
    try:
        with (
            closing(sqlite3.connect(source, isolation_level=None)) as live,
            closing(sqlite3.connect(file, isolation_level=None)) as copy,
        ):
            # Held until the end. Without it the copy would begin anew with every commit of another process.
            live.execute("BEGIN")
            live.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            live.backup(copy, pages=_PAGES, progress=lambda _, left, total: on_progress(total - left, total))
            live.execute("ROLLBACK")
            copy.execute("PRAGMA journal_mode=DELETE")  # all in the one file
        _check_sqlite(file)
    except sqlite3.DatabaseError as error:
        raise Unavailable(
            f"the catalogue cannot be copied: {error}", subject=str(source), remedy="Check the file and its disk"
        ) from error
    sync(file)


def _check_sqlite(file: Path) -> None:
    """Raise `Unavailable` where the file is no whole SQLite database."""
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as database:
            [(found,), *_] = database.execute("PRAGMA integrity_check(1)").fetchall()
    except sqlite3.DatabaseError as error:
        found = str(error)
    if found != "ok":
        raise Unavailable(
            f"the catalogue's copy is damaged: {found}", subject=str(file), remedy="Restore an older backup"
        )


def _file(url: str) -> Path:
    return Path(make_url(url).database or "")


def _schema(url: str) -> str:
    with closing(Database(url)) as database, database.read() as tx:
        return str(tx.execute(text("SELECT current_schema()")).scalar_one())


def _run(program: str, url: str, arguments: Sequence[str]) -> None:
    """Run one of PostgreSQL's programs on the database; its password is not among the arguments, which others see."""
    parsed = make_url(url)
    environment = {**os.environ, **({"PGPASSWORD": str(parsed.password)} if parsed.password else {})}
    done = subprocess.run(  # noqa: S603 (a program of PostgreSQL's, and no shell)
        [_program(program), f"--dbname={_libpq(parsed)}", "--no-password", *arguments],
        env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
    )  # fmt: skip
    if done.returncode != 0:
        said = " ".join(done.stderr.split())[:500]
        raise Unavailable(f"{program} failed: {said}", subject=_shown(url), remedy="Check the server and its version")


def _program(name: str) -> str:
    """Where the program is: the newest that Debian has, which reads every older server, or what PATH names."""
    found = sorted(DEBIAN.glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3])) if DEBIAN.exists() else []
    program = str(found[-1]) if found else shutil.which(name)
    if program is None:
        raise Unavailable(
            f"{name} is not installed, which a catalogue on PostgreSQL is saved and restored with",
            remedy="Install PostgreSQL's client of the server's version or newer (Debian: postgresql-client)",
        )
    return program


def _libpq(url: URL) -> str:
    """As PostgreSQL's own programs read it."""
    return url.set(drivername="postgresql", password=None).render_as_string()


def _shown(url: str) -> str:
    return make_url(url).render_as_string(hide_password=True)
