"""From rows of a source to items: each row is one, or has a cause why not."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from coldstart.catalog import Draft
from coldstart.catalog.bulk import Problem
from coldstart.catalog.rows import check_draft
from coldstart.clean import compose_text
from coldstart.dataset import columns
from coldstart.dataset.kinds import Kinds, values
from coldstart.dataset.pieces import Piece
from coldstart.dataset.reading import ITEM_COLUMNS
from coldstart.encoders.fetch import Fetcher
from coldstart.encoders.media import read_picture, sniff_media_type
from coldstart.entities import Item, Scalar
from coldstart.errors import InvalidInput

_ADDRESS = ("http://", "https://")


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a source: its number from 0, its place as a person names it, and the item or what is wrong."""

    number: int
    place: str
    item_id: str
    outcome: Item | InvalidInput

    def problem(self, cause: str, *, accepted: bool = False) -> Problem:
        """What is to be told of it."""
        return Problem(self.number, self.place, self.item_id, cause, accepted)


def read_rows(piece: Piece, kinds: Kinds, root: Path) -> list[Row]:
    """Every row of a piece that is not empty, in order; picture paths count from ``root``."""
    table = piece.table
    ids, titles, texts = (columns.texts(table, name) for name in ("item_id", "title", "text"))
    images = columns.images(table, root)
    attributes: list[dict[str, Scalar | list[str]]] = [{} for _ in ids]
    wrong: dict[int, InvalidInput] = {}
    for name in (name for name in table.frame.columns if name not in ITEM_COLUMNS):
        column, bad = values(table.frame[name], kinds[name])
        wrong |= {row: InvalidInput(what, subject=name, remedy="Leave the cell empty") for row, what in bad.items()}
        for item, value in zip(attributes, column, strict=True):
            if value is not None:
                item[name] = value
    rows = [
        _row(piece, line, wrong.get(n) or Item(ids[n], titles[n], texts[n], images[n], attributes[n]), ids[n])
        for n, line in enumerate(table.lines)
    ]
    rows += [_row(piece, each.line, InvalidInput(each.cause), "") for each in piece.broken]
    return sorted(rows, key=lambda row: row.number)


def _row(piece: Piece, line: int, read: Item | InvalidInput, item_id: str) -> Row:
    outcome = read
    if isinstance(read, Item):
        try:
            check_draft(Draft(read))
            if read.image is None and not compose_text(read.title, read.text, read.attributes):
                outcome = InvalidInput("it has neither a word nor a picture", remedy="Give it a title")
        except InvalidInput as error:
            outcome = error
    return Row(piece.row(line), piece.place(line), item_id, outcome)


def drafts_of(
    rows: list[Row], repeats: Mapping[int, str], *, root: Path, max_bytes: int
) -> Iterator[tuple[Row, Draft | None, str | None]]:
    """Each row with its draft, or none, and what is wrong with it; both where it has lost its picture.

    Parameters
    ----------
    repeats : mapping of int to str
        By the number of a row whose id another had before, that one's place.
    """
    for row in rows:
        if isinstance(row.outcome, InvalidInput):
            yield row, None, row.outcome.what
        elif row.number in repeats:
            yield row, None, f"the id is also in {repeats[row.number]}"
        else:
            draft, lost = _draft(row.outcome, root=root, max_bytes=max_bytes)
            yield row, draft, lost


def is_local(image: str | None) -> bool:
    """Whether the picture comes with the source, and not from an address that workers fetch."""
    return image is not None and not image.startswith(_ADDRESS)


def _draft(item: Item, *, root: Path, max_bytes: int) -> tuple[Draft | None, str | None]:
    """The item with its picture's bytes, or why it has none; no draft where nothing is left without it."""
    if item.image is None or not is_local(item.image):
        return Draft(item), None
    bare = replace(item, image=None)
    try:
        picture = read_picture(item.image, root=root, fetcher=Fetcher(), max_bytes=max_bytes)
        if sniff_media_type(picture) is None:
            raise InvalidInput("the bytes are not a picture of a known kind")
    except InvalidInput as error:
        kept = Draft(bare) if compose_text(item.title, item.text, item.attributes) else None
        return kept, f"image: {error.what}"
    return Draft(bare, picture), None
