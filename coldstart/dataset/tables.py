"""Files and frames as tables that know where each row came from, so that an error can say so."""

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

from coldstart.errors import InvalidInput, MissingExtra

if TYPE_CHECKING:
    import polars as pl


class _PandasColumn(Protocol):
    def tolist(self) -> list[object]: ...
    def isna(self) -> "_PandasColumn": ...


class PandasFrame(Protocol):
    """What is used of a pandas frame; pandas itself is never imported."""

    @property
    def columns(self) -> Iterable[object]: ...
    @property
    def iloc(self) -> object: ...
    def __getitem__(self, column: object, /) -> _PandasColumn: ...


Source: TypeAlias = "Path | str | pl.DataFrame | PandasFrame"


@dataclass(frozen=True)
class Table:
    """A frame and where it is from.

    Parameters
    ----------
    source : str
        The file's name, or what the frame holds.
    frame : polars.DataFrame
    lines : sequence of int
        The number of each row as a person counts it: in a CSV the header is row 1, elsewhere the first record is.
    """

    source: str
    frame: "pl.DataFrame"
    lines: Sequence[int]

    def error(self, what: str, *, remedy: str, row: int | None = None, column: str | None = None) -> InvalidInput:
        """An error about a place in the table; ``row`` is the row in the frame."""
        place = [self.source]
        if row is not None:
            place.append(f"row {self.lines[row]}")
        if column is not None:
            place.append(f"column {column!r}")
        return InvalidInput(what, subject=", ".join(place), remedy=remedy)


def require_polars() -> None:
    """Raise `MissingExtra` where polars is not installed, which serving does without."""
    if find_spec("polars") is None:
        raise MissingExtra("polars", extra="data", purpose="Reading data sets")


def read_table(source: Source, *, name: str) -> Table:
    """A table from a csv, parquet or jsonl file, or from a polars or pandas frame that messages call ``name``.

    Columns of a csv are text; cells that are empty are null; rows that are empty are left out.

    Raises
    ------
    InvalidInput
        Where the file cannot be read, naming the row where that is known, or where there is no row at all.
    MissingExtra
        See `require_polars`.
    """
    require_polars()
    import polars as pl

    match source:
        case str() | Path():
            table = _read_file(Path(source))
        case pl.DataFrame():
            table = numbered(name, source, first=1)
        case _ if hasattr(source, "iloc"):
            table = numbered(name, _from_pandas(source, name), first=1)
        case _:
            raise InvalidInput(
                f"the {name} are a {type(source).__name__}", remedy="Give a path, a polars frame or a pandas frame"
            )
    if table.frame.height == 0:
        raise table.error("there is no row", remedy="Give at least one record")
    return table


def numbered(source: str, frame: "pl.DataFrame", *, first: int) -> Table:
    """The frame as a table without its empty rows, each row numbered from ``first``."""
    import polars as pl

    _check_names([column.strip() for column in frame.columns], source)
    for column, kind in frame.schema.items():
        if kind.is_nested() and not isinstance(kind, pl.List):
            raise _nested(f"{source}, column {column!r}")
    frame = frame.rename(str.strip)
    numbered = frame.with_row_index("\0line", offset=first).filter(~pl.all_horizontal(pl.col(frame.columns).is_null()))
    return Table(source, numbered.drop("\0line"), numbered["\0line"].to_list())


def _check_names(names: Sequence[str], source: str) -> None:
    if twice := [name for name in names if names.count(name) > 1]:
        raise InvalidInput(f"the column {twice[0]!r} occurs twice", subject=source, remedy="Rename one of them")


def _nested(place: str) -> InvalidInput:
    return InvalidInput(
        "the value is an object", subject=place, remedy="Give text, a number, true, false or a list of texts"
    )


def _read_file(path: Path) -> Table:
    if path.is_dir():
        raise InvalidInput("this is a folder", subject=str(path), remedy="Give the file")
    if not path.is_file():
        raise InvalidInput("the file does not exist", subject=str(path), remedy="Check the path")
    match path.suffix.lower():
        case ".csv":
            return _read_csv(path)
        case ".parquet":
            return numbered(path.name, read_parquet(path), first=1)
        case ".jsonl":
            return _read_jsonl(path)
        case suffix:
            what = f"the format {suffix!r} is unknown"
            raise InvalidInput(what, subject=str(path), remedy="Use csv, parquet or jsonl")


def _read_csv(path: Path) -> Table:
    with reading(path):
        return numbered(path.name, scan(path).collect(), first=2)


def scan(path: Path) -> "pl.LazyFrame":
    """What a csv, all of it text, or a parquet file holds, not read yet; for errors see `reading`."""
    import polars as pl

    if path.suffix.lower() == ".parquet":
        return pl.scan_parquet(path)
    frame = pl.scan_csv(path, infer_schema=False)
    names = frame.collect_schema().names()
    only = names[0]
    if len(names) == 1 and (separator := next((s for s in ";\t|" if s in only), None)):
        raise InvalidInput(
            f"the columns are separated by {separator!r}", subject=path.name, remedy="Separate them by commas"
        )
    # The reader gives a name that comes again an ending of its own.
    originals = [name.partition("_duplicated_")[0] for name in names]
    _check_names([old if old in names else new for old, new in zip(originals, names, strict=True)], path.name)
    return frame


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Say of a csv or parquet file that cannot be read on what is wrong with it: `InvalidInput`."""
    import polars as pl

    try:
        yield
    except pl.exceptions.NoDataError:
        raise InvalidInput("the file is empty", subject=path.name, remedy="Write a header and rows") from None
    # On damaged bytes the native reader may also panic, which is no Exception.
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        if path.suffix.lower() == ".csv":
            raise _csv_error(path, error) from None
        raise InvalidInput(
            f"the file is not readable as parquet: {error}", subject=path.name, remedy="Write it again, or give a csv"
        ) from None


def _csv_error(path: Path, error: BaseException) -> InvalidInput:
    """Say in which row a CSV is broken; the reader itself does not."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.reader(file, strict=True)
            width = len(next(reader))
            for number, record in enumerate(reader, start=2):
                if len(record) > width:
                    return InvalidInput(
                        f"the row has {len(record)} cells and the header {width}",
                        subject=f"{path.name}, row {number}",
                        remedy='Put cells that hold a comma in double quotes: "a, b"',
                    )
    except UnicodeDecodeError as broken:
        line = path.read_bytes()[: broken.start].count(b"\n") + 1
        return InvalidInput("the text is not UTF-8", subject=f"{path.name}, line {line}", remedy="Save it as UTF-8")
    except OSError as broken:
        error = broken
    except csv.Error as broken:
        return InvalidInput(
            f"the file is not CSV: {broken}",
            subject=f"{path.name}, line {reader.line_num}",
            remedy="Look for a double quote that is not closed",
        )
    return InvalidInput(f"the file cannot be read: {error}", subject=path.name, remedy="Save it as CSV again")


def read_parquet(path: Path) -> "pl.DataFrame":
    """The frame in a parquet file; `InvalidInput` where it cannot be read."""
    import polars as pl

    with reading(path):
        return pl.read_parquet(path)


def _read_jsonl(path: Path) -> Table:
    records: list[dict[str, object]] = []
    lines: list[int] = []
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError as error:
            raise InvalidInput(
                f"the line is not JSON: {error}", subject=f"{path.name}, row {number}", remedy="Write one object a line"
            ) from None
        if not isinstance(record, dict):
            raise InvalidInput(
                "the line is not an object", subject=f"{path.name}, row {number}", remedy='Write {"item_id": ...}'
            )
        records.append(record)
        lines.append(number)
    names = dict.fromkeys(name for record in records for name in record)
    columns = {name: [record.get(name) for record in records] for name in names}
    return Table(path.name, frame_of(columns, source=path.name, lines=lines), lines)


def _from_pandas(frame: PandasFrame, source: str) -> "pl.DataFrame":
    columns: dict[str, list[object]] = {}
    _check_names([str(name) for name in frame.columns], source)
    for name in frame.columns:
        column = frame[name]
        missing = column.isna().tolist()
        columns[str(name)] = [None if gone else value for value, gone in zip(column.tolist(), missing, strict=True)]
    return frame_of(columns, source=source)


def frame_of(columns: dict[str, list[object]], *, source: str, lines: Sequence[int] | None = None) -> "pl.DataFrame":
    """Columns of Python values as a frame; a column of mixed types becomes text."""
    import polars as pl

    series = []
    for name, values in columns.items():
        for line, value in zip(lines or range(1, len(values) + 1), values, strict=True):
            if isinstance(value, dict):
                raise _nested(f"{source}, row {line}, column {name!r}")
        if any(isinstance(value, list) for value in values):
            lists = [v if isinstance(v, list) or v is None else [v] for v in values]
            column = [None if v is None else [str(x) for x in v if x is not None] for v in lists]
            series.append(pl.Series(name, column, dtype=pl.List(pl.String)))
            continue
        kinds = {type(value) for value in values if value is not None}
        if kinds <= {int, float} and len(kinds) == 2:
            series.append(pl.Series(name, values, dtype=pl.Float64, strict=False))
        elif len(kinds) > 1:
            series.append(pl.Series(name, [None if v is None else str(v) for v in values], dtype=pl.String))
        else:
            series.append(pl.Series(name, values))
    return pl.DataFrame(series)
