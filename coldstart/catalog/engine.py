"""The database behind the store: how it is opened, how a transaction begins, and which of our errors its errors become.

SQLite runs in WAL mode. A transaction that answers a caller (accept, delete, events) commits with ``synchronous=FULL``:
it survives a crash of the process, of the system and a power cut, as far as the disk honours fsync. A worker's
transaction (claim, encoded, done) commits with ``NORMAL``: it survives a crash of the process, and a power cut may undo
the last of them, which leaves a consistent earlier state whose work is simply done again. PostgreSQL decides by its own
``synchronous_commit``, on by default.

Errors do not quote the parameters of a statement: those are people's ids, and errors are logged.
"""

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from sqlite3 import SQLITE_BUSY, OperationalError
from sqlite3 import Connection as SqliteConnection
from time import monotonic, sleep

from sqlalchemy import URL, Connection, Engine, ExceptionContext, Table, create_engine, event, exc, make_url, text
from sqlalchemy.pool import ConnectionPoolEntry

from coldstart.errors import ColdstartError, InvalidInput, MissingExtra, Unavailable

_SYNCHRONOUS = "coldstart_synchronous"
# Together more than a service has threads: while the database hangs each of those may hold a connection.
_OVERFLOW, _POOL_PATIENCE_S = 40, 2.0
_READERS_PATIENCE_MS = 1000
_WAL_PATIENCE_S = 5.0  # as long as a write waits for another process's


class Database:
    """An engine with transactions that read, that write, and that write a table alone.

    Within a process SQLite's writers queue at a lock: left to SQLite's own polling, the 99th percentile of a write
    under contention is ten times as long.
    """

    def __init__(self, url: str) -> None:
        parsed = _checked(url)
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        self.engine = _sqlite(parsed) if self.is_sqlite else _postgresql(parsed)
        event.listen(self.engine, "handle_error", _translate)
        self._writers = threading.Lock() if self.is_sqlite else nullcontext()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only reads, of one consistent snapshot on SQLite."""
        with self._connect() as connection:
            yield connection

    @contextmanager
    def write(self, *, durable: bool = False) -> Iterator[Connection]:
        """A transaction that commits at the end, and is rolled back by an exception.

        With ``durable`` a caller is told of it: on SQLite it must outlive a power cut (see the module's text).
        """
        options = {_SYNCHRONOUS: "FULL" if durable else "NORMAL"}
        with self._writers, self._connect().execution_options(**options) as connection, connection.begin():
            yield connection

    @contextmanager
    def write_alone(self, table: Table) -> Iterator[Connection]:
        """A durable `write` beside which nobody else writes the table: each is a step from what is read before."""
        with self.write(durable=True) as connection:
            if not self.is_sqlite:  # whose writers are alone already
                connection.execute(text(f"LOCK TABLE {table.name} IN SHARE ROW EXCLUSIVE MODE"))
            yield connection

    def clear_log(self) -> None:
        """Let go of what SQLite's log still says of rows that are gone; a reader in the way leaves that for later.

        PostgreSQL's log and dead rows are its own affair (`VACUUM`, checkpoints).
        """
        if self.is_sqlite:
            with self._writers, closing(self.engine.raw_connection()) as raw:
                cursor = raw.cursor()
                [before_ms] = cursor.execute("PRAGMA busy_timeout").fetchone()
                cursor.execute(f"PRAGMA busy_timeout={_READERS_PATIENCE_MS}")
                cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
                cursor.execute(f"PRAGMA busy_timeout={before_ms}")

    def close(self) -> None:
        """Close the pooled connections."""
        self.engine.dispose()

    def _connect(self) -> Connection:
        try:
            return self.engine.connect()
        except exc.TimeoutError:
            raise Unavailable(
                "every connection to the database is taken", remedy="Check that the database answers, and try again"
            ) from None


def _checked(url: str) -> URL:
    try:
        parsed = make_url(url)
    except exc.ArgumentError:
        raise InvalidInput(
            "the URL cannot be read", subject="database_url",
            remedy="Write sqlite:///FILE or postgresql://USER:PASSWORD@HOST/DATABASE",
        ) from None  # fmt: skip
    match parsed.drivername:
        case "sqlite" if parsed.database and parsed.database != ":memory:":
            return parsed
        case "postgresql" | "postgres" | "postgresql+psycopg":
            return parsed.set(drivername="postgresql+psycopg")
        case _:
            raise InvalidInput(
                "the store needs a SQLite file or PostgreSQL",
                subject=parsed.render_as_string(hide_password=True),
                remedy="Write sqlite:///FILE or postgresql://USER:PASSWORD@HOST/DATABASE",
            )


def _postgresql(url: URL) -> Engine:
    try:
        return create_engine(
            url,
            pool_pre_ping=True,
            pool_size=10,
            max_overflow=_OVERFLOW,
            pool_timeout=_POOL_PATIENCE_S,
            hide_parameters=True,
        )
    except ModuleNotFoundError:
        raise MissingExtra("psycopg", extra="postgresql", purpose="A catalogue on PostgreSQL") from None


def _sqlite(url: URL) -> Engine:
    Path(url.database or "").parent.mkdir(parents=True, exist_ok=True)
    # It waits up to 5 s for another process's write; ?timeout=SECONDS in the URL changes that.
    engine = create_engine(url, hide_parameters=True)

    @event.listens_for(engine, "connect")
    def configure(raw: SqliteConnection, _: ConnectionPoolEntry) -> None:
        raw.isolation_level = None  # the driver begins nothing by itself; `begin` below does
        _use_wal(raw)
        raw.execute("PRAGMA foreign_keys=ON")
        raw.execute("PRAGMA secure_delete=ON")  # overwrite what is deleted: it may be about a person

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        synchronous = connection.get_execution_options().get(_SYNCHRONOUS)
        if synchronous is None:
            connection.exec_driver_sql("BEGIN")
        else:
            # IMMEDIATE: a transaction that reads first and asks for the write lock later fails instead of waiting.
            connection.exec_driver_sql(f"PRAGMA synchronous={synchronous}")
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _use_wal(raw: SqliteConnection) -> None:
    """Switch to WAL. Where another process is at a new file as well, SQLite may refuse at once instead of waiting."""
    deadline = monotonic() + _WAL_PATIENCE_S
    while True:
        try:
            raw.execute("PRAGMA journal_mode=WAL")
        except OperationalError as error:
            if error.sqlite_errorcode & 0xFF != SQLITE_BUSY or monotonic() > deadline:
                raise
            sleep(0.005)
        else:
            return


def _translate(context: ExceptionContext) -> ColdstartError | None:
    """Our error in the place of the driver's, which becomes its cause."""
    match context.sqlalchemy_exception, context.original_exception:
        case exc.DataError(), original:
            return InvalidInput(f"the database refuses the value: {_first_line(original)}", remedy="Send valid text")
        case _, UnicodeEncodeError():
            return InvalidInput("the text holds a lone surrogate", remedy="Send valid Unicode text")
        case ((exc.OperationalError() | exc.InterfaceError()), original):
            return Unavailable(
                f"the database does not answer: {_first_line(original)}",
                remedy="Check that it runs, has disk space and is not locked by another program, then try again",
            )
        # Not its subclasses, which stand for mistakes of ours.
        case exc.DatabaseError() as wrapped, original if type(wrapped) is exc.DatabaseError:
            return Unavailable(
                f"the database is damaged: {_first_line(original)}", remedy="Check the file, or restore a backup"
            )
        case _:
            return None


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]
