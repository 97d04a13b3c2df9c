"""Context of an interaction, such as hour, weekday, place or price, as codes and numbers a model can take."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coldstart.dataset import Interactions
from coldstart.errors import InvalidInput
from coldstart.vectors import Matrix, Rows

HOUR, WEEKDAY = "hour", "weekday"
_DAY_SECONDS = 86_400
_WEEKDAY_OF_EPOCH = 3  # 1 January 1970 was a Thursday; Monday is 0


@dataclass(frozen=True)
class Category:
    """A column of categories; one that training has not seen, or a missing one, has the code 0."""

    name: str
    values: tuple[str, ...]  # sorted; the code of a value is its place + 1

    def encode(self, column: NDArray[Any]) -> Rows:
        """Codes [n] of the values [n]."""
        texts = np.asarray(column).astype(str)
        known = np.asarray(self.values, dtype=str)
        places = np.minimum(np.searchsorted(known, texts), len(known) - 1)
        return np.where(known[places] == texts, places + 1, 0).astype(np.int64)


@dataclass(frozen=True)
class Number:
    """A column of numbers, standardised by training's mean and deviation; a missing one is at the mean."""

    name: str
    mean: float
    deviation: float

    def encode(self, column: NDArray[Any]) -> Matrix:
        """Standardised numbers [n]."""
        values = (np.asarray(column, dtype=np.float64) - self.mean) / self.deviation
        return np.where(np.isfinite(values), values, 0.0).astype(np.float32)


Context = tuple[Category | Number, ...]


def fit_context(events: Interactions, names: Sequence[str]) -> Context:
    """Learn the categories and scales of the named columns from training events.

    ``hour`` and ``weekday`` (Monday is 0; UTC) are taken from the timestamps where there is no such column.
    """
    return tuple(_fit_column(name, _column(events, name)) for name in names)


def encode_events(context: Context, events: Interactions) -> tuple[Rows, Matrix]:
    """Codes int64 [n, categories] and numbers float32 [n, numbers] of the events."""
    return encode(context, {c.name: _column(events, c.name) for c in context}, len(events))


def encode(context: Context, columns: Mapping[str, NDArray[Any]], n: int) -> tuple[Rows, Matrix]:
    """Codes int64 [n, categories] and numbers float32 [n, numbers]; a column that is not given is unknown."""
    codes = [
        c.encode(columns[c.name]) if c.name in columns else np.zeros(n, dtype=np.int64)
        for c in context
        if isinstance(c, Category)
    ]
    numbers = [
        c.encode(columns[c.name]) if c.name in columns else np.zeros(n, dtype=np.float32)
        for c in context
        if isinstance(c, Number)
    ]
    return (
        np.stack(codes, axis=1) if codes else np.empty((n, 0), dtype=np.int64),
        np.stack(numbers, axis=1) if numbers else np.empty((n, 0), dtype=np.float32),
    )


def to_json(context: Context) -> list[dict[str, Any]]:
    """The context as JSON values."""
    return [asdict(column) for column in context]


def from_json(columns: Sequence[Mapping[str, Any]]) -> Context:
    """The context that `to_json` wrote."""
    return tuple(Category(c["name"], tuple(c["values"])) if "values" in c else Number(**c) for c in columns)


def _fit_column(name: str, column: NDArray[Any]) -> Category | Number:
    if column.dtype.kind == "U":
        values = tuple(v for v in np.unique(column).tolist() if v)
        if not values:
            raise InvalidInput("the context column is empty", subject=name, remedy="Leave it out of the config")
        return Category(name, values)
    finite = column[np.isfinite(column)].astype(np.float64)
    if not finite.size:
        raise InvalidInput("the context column holds no number", subject=name, remedy="Leave it out of the config")
    return Number(name, float(finite.mean()), float(finite.std()) or 1.0)


def _column(events: Interactions, name: str) -> NDArray[Any]:
    if name in events.context:
        return events.context[name]
    if name in (HOUR, WEEKDAY) and events.timestamp is not None:
        days, seconds = np.divmod(events.timestamp, _DAY_SECONDS)
        values = seconds // 3600 if name == HOUR else (days + _WEEKDAY_OF_EPOCH) % 7
        return values.astype(np.int64).astype(str)
    there = ", ".join(sorted(events.context)) or "none"
    raise InvalidInput(
        "the interactions have no such context column", subject=name,
        remedy=f"There are: {there}; {HOUR} and {WEEKDAY} need timestamps",
    )  # fmt: skip
