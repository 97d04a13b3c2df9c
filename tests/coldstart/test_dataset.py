import pickle
import random
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

from coldstart.dataset import Dataset, make_dataset, parse_time, read_dataset
from coldstart.dataset.pieces import ItemFiles
from coldstart.errors import InvalidInput, MissingExtra
from tests.coldstart.encoders.toys import Canary

ITEMS = "item_id,title\n1,One\n2,Two\n"
CLICKS = "user_id,item_id\na,1\nb,2\n"
Folder = Callable[..., Path]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Write files into a folder; keyword ``items`` is items.csv, and so on, with ``__`` for a dot."""

    def write(**files: str | bytes) -> Path:
        for name, content in ({"items": ITEMS, "interactions": CLICKS} | files).items():
            path = tmp_path / (name.replace("__", ".") if "__" in name else f"{name}.csv")
            if content:
                path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return tmp_path

    return write


def refusal(path: Path) -> str:
    with pytest.raises(InvalidInput) as caught:
        read_dataset(path)
    return str(caught.value)


def test_items_keep_order_ids_attributes_and_pictures(folder: Folder) -> None:
    data = read_dataset(
        folder(
            items="item_id,title,text,image,genre,year,price,zip,sold\n"
            "007,Bond,Spy,images/7.jpg,Action|Thriller,1962,9.5,01067,true\n"
            "1,Plain,,,,1999,,04103,false\n"
            "x y,Far,,https://pictures.example/1.png,Drama,2001,1e2,10115,FALSE\n",
            interactions="user_id,item_id\nu,1\n",
        )
    )
    assert data.items.ids.ids == ("007", "1", "x y")
    assert data.items.image == (str(data.root / "images/7.jpg"), None, "https://pictures.example/1.png")  # type: ignore[operator]
    assert data.items.attributes == (
        {"genre": ["Action", "Thriller"], "year": 1962, "price": 9.5, "zip": "01067", "sold": True},
        {"year": 1999, "zip": "04103", "sold": False},
        {"genre": ["Drama"], "year": 2001, "price": 100.0, "zip": "10115", "sold": False},
    )
    item = data.items.item(0)
    assert (item.item_id, item.title, item.text) == ("007", "Bond", "Spy")


def test_interactions_are_rows_with_ratings_times_and_context(folder: Folder) -> None:
    data = read_dataset(
        folder(
            interactions="user_id,item_id,rating,timestamp,place,age\n"
            "zoe,2,4.5,2026-01-01T00:00:00Z,home,31\n"
            "al,1,,1767225601,,\n"
            "zoe,1,3,1767225602000,work,32\n"
        )
    )
    events = data.interactions
    assert data.users.ids == ("zoe", "al")
    assert events.user_rows.tolist() == [0, 1, 0] and events.item_rows.tolist() == [1, 0, 0]
    np.testing.assert_array_equal(events.rating, np.array([4.5, np.nan, 3.0], dtype=np.float32))
    assert events.timestamp is not None
    assert events.timestamp.tolist() == [1767225600.0, 1767225601.0, 1767225602.0]
    assert events.context["place"].tolist() == ["home", "", "work"]
    np.testing.assert_array_equal(events.context["age"], np.array([31, np.nan, 32], dtype=np.float32))


def test_a_pair_that_occurs_twice_is_two_events_and_one_cell(folder: Folder) -> None:
    data = read_dataset(folder(interactions="user_id,item_id\na,1\na,1\nb,2\n"))
    assert len(data.interactions) == 3
    assert data.matrix().toarray().tolist() == [[1.0, 0.0], [0.0, 1.0]]
    assert data.matrix().dtype == np.float32


def test_take_keeps_columns_aligned(folder: Folder) -> None:
    events = read_dataset(folder(interactions="user_id,item_id,rating,place\na,1,1,x\nb,2,2,y\na,2,3,z\n")).interactions
    for index in (np.array([False, True, True]), np.array([1, 2])):
        part = events.take(index)
        assert part.rating is not None
        assert (part.user_rows.tolist(), part.rating.tolist(), part.context["place"].tolist()) == (
            [1, 0],
            [2.0, 3.0],
            ["y", "z"],
        )


def test_parquet_and_jsonl_keep_their_types(folder: Folder) -> None:
    root = folder(
        items="",
        items__jsonl='{"item_id": 1, "title": "One", "tags": ["a", "b"]}\n\n{"item_id": "2", "title": "Two"}\n',
        interactions="",
    )
    pl.DataFrame({"user_id": [5, 6], "item_id": [1.0, 2.0], "rating": [1.5, None]}).write_parquet(
        root / "interactions.parquet"
    )
    data = read_dataset(root)
    assert data.items.ids.ids == ("1", "2") and data.users.ids == ("5", "6")
    assert data.items.attributes == ({"tags": ["a", "b"]}, {})
    np.testing.assert_array_equal(data.interactions.rating, np.array([1.5, np.nan], dtype=np.float32))


def _columns() -> tuple[dict[str, list[object]], dict[str, list[object]]]:
    items: dict[str, list[object]] = {"item_id": [1, 2], "title": ["One", "Two"], "year": [1990.5, None]}
    clicks: dict[str, list[object]] = {"user_id": [1.0, 7.0], "item_id": [2, 1], "rating": [None, 2.0]}
    return items, clicks


@pytest.mark.parametrize("frame", [pl.DataFrame, pd.DataFrame])
def test_frames_are_read_without_files(frame: Callable[[dict[str, list[object]]], object]) -> None:
    items, clicks = _columns()
    data = make_dataset(frame(items), frame(clicks), name="mine")  # type: ignore[arg-type]
    assert (data.name, data.root) == ("mine", None)
    assert data.items.ids.ids == ("1", "2")
    assert data.users.ids == ("1", "7"), "a frame turns ids into floats; they are read as whole numbers"
    assert data.items.attributes == ({"year": 1990.5}, {})
    np.testing.assert_array_equal(data.interactions.rating, np.array([np.nan, 2.0], dtype=np.float32))


def test_pandas_times_missing_values_and_mixed_ids() -> None:
    items = pd.DataFrame({"item_id": ["a", 3], "title": ["A", None], "n": pd.array([1, None], dtype="Int64")})
    when = pd.to_datetime(["2026-01-01", "2026-01-02"]).tz_localize("Europe/Berlin")
    clicks = pd.DataFrame({"user_id": ["u", "u"], "item_id": [3, "a"], "timestamp": when})
    data = make_dataset(items, clicks)
    assert data.items.ids.ids == ("a", "3")
    assert data.items.title == ("A", "")
    assert data.items.attributes == ({"n": 1}, {})
    assert data.interactions.timestamp is not None
    assert data.interactions.timestamp.tolist() == [1767222000.0, 1767308400.0]


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"items": "id,title\n1,One\n"}, ["items.csv", "'item_id' is missing", "Rename 'id' to 'item_id'"]),
        ({"items": "item_id,name\n1,One\n"}, ["items.csv", "'title' is missing"]),
        ({"interactions": "userId,item_id\na,1\n"}, ["interactions.csv", "Rename 'userId' to 'user_id'"]),
        ({"items": "item_id,title\n1,One\n,Two\n"}, ["items.csv, row 3, column 'item_id'", "empty"]),
        ({"items": 'item_id,title\n1,"One\n1"\n2,Two\n1,Again\n'}, ["row 4, column 'item_id'", "'1' is also in row 2"]),
        ({"items": "item_id,title\n" + "9" * 257 + ",Long\n"}, ["row 2", "257 characters"]),
        (
            {"interactions": "user_id,item_id\na,1\nb,8\nc,9\nd,8\n"},
            ["row 3, column 'item_id'", "3 rows name 2 unknown items: '8', '9'", "Add the item"],
        ),
        ({"interactions": "user_id,item_id,rating\na,1,5\nb,2,inf\n"}, ["row 3, column 'rating'", "'inf'"]),
        ({"interactions": "user_id,item_id,rating\na,1,good\n"}, ["row 2, column 'rating'", "'good'"]),
        ({"interactions": "user_id,item_id,timestamp\na,1,2026-02-30\n"}, ["row 2, column 'timestamp'", "ISO 8601"]),
        ({"interactions": "user_id,item_id,timestamp\na,1,5\nb,2,\n"}, ["row 3, column 'timestamp'", "missing"]),
        ({"interactions": "user_id,item_id\na,9\n"}, ["1 row names 1 unknown item: '9'"]),
        ({"items": "item_id,title,size\n1,One,2.5\n2,Two,NaN\n"}, ["items.csv, row 3, column 'size'", "empty"]),
        ({"items": "item_id,title,size\n1,One,-inf\n2,Two,3\n"}, ["items.csv, row 2, column 'size'", "'-inf'"]),
        ({"items": "item_id,title,size,title\n1,One,2.5,Uno\n"}, ["items.csv: the column 'title' occurs twice"]),
        ({"interactions": "user_id,item_id\n"}, ["interactions.csv", "no row"]),
        ({"interactions": b"user_id,item_id\n\n\n"}, ["interactions.csv", "no row"]),
        ({"items": b"item_id,title\n1,One\n2,caf\xe9\n"}, ["items.csv, line 3", "UTF-8"]),
        ({"items": "item_id,title\n1,One\n2,Two, too\n"}, ["items.csv, row 3", "3 cells", "double quotes"]),
        ({"items": 'item_id,title\n1,"One\n2,Two\n'}, ["items.csv", "double quote"]),
        ({"items": "item_id;title\n1;One\n"}, ["items.csv", "separated by ';'"]),
        ({"items": "", "items__jsonl": '{"item_id": "1", "title": "One"}\n{oops}\n'}, ["items.jsonl, row 2", "JSON"]),
        ({"items": "", "items__jsonl": "[1]\n"}, ["items.jsonl, row 1", "not an object"]),
        (
            {"items": "", "items__jsonl": '{"item_id": "1", "title": "One", "size": {"x": 1}}\n'},
            ["items.jsonl, row 1, column 'size'", "object"],
        ),
        ({"items": "", "items__parquet": b"junk"}, ["items.parquet", "not readable as parquet"]),
        ({"items__jsonl": "{}"}, ["items.csv and items.jsonl", "Keep one"]),
        ({"items": "", "item__csv": ITEMS}, ["no items.csv", "Rename 'item.csv'"]),
        ({"interactions": ""}, ["no interactions.csv"]),
    ],
)
def test_bad_input_names_file_row_column_and_remedy(folder: Folder, files: dict[str, str], says: list[str]) -> None:
    message = refusal(folder(**files))
    for part in says:
        assert part in message


def test_an_empty_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "items.csv").touch()
    (tmp_path / "interactions.csv").write_text(CLICKS)
    assert "items.csv: the file is empty" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("items", "says"),
    [
        (pl.DataFrame({"item_id": ["1"], "title": ["One"], "size": [float("inf")]}), "row 1, column 'size'.*infinite"),
        (pl.DataFrame({"item_id": ["1"], "title": ["One"], "size": [{"x": 1}]}), "column 'size': .*object"),
        (pl.DataFrame({"item_id": ["1"], "title": ["One"], " title": ["Two"]}), "'title' occurs twice"),
        (pd.DataFrame([["1", "One", "Two"]], columns=["item_id", "title", "title"]), "'title' occurs twice"),
        (pl.DataFrame({"item_id": [None], "title": ["One"]}), "row 1, column 'item_id': .*empty"),
        (pl.DataFrame(), "no row"),
        (pd.DataFrame({"item_id": [], "title": []}), "no row"),
        (3, "are a int"),
    ],
)
def test_bad_frames_are_named_as_what_they_hold(items: object, says: str) -> None:
    with pytest.raises(InvalidInput, match=f"items.*{says}"):
        make_dataset(items, pl.DataFrame({"user_id": ["a"], "item_id": ["1"]}))  # type: ignore[arg-type]


def test_a_folder_with_a_typo_suggests_its_neighbours(folder: Folder) -> None:
    root = folder()
    (root / "citeulike-a").mkdir()
    assert f"Did you mean {root / 'citeulike-a'}?" in refusal(root / "citulike-a")
    assert f"Give its folder: {root}" in refusal(root / "items.csv")


def test_blank_lines_spaces_in_headers_a_bom_and_windows_line_ends_are_no_errors(folder: Folder) -> None:
    data = read_dataset(folder(items=b"\xef\xbb\xbfitem_id, title\r\n1,One\r\n\r\n2,Two\r\n\r\n"))
    assert data.items.ids.ids == ("1", "2") and data.items.title == ("One", "Two")


@pytest.mark.parametrize("bad", ["yesterday", "", "nan", "1e30", "1700000000000000"])
def test_what_is_no_time_is_refused(bad: str) -> None:
    with pytest.raises(InvalidInput):
        parse_time(bad)


@pytest.mark.parametrize(
    ("name", "sizes"),
    [("citeulike-a", (5551, 16980, 204986)), ("ml1m-mm", (6018, 3018, 933517)), ("anime5k", (5000, 7390, 520609))],
)
def test_published_sets_are_read_whole(name: str, sizes: tuple[int, int, int]) -> None:
    data = published(name)
    assert (len(data.users), len(data.items), len(data.interactions)) == sizes
    assert data.matrix().nnz == sizes[2]
    if name == "ml1m-mm":
        pictures = [Path(path) for path in data.items.image if path]
        assert len(pictures) == 2994 and all(path.is_file() for path in pictures)
        assert data.items.attributes[0]["genres"] == ["Drama"]


def published(name: str) -> Dataset:
    folder = Path(__file__).parents[3] / "shared" / "data" / name
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there: the published data set {name} is not checked")
    return read_dataset(folder)


def test_words_like_nan_among_words_are_words(folder: Folder) -> None:
    data = read_dataset(folder(items="item_id,title,bread,who\n1,One,nan,nan\n2,Two,pita,\n"))
    assert [data.items.item(row).attributes for row in (0, 1)] == [{"bread": "nan", "who": "nan"}, {"bread": "pita"}]


def test_a_folder_in_the_place_of_a_file_is_called_one(folder: Folder) -> None:
    with pytest.raises(InvalidInput, match="this is a folder"):
        make_dataset(folder(), folder() / "interactions.csv")


def test_a_damaged_parquet_is_read_or_refused(folder: Folder) -> None:
    """Its reader is native code that may also panic, with an error that `except Exception` does not catch."""
    chance, refused = random.Random(0), 0  # noqa: S311
    place = folder(items="")
    pl.DataFrame({"item_id": ["1", "2"], "title": ["One", "Two"], "tags": [["a"], []]}).write_parquet(
        place / "items.parquet"
    )
    whole = (place / "items.parquet").read_bytes()
    for _ in range(200):
        data = bytearray(whole)
        for _ in range(chance.randint(1, 6)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        (place / "items.parquet").write_bytes(data)
        try:
            read_dataset(place)
        except InvalidInput:
            refused += 1
    assert 0 < refused


def test_nothing_is_unpickled(folder: Folder, tmp_path: Path) -> None:
    for name in ("items__parquet", "items__jsonl", "items__csv"):
        place = folder(items="", **{name: pickle.dumps(Canary(tmp_path / "executed"))})
        with pytest.raises(InvalidInput, match=name.replace("__", r"\.")):
            read_dataset(place)
        (place / name.replace("__", ".")).unlink()
    assert not (tmp_path / "executed").exists()


def test_without_the_library_that_reads_tables_the_remedy_is_told(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(MissingExtra, match=r"pip install 'coldstart-service\[data\]'"):
        read_dataset(folder())
    with pytest.raises(MissingExtra, match="polars"):
        ItemFiles.find(folder())
