"""A look through the whole source before anything of it is accepted."""

from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np

from coldstart.catalog import Draft
from coldstart.catalog.bulk import Chunk, Source
from coldstart.dataset import columns
from coldstart.dataset.kinds import Kind, Kinds, kinds_with
from coldstart.dataset.pieces import ItemFiles, Piece
from coldstart.dataset.reading import ITEM_COLUMNS
from coldstart.errors import InvalidInput
from workers.backfill.rows import Row, drafts_of, read_rows

CHUNK = 200
"""Rows that are accepted together: so many milliseconds of the database at which nobody else can write."""
LOOK = 5000
"""Rows that are looked at together."""

OnRows = Callable[[int], None]
"""Called with how many rows are read."""


class Places:
    """Which row of which file each row of a source is, in a few bytes a piece."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._pieces: list[tuple[int, str]] = []

    def add(self, piece: Piece) -> None:
        """Know the rows of a piece, which come after all before."""
        self._starts.append(piece.start)
        self._pieces.append((piece.line, piece.table.source))

    def __getitem__(self, row: int) -> str:
        n = bisect_right(self._starts, row) - 1
        line, source = self._pieces[n]
        return f"{source}, row {line + row - self._starts[n]}"


@dataclass(frozen=True)
class Survey:
    """What is known of a source that was looked through; it is read again by `chunks`.

    Parameters
    ----------
    kinds : mapping of str to Kind
        What the columns of attributes hold.
    repeats : mapping of int to int
        By the number of a row whose id another had before, that one's number.
    max_bytes : int
        The largest picture that is taken.
    """

    files: ItemFiles
    source: Source
    kinds: Kinds
    repeats: dict[int, int]
    places: Places
    max_bytes: int

    def chunks(self, *, size: int = CHUNK, skip: int = 0) -> Iterator[Chunk]:
        """The source from a row on, so many at a time; `InvalidInput` where a file cannot be read any more."""
        for piece in self.files.pieces(size=size, skip=skip):
            drafts, problems = [], []
            for row, draft, cause in self.drafts(piece):
                if draft is not None:
                    drafts.append(draft)
                if cause is not None:
                    problems.append(row.problem(cause, accepted=draft is not None))
            yield Chunk(piece.start, piece.end, drafts, problems)

    def drafts(self, piece: Piece) -> Iterator[tuple[Row, Draft | None, str | None]]:
        """What `drafts_of` makes of the piece's rows."""
        rows = read_rows(piece, self.kinds, self.files.root)
        repeats = {row.number: self.places[self.repeats[row.number]] for row in rows if row.number in self.repeats}
        return drafts_of(rows, repeats, root=self.files.root, max_bytes=self.max_bytes)


def look_through(path: Path, *, max_bytes: int, on_rows: OnRows = lambda rows: None) -> Survey:
    """Read a source once for what no part of it can tell: ids that come again, and what columns hold.

    16 bytes and a number are kept of each row. Raises `InvalidInput` where it cannot be read to its end, or is empty.
    """
    files = ItemFiles.find(path.resolve())
    digest, kinds, places, rows = files.digest(), dict[str, Kind](), Places(), 0
    digests: list[bytes] = []
    numbers: list[np.ndarray] = []
    for piece in files.pieces(size=LOOK):
        table = piece.table
        kinds = kinds_with(kinds, table, [name for name in table.frame.columns if name not in ITEM_COLUMNS])
        ids = columns.texts(table, "item_id")
        digests.append(b"".join(_digest(each) for each in ids if each))
        numbers.append(np.array([piece.row(line) for each, line in zip(ids, table.lines, strict=True) if each], int))
        places.add(piece)
        rows = piece.end
        on_rows(rows)
    if rows == 0:
        raise InvalidInput("there is no row", subject=str(path), remedy="Give at least one record")
    source = Source(str(path.resolve()), digest, files.bytes, rows)
    return Survey(files, source, kinds, _repeats(digests, np.concatenate(numbers)), places, max_bytes)


def _digest(item_id: str) -> bytes:
    return blake2b(item_id.encode(errors="surrogatepass"), digest_size=16).digest()


def _repeats(digests: list[bytes], numbers: np.ndarray) -> dict[int, int]:
    """Of each number whose digest [n, 16 bytes] another had before, that one's number."""
    keys = np.frombuffer(b"".join(digests), dtype=np.uint64).reshape(-1, 2)
    order = np.lexsort((keys[:, 1], keys[:, 0]))  # equal ones stay in their order
    same = np.flatnonzero((keys[order[1:]] == keys[order[:-1]]).all(axis=1)) + 1
    repeats: dict[int, int] = {}
    for later in same.tolist():
        before = int(numbers[order[later - 1]])
        repeats[int(numbers[order[later]])] = repeats.get(before, before)
    return repeats
