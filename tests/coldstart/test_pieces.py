"""Sources read in pieces: whatever the pieces, the items are those of a data set that is read whole."""

import json
from pathlib import Path

import polars as pl
import pytest

from coldstart.dataset import make_dataset
from coldstart.dataset.kinds import Kind, kind_of, kinds_with
from coldstart.dataset.pieces import ItemFiles
from coldstart.dataset.reading import ITEM_COLUMNS
from coldstart.entities import Item
from coldstart.errors import InvalidInput
from workers.backfill.rows import read_rows

FRAME = pl.DataFrame(
    {
        "item_id": [f"i{n}" for n in range(9)],
        "title": [f"Title {n}" if n != 4 else None for n in range(9)],
        "text": [None, "a, b", 'say "x"', "line\nbreak", "t", "", "é", "t", "t"],
        "image": ["images/1.png", None, "https://a.example/b.png", None, None, None, None, None, None],
        "price": [1, None, 2, 3, 4, 5.5, 6, 7, 8],
        "stock": [1, 2, 3, 4, 5, 6, 7, None, 9],
        "sold": [True, False, None, True, True, True, False, True, True],
        "code": ["1", "2", "3", "4", "5", "6", "7", "007", "9"],
        "genre": ["Drama", "Crime", None, "War", "War", "Drama|Crime", "War", "War", "War"],
        "later": [None, None, None, None, None, None, "x", "y", "z"],
        "empty": pl.Series([None] * 9, dtype=pl.String),
    },
    strict=False,
)


def write(path: Path, frame: pl.DataFrame = FRAME) -> Path:
    match path.suffix:
        case ".csv":
            frame.write_csv(path)
        case ".parquet":
            frame.write_parquet(path)
        case _:
            frame.write_ndjson(path)
    return path


def items_in(path: Path, *, size: int, skip: int = 0) -> list[Item]:
    files, kinds = ItemFiles.find(path), dict[str, Kind]()
    for piece in files.pieces(size=size):
        kinds = kinds_with(kinds, piece.table, [n for n in piece.table.frame.columns if n not in ITEM_COLUMNS])
    rows = [row for piece in files.pieces(size=size, skip=skip) for row in read_rows(piece, kinds, files.root)]
    assert [row.number for row in rows] == list(range(skip, skip + len(rows)))
    return [row.outcome for row in rows if isinstance(row.outcome, Item) or pytest.fail(str(row.outcome))]


@pytest.mark.parametrize("suffix", ["csv", "parquet", "jsonl"])
@pytest.mark.parametrize("size", [1, 2, 4, 100])
def test_pieces_hold_the_items_of_the_whole(tmp_path: Path, suffix: str, size: int) -> None:
    path = write(tmp_path / f"items.{suffix}")
    clicks = pl.DataFrame({"user_id": ["u"], "item_id": ["i0"]})
    whole = make_dataset(path, clicks).items
    found = items_in(path, size=size)
    images = [f"{tmp_path}/images/1.png", None, "https://a.example/b.png", *[None] * 6]
    assert [item.image for item in found] == images
    for row, item in enumerate(found):
        expected = whole.item(row)
        assert (item.item_id, item.title, item.text) == (expected.item_id, expected.title, expected.text)
        assert item.attributes == expected.attributes and [*map(type, item.attributes.values())] == [
            *map(type, expected.attributes.values())
        ]
    assert items_in(path, size=size, skip=5) == found[5:]


def test_a_folder_of_parts_is_one_source(tmp_path: Path) -> None:
    for n in (2, 0, 1):
        write(tmp_path / f"part-{n}.csv", FRAME[3 * n : 3 * n + 3])
    files = ItemFiles.find(tmp_path)
    places = [piece.place(line) for piece in files.pieces(size=2) for line in piece.table.lines]
    assert places == [f"part-{n}.csv, row {row}" for n in (0, 1, 2) for row in (2, 3, 4)]
    assert items_in(tmp_path, size=2, skip=4) == items_in(tmp_path, size=100)[4:]


def test_empty_and_broken_rows_count_and_are_told(tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    lines = ['{"item_id": "a", "title": "A"}', "", "[1]", "{", '{"item_id": "b", "title": {}}', '{"item_id": 3}']
    path.write_text("\n".join(lines))
    [whole] = ItemFiles.find(path).pieces(size=100)
    assert (whole.rows, whole.table.lines) == (6, [1, 6])
    assert [(each.line, each.cause.partition(":")[0]) for each in whole.broken] == [
        (3, "the line is not an object"), (4, "the line is not JSON"), (5, "the value of 'title' is an object"),
    ]  # fmt: skip
    [rest] = ItemFiles.find(path).pieces(size=100, skip=4)
    assert ([each.line for each in rest.broken], rest.table.lines, rest.row(6)) == ([5], [6], 5)


def test_the_digest_is_of_names_and_contents(tmp_path: Path) -> None:
    path = write(tmp_path / "items.csv")
    before = ItemFiles.find(path).digest()
    assert ItemFiles.find(tmp_path).digest() == before
    path.write_text(path.read_text() + "i9,Nine,,,,,,,,,\n")
    assert ItemFiles.find(path).digest() != before


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["1", "nan"], Kind.WHOLE),
        (["nan", ""], Kind.NOTHING),
        (["nan", "x"], Kind.TEXT),
        (["01"], Kind.TEXT),
        (["a|b", "1"], Kind.LIST),
        (["TRUE", "false"], Kind.TRUTH),
    ],
)
def test_kinds(values: list[str], kind: Kind) -> None:
    assert kind_of(pl.Series(values)) is kind


@pytest.mark.parametrize(
    ("files", "what"),
    [
        ({}, "there is no items.csv"),
        ({"items.csv": "", "items.jsonl": ""}, "there are items.csv and items.jsonl"),
        ({"a.csv": "x\n1\n", "b.jsonl": "{}"}, "there is no items.csv"),
    ],
)
def test_folders_of_no_known_layout_are_refused(tmp_path: Path, files: dict[str, str], what: str) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    with pytest.raises(InvalidInput, match=what):
        ItemFiles.find(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("items.csv", b"name,title\na,A\n", "the column 'item_id' is missing"),
        ("items.csv", b"item_id;title\na;A\n", "separated by ';'"),
        ("items.csv", b"item_id,title\na,A\nb,B,C\n", "row 3: the row has 3 cells and the header 2"),
        ("items.parquet", b"PAR1 not at all", "not readable as parquet"),
        ("items.txt", b"a", "the format '.txt' is unknown"),
    ],
)
def test_files_that_cannot_be_read_are_refused(tmp_path: Path, name: str, content: bytes, what: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidInput, match=what):
        for _ in ItemFiles.find(tmp_path / name).pieces(size=10):
            pass


def test_a_missing_source_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="there is no such file or folder"):
        ItemFiles.find(tmp_path / "nowhere")


def test_ids_of_any_type_are_text(tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    path.write_text("".join(json.dumps({"item_id": each, "title": "A"}) + "\n" for each in (7, "007", 8.0)))
    assert [item.item_id for item in items_in(path, size=1)] == ["7", "007", "8"]
