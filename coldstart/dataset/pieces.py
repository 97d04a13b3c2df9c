"""Items of a source of any length, a piece at a time: a million rows take the memory of a few hundred."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from coldstart.dataset import columns
from coldstart.dataset.reading import find_table
from coldstart.dataset.tables import Table, frame_of, numbered, reading, require_polars, scan
from coldstart.errors import InvalidInput

SUFFIXES = (".parquet", ".csv", ".jsonl")


@dataclass(frozen=True, slots=True)
class Broken:
    """A line that is no record, and why."""

    line: int
    cause: str


@dataclass(frozen=True)
class Piece:
    """Consecutive rows of one file.

    Parameters
    ----------
    table : Table
        Those that are records and not empty.
    broken : sequence of Broken
        Those that are no records.
    line : int
        What a person calls the first row.
    rows : int
        How many there are, empty and broken ones among them.
    start : int
        How many rows of the whole source come before.
    """

    table: Table
    line: int
    rows: int
    broken: Sequence[Broken] = ()
    start: int = 0

    @property
    def end(self) -> int:
        """How many rows of the whole source are read after it."""
        return self.start + self.rows

    def row(self, line: int) -> int:
        """The number in the whole source, from 0, of the row that a person calls so."""
        return self.start + line - self.line

    def place(self, line: int) -> str:
        """Where the row is, for a person."""
        return f"{self.table.source}, row {line}"

    def after(self, row: int) -> "Piece":
        """What of it is from this row of the whole source on."""
        if row <= self.start:
            return self
        line = self.line + row - self.start
        kept = [number >= line for number in self.table.lines]
        table = Table(
            self.table.source, self.table.frame.filter(kept), [each for each in self.table.lines if each >= line]
        )
        broken = [each for each in self.broken if each.line >= line]
        return Piece(table, line, self.end - row, broken, row)


@dataclass(frozen=True)
class ItemFiles:
    """The files of a source in the order in which they are read, and the folder that picture paths count from."""

    root: Path
    files: tuple[Path, ...]

    @classmethod
    def find(cls, source: Path) -> "ItemFiles":
        """A file of items; a folder with ``items.(csv|parquet|jsonl)``; or one with files of one kind, by their names.

        Raises `InvalidInput` for anything else, and `MissingExtra` where polars is not installed.
        """
        require_polars()
        if source.is_file():
            if source.suffix.lower() not in SUFFIXES:
                raise InvalidInput(
                    f"the format {source.suffix!r} is unknown", subject=str(source), remedy="Use csv, parquet or jsonl"
                )
            return cls(source.parent, (source,))
        if not source.is_dir():
            raise InvalidInput("there is no such file or folder", subject=str(source), remedy="Check the path")
        parts = {
            suffix: tuple(sorted(each for each in source.glob(f"*{suffix}") if each.is_file())) for suffix in SUFFIXES
        }
        kinds = [suffix for suffix in SUFFIXES if parts[suffix]]
        if len(kinds) == 1 and not any(each.stem == "items" for each in parts[kinds[0]]):
            return cls(source, parts[kinds[0]])
        return cls(source, (find_table(source, "items"),))

    @property
    def bytes(self) -> int:
        """Of all files together."""
        return sum(path.stat().st_size for path in self.files)

    def digest(self) -> str:
        """SHA-256 over the files' names and contents; pictures are not among them."""
        total = hashlib.sha256()
        for path in self.files:
            with path.open("rb") as file:
                content = hashlib.file_digest(file, "sha256").digest()
            total.update(path.name.encode() + b"\0" + content)
        return total.hexdigest()

    def pieces(self, *, size: int, skip: int = 0) -> Iterator[Piece]:
        """Pieces of at most ``size`` rows, without the first ``skip`` rows of the source.

        Raises `InvalidInput` where a file cannot be read on, or a column that is needed is missing.
        """
        start = 0
        for path in self.files:
            for piece in _lines(path, size) if path.suffix.lower() == ".jsonl" else _frames(path, size):
                placed = replace(piece, start=start)
                start = placed.end
                if start > skip:
                    yield placed.after(skip)


def _frames(path: Path, size: int) -> Iterator[Piece]:
    line = 2 if path.suffix.lower() == ".csv" else 1  # below a header
    with reading(path):
        batches = iter(scan(path).collect_batches(chunk_size=size, maintain_order=True))
    while True:
        with reading(path):
            batch = next(batches, None)
        if batch is None:
            return
        for start in range(0, batch.height, size):
            part = batch.slice(start, size)
            table = numbered(path.name, part, first=line)
            columns.require(table, "item_id", "title")
            yield Piece(table, line, part.height)
            line += part.height


def _lines(path: Path, size: int) -> Iterator[Piece]:
    with path.open("rb") as file:
        lines = enumerate(file, start=1)
        while part := list(islice(lines, size)):
            records: dict[int, dict[str, object]] = {}
            broken = []
            for number, line in part:
                try:
                    records |= {number: _record(line)} if line.strip() else {}
                except ValueError as error:
                    broken.append(Broken(number, str(error)))
            names = dict.fromkeys(["item_id", "title", *(name for record in records.values() for name in record)])
            numbers = list(records)
            values = {name: [record.get(name) for record in records.values()] for name in names}
            frame = frame_of(values, source=path.name, lines=numbers)
            yield Piece(Table(path.name, frame, numbers), part[0][0], len(part), broken)


def _record(line: bytes) -> dict[str, object]:
    """The record of a line; `ValueError` that says why it is none."""
    try:
        record = json.loads(line)
    except ValueError as error:
        raise ValueError(f"the line is not JSON: {error}") from None
    if not isinstance(record, dict):
        raise ValueError("the line is not an object")
    for name, value in record.items():
        if isinstance(value, dict):
            raise ValueError(f"the value of {name!r} is an object")
    return record
