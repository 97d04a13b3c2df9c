"""The few statements that SQLAlchemy does not make alike for SQLite and PostgreSQL."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

from sqlalchemy import Column, ColumnElement, Connection, Table, collate
from sqlalchemy.dialects import postgresql, sqlite

T = TypeVar("T")

# Databases bound the parameters of a statement: 32,766 on SQLite, 65,535 on PostgreSQL; an item's row takes 23.
CHUNK = 1000


def chunks(values: Sequence[T], size: int = CHUNK) -> Iterator[Sequence[T]]:
    """The values in runs of at most ``size``.

    >>> list(chunks("abcde", 2))
    ['ab', 'cd', 'e']
    """
    for start in range(0, len(values), size):
        yield values[start : start + size]


def insert(tx: Connection | str, table: Table) -> postgresql.Insert | sqlite.Insert:
    """An INSERT that knows ``ON CONFLICT``, for a connection or the dialect of that name."""
    dialect = tx if isinstance(tx, str) else tx.dialect.name
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)


def by_bytes(dialect: str, column: Column[str]) -> ColumnElement[str]:
    """The column to order by its bytes in UTF-8, as Python and Redis do; PostgreSQL has its own order of a language."""
    return collate(column, "C") if dialect == "postgresql" else column
