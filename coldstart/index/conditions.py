"""Filters, read once into conditions that each engine can be told in its own words."""

import math
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from coldstart.errors import InvalidInput
from coldstart.index import Filter


class Bounds(NamedTuple):  # like conditions made for each list, which takes a dataclass twice as long
    """Numbers within limits; ``None`` leaves a side open. A number is the bounds that hold it alone."""

    gt: float | None = None
    gte: float | None = None
    lt: float | None = None
    lte: float | None = None

    def hold(self, value: float) -> bool:
        """Whether the value lies within."""
        return (
            (self.gt is None or value > self.gt)
            and (self.gte is None or value >= self.gte)
            and (self.lt is None or value < self.lt)
            and (self.lte is None or value <= self.lte)
        )


Match = str | bool | Bounds


class Condition(NamedTuple):
    """Holds where a value at ``path`` fits any of ``matches``, or where none does if ``negated``."""

    path: str
    matches: tuple[Match, ...]
    negated: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether it holds nowhere, whatever the payload."""
        return not self.matches and not self.negated

    @property
    def index_kind(self) -> Literal["keyword", "float"] | None:
        """The payload index that answers the condition without reading payloads; none for booleans."""
        kinds = set(map(type, self.matches))
        return "float" if Bounds in kinds else "keyword" if str in kinds else None

    @property
    def root(self) -> str:
        """Where its path begins: without that a negated condition holds.

        >>> read_filter({"attributes.price": {"not": 1}})[0].root
        'attributes'
        """
        return self.path.partition(".")[0]

    @property
    def is_rarely_broken(self) -> bool:
        """Whether it is about the few that are out: those with a number within bounds, such as a time that is over."""
        return self.negated and self.index_kind == "float"

    def holds(self, payload: Mapping[str, Any]) -> bool:
        """Whether the payload satisfies the condition: what the engines compute, in plain Python."""
        found = any(_fits(value, match) for value in _values(payload, self.path) for match in self.matches)
        return found != self.negated


def read_filter(where: Filter | None) -> list[Condition]:
    """The conditions of a filter; `InvalidInput` naming the path where one cannot be read.

    >>> read_filter({"genre": ["Drama", "Crime"]})
    [Condition(path='genre', matches=('Drama', 'Crime'), negated=False)]
    """
    return [_read(_checked(path), wanted) for path, wanted in (where or {}).items()]


@lru_cache(1024)
def json_path(path: str) -> str:
    """The dotted path as Qdrant spells it: a key that is not a plain word stands in quotes.

    >>> json_path("attributes.running time")
    'attributes."running time"'
    """
    return ".".join(key if key.isascii() and key.isidentifier() else f'"{key}"' for key in path.split("."))


def flags(payload: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Every boolean of the payload as a word, for an engine that can match words only.

    >>> list(flags({"cold": True, "attributes": {"new": False, "price": 2}}))
    ['cold=true', 'attributes.new=false']
    """
    for key, value in payload.items():
        path = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from flags(value, f"{path}.")
        for element in value if isinstance(value, list) else [value]:
            if isinstance(element, bool):
                yield flag(path, element)


def flag(path: str, value: bool) -> str:
    """The word for a boolean at a path."""
    return f"{path}={'true' if value else 'false'}"


@lru_cache(1024)
def _checked(path: str) -> str:
    if '"' in path or not all(path.split(".")):
        raise InvalidInput(
            "the filter path has an empty part or a quotation mark", subject=path, remedy="Write it as attributes.genre"
        )
    return path


def _read(path: str, wanted: object, *, negated: bool = False) -> Condition:
    if isinstance(wanted, Mapping):
        if wanted.keys() == {"not"} and not (isinstance(wanted["not"], Mapping) and "not" in wanted["not"]):
            return _read(path, wanted["not"], negated=True)
        return Condition(path, (_read_range(path, wanted),), negated)
    values = wanted if isinstance(wanted, list) else [wanted]
    return Condition(path, tuple(_read_scalar(path, value) for value in values), negated)


def _read_scalar(path: str, value: object) -> Match:
    if isinstance(value, str | bool):
        return value
    number = _number(path, value)
    return Bounds(gte=number, lte=number)


def _read_range(path: str, wanted: Mapping[str, object]) -> Bounds:
    if not wanted or not wanted.keys() <= {"gt", "gte", "lt", "lte"}:
        raise InvalidInput(
            "the range has no bound or an unknown one",
            subject=path,
            remedy="Use some of gt, gte, lt and lte, or not alone",
        )
    return Bounds(**{side: _number(path, bound) for side, bound in wanted.items()})


def _number(path: str, value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    raise InvalidInput(
        f"the filter cannot compare with {value!r}", subject=path, remedy="Use text, true, false or a finite number"
    )


def _values(payload: Mapping[str, Any], path: str) -> list[Any]:
    value: Any = payload
    for key in path.split("."):
        if not isinstance(value, Mapping) or key not in value:
            return []
        value = value[key]
    return value if isinstance(value, list) else [value]


def _fits(value: object, match: Match) -> bool:
    if isinstance(match, Bounds):
        return isinstance(value, int | float) and not isinstance(value, bool) and match.hold(value)
    return type(value) is type(match) and value == match
