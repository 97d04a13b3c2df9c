"""Columns of a table as the arrays they mean: ids, ratings, times, attributes."""

import difflib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from coldstart.dataset.tables import Table
from coldstart.dataset.times import parse_time
from coldstart.entities import ExternalId, Scalar
from coldstart.errors import InvalidInput
from coldstart.ids import check_id

if TYPE_CHECKING:
    import polars as pl

# Digits that begin with a needless zero are codes (postcodes, article numbers), not numbers.
_NUMBER = r"^[+-]?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$"
_NOT_FINITE = r"^(?i:[+-]?(nan|inf|infinity))$"
SEPARATOR = "|"


def require(table: Table, *columns: str) -> None:
    """`InvalidInput` where a column is missing, naming one that may have been meant."""
    for column in columns:
        if column not in table.frame.columns:
            bare = {c.lower().replace("_", "").replace(" ", ""): c for c in table.frame.columns}
            near = difflib.get_close_matches(column.replace("_", ""), bare, n=1) or [b for b in bare if b == "id"]
            hint = f"Rename {bare[near[0]]!r} to {column!r}" if near else f"Add it; found {table.frame.columns}"
            raise table.error(f"the column {column!r} is missing", remedy=hint)


def ids(table: Table, column: str) -> list[ExternalId]:
    """The ids of a column as text, each checked once."""
    values: list[ExternalId | None] = as_text(table.frame[column]).to_list()
    checked: set[ExternalId | None] = set()
    for row, value in enumerate(values):
        if value not in checked:
            try:
                check_id(value or "", kind=column)
            except InvalidInput as error:
                raise table.error(error.what, remedy=error.remedy or "", row=row, column=column) from None
            checked.add(value)
    return [value for value in values if value is not None]


def texts(table: Table, column: str) -> tuple[str, ...]:
    """A column as text, ``""`` where it is missing or the column is."""
    if column not in table.frame.columns:
        return ("",) * table.frame.height
    return tuple(as_text(table.frame[column]).fill_null("").to_list())


def images(table: Table, root: Path) -> tuple[str | None, ...]:
    """The ``image`` column: addresses as they are, paths made absolute from ``root``."""

    def located(value: str) -> str | None:
        if not value.strip():
            return None
        return value if value.startswith(("http://", "https://", "data:")) else str((root / value).absolute())

    return tuple(located(value) for value in texts(table, "image"))


def ratings(table: Table) -> NDArray[np.float32] | None:
    """The ``rating`` column as float32, NaN where missing; ``None`` where there is no such column."""
    if "rating" not in table.frame.columns:
        return None
    given = table.frame["rating"]
    numbers = as_float(given)
    # NaN in a column of floats is how frames say "missing"; written out as text it is an error.
    missing = given.is_null().to_numpy() | (np.isnan(numbers) if given.dtype.is_float() else False)
    if (bad := np.flatnonzero(~(np.isfinite(numbers) | missing))).size:
        raise table.error(
            f"the rating {given[int(bad[0])]!r} is not a finite number",
            remedy="Give a number, or leave the cell empty",
            row=int(bad[0]),
            column="rating",
        )
    return np.asarray(numbers, dtype=np.float32)


def timestamps(table: Table) -> NDArray[np.float64] | None:
    """The ``timestamp`` column as Unix seconds; ``None`` where there is no such column."""
    import polars as pl

    if "timestamp" not in table.frame.columns:
        return None
    column = table.frame["timestamp"]
    if column.dtype in (pl.Datetime, pl.Date):
        column = column.cast(pl.Datetime("us")).dt.timestamp("us") / 1e6
    seconds = np.empty(len(column), dtype=np.float64)
    for row, value in enumerate(column.to_list()):
        try:
            seconds[row] = parse_time("" if value is None else value)
        except InvalidInput as error:
            what = "the timestamp is missing" if value is None else error.what
            raise table.error(what, remedy=error.remedy or "", row=row, column="timestamp") from None
    return seconds


def attributes(table: Table, columns: list[str]) -> tuple[dict[str, Scalar | list[str]], ...]:
    """Each row's values under these columns, missing ones left out.

    Text that reads as numbers (or as true and false) in the whole column becomes such; a column of text in which ``|``
    occurs becomes lists: ``Drama|Comedy`` is ``["Drama", "Comedy"]``.
    """
    import polars as pl

    rows: list[dict[str, Scalar | list[str]]] = [{} for _ in range(table.frame.height)]
    for name in columns:
        column = typed(table.frame[name])
        if column.dtype == pl.String and (row := _not_finite(column)) is not None:
            raise table.error(
                f"{column[row]!r} is not a finite number, and every other value is one",
                remedy="Leave the cell empty", row=row, column=name,
            )  # fmt: skip
        if column.dtype.is_float() and (infinite := np.flatnonzero(np.isinf(column.fill_null(0.0).to_numpy()))).size:
            row = int(infinite[0])
            raise table.error("the number is infinite", remedy="Leave the cell empty", row=row, column=name)
        if column.dtype == pl.String and column.str.contains(SEPARATOR, literal=True).any():
            column = column.str.split(SEPARATOR)
        for item, value in zip(rows, column.to_list(), strict=True):
            if value is not None and value == value:  # NaN, a frame's word for "missing", is unequal to itself
                item[name] = value
    return tuple(rows)


def typed(column: "pl.Series") -> "pl.Series":
    """The column as booleans, integers, floats, lists of text, or text: the first that holds every value."""
    import polars as pl

    if isinstance(column.dtype, pl.List):
        return column.cast(pl.List(pl.String)).list.drop_nulls()
    if column.dtype == pl.Boolean or column.dtype.is_integer() or column.dtype.is_float():
        return column
    if column.dtype.is_decimal():
        return column.cast(pl.Float64)
    column = as_text(column)
    column = column.set(column.str.strip_chars() == "", None)
    if column.null_count() == len(column):
        return column
    if column.str.contains(r"^(?i:true|false)$").all():
        return column.str.to_lowercase() == "true"
    if column.str.contains(_NUMBER).all():
        whole = column.cast(pl.Int64, strict=False)
        return whole if whole.null_count() == column.null_count() else column.cast(pl.Float64)
    return column


def not_finite(column: "pl.Series") -> "pl.Series":
    """Where a column of text says NaN or infinity."""
    return column.str.strip_chars().str.contains(_NOT_FINITE).fill_null(False)


def _not_finite(column: "pl.Series") -> int | None:
    """The first row that says NaN or infinity in a column of numbers, which one such word would make text."""
    words = not_finite(column)
    others = column.filter(~words).drop_nulls()
    return words.arg_max() if words.any() and len(others) and others.str.contains(_NUMBER).all() else None


def as_text(column: "pl.Series") -> "pl.Series":
    """Any column as text; floats that are whole are written without a fraction, since frames turn ids into floats."""
    import polars as pl

    if column.dtype.is_float() and (column.drop_nulls().drop_nans() % 1 == 0).all():
        return column.fill_nan(None).cast(pl.Int64).cast(pl.String)
    if isinstance(column.dtype, pl.List):
        return column.cast(pl.List(pl.String)).list.join(SEPARATOR)
    return column.cast(pl.String)


def as_float(column: "pl.Series") -> NDArray[np.float64]:
    """The column as float64, NaN where a value is missing or is no number."""
    import polars as pl

    readable = column if column.dtype.is_numeric() else as_text(column)
    return readable.cast(pl.Float64, strict=False).fill_null(float("nan")).to_numpy()
