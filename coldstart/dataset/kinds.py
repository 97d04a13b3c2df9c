"""What the columns of attributes hold, found out piece by piece: the same as `columns.attributes` finds in one look."""

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING

from coldstart.dataset import columns
from coldstart.dataset.tables import Table
from coldstart.entities import Scalar

if TYPE_CHECKING:
    import polars as pl

Values = list[Scalar | list[str] | None]


class Kind(StrEnum):
    """What every value of a column is."""

    NOTHING = "nothing"
    TRUTH = "truth values"
    WHOLE = "whole numbers"
    NUMBER = "numbers"
    TEXT = "text"
    LIST = "lists"

    def with_(self, other: "Kind") -> "Kind":
        """What holds the values of both.

        >>> Kind.WHOLE.with_(Kind.NUMBER), Kind.TRUTH.with_(Kind.WHOLE), Kind.LIST.with_(Kind.TEXT)
        (<Kind.NUMBER: 'numbers'>, <Kind.TEXT: 'text'>, <Kind.LIST: 'lists'>)
        """
        match {self, other} - {Kind.NOTHING}:
            case kinds if len(kinds) <= 1:
                return self if other is Kind.NOTHING else other
            case kinds if Kind.LIST in kinds:
                return Kind.LIST
            case kinds if kinds == {Kind.WHOLE, Kind.NUMBER}:
                return Kind.NUMBER
            case _:
                return Kind.TEXT


Kinds = Mapping[str, Kind]
"""By the names of the columns."""


def kinds_with(known: Kinds, table: Table, names: list[str]) -> dict[str, Kind]:
    """What these columns hold, when the table is added to what is known."""
    found = {name: kind_of(table.frame[name]) for name in names}
    return {**known, **{name: known.get(name, Kind.NOTHING).with_(kind) for name, kind in found.items()}}


def kind_of(column: "pl.Series") -> Kind:
    """What a column holds. Words such as ``nan`` say nothing of it where they stand among numbers, or alone."""
    import polars as pl

    column = columns.typed(column)
    if column.dtype == pl.String and (words := columns.not_finite(column)).any():
        others = columns.typed(column.filter(~words))
        if others.dtype.is_numeric() or others.null_count() == len(others):
            column = others
    if column.null_count() == len(column):
        return Kind.NOTHING
    if column.dtype == pl.Boolean:
        return Kind.TRUTH
    if column.dtype.is_integer():
        return Kind.WHOLE
    if column.dtype.is_float():
        return Kind.NUMBER
    listed = isinstance(column.dtype, pl.List) or column.str.contains(columns.SEPARATOR, literal=True).any()
    return Kind.LIST if listed else Kind.TEXT


def values(column: "pl.Series", kind: Kind) -> tuple[Values, dict[int, str]]:
    """The column's values, ``None`` for what is missing; and by row what is wrong with those of no such kind."""
    import polars as pl

    match kind:
        case Kind.NOTHING:
            return [None] * len(column), {}
        case Kind.LIST:
            lists = column if isinstance(column.dtype, pl.List) else _words(column).str.split(columns.SEPARATOR)
            return lists.cast(pl.List(pl.String)).list.drop_nulls().to_list(), {}
        case Kind.TEXT:
            return _words(column).to_list(), {}
    read = columns.typed(column) if kind is Kind.TRUTH else _numbers(column, kind)
    lost = read.is_null() & _words(column).is_not_null() & ~_is_nan(column)
    if read.dtype.is_float():
        read = read.fill_nan(None)
        lost |= read.is_infinite().fill_null(False)
    bad = {row: f"{str(column[row])[:50]!r} is not a finite number" for row in lost.arg_true().to_list()}
    return read.to_list(), bad


def _is_nan(column: "pl.Series") -> "pl.Series":
    """Where a number is missing as frames say it; written out as text it is an error."""
    import polars as pl

    return column.is_nan().fill_null(False) if column.dtype.is_float() else pl.repeat(False, len(column), eager=True)


def _numbers(column: "pl.Series", kind: Kind) -> "pl.Series":
    import polars as pl

    to = pl.Int64 if kind is Kind.WHOLE else pl.Float64
    if column.dtype != pl.String:
        return column.cast(to, strict=False)
    read = _words(column).str.strip_chars().cast(to, strict=False)
    return read.fill_nan(float("inf")) if read.dtype.is_float() else read  # a word, and no missing value


def _words(column: "pl.Series") -> "pl.Series":
    """The column as text, null where it is blank."""
    text = columns.as_text(column)
    return text.set(text.str.strip_chars() == "", None)
