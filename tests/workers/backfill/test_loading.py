"""A source from its first row to items in the catalogue, on a real database and real encoders of toys."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from coldstart.catalog import ItemStore, Status
from coldstart.catalog.backfills import BackfillStore
from coldstart.catalog.bulk import Backfill, Problem, State
from coldstart.errors import InvalidInput
from tests.toyshop import picture
from tests.workers.conftest import Works
from workers.backfill.loading import Loader
from workers.backfill.survey import Survey, look_through

ME = "me"


@pytest.fixture
def backfills(tmp_path: Path) -> Iterator[BackfillStore]:
    opened = BackfillStore(f"sqlite:///{tmp_path / 'catalog.sqlite3'}")
    yield opened
    opened.close()


def source(folder: Path, rows: int = 10, **columns: Sequence[object]) -> Path:
    """Items i0, i1, ... with a title of one tea each."""
    frame = pl.DataFrame({"item_id": [f"i{n}" for n in range(rows)], "title": ["tea"] * rows} | columns, strict=False)
    frame.write_csv(folder / "items.csv")
    return folder / "items.csv"


def look(path: Path) -> Survey:
    return look_through(path, max_bytes=100_000)


def begin(backfills: BackfillStore, survey: Survey, **options: float) -> Backfill:
    return backfills.create("b", survey.source, owner=ME, **options)


class Time:
    """Passes while somebody sleeps; ``each`` is called meanwhile."""

    def __init__(self, each: Callable[[], object] = lambda: None) -> None:
        self.now, self.each = 0.0, each

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds
        self.each()


def test_every_row_is_accepted_or_told(backfills: BackfillStore, store: ItemStore, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images/good.png").write_bytes(picture())
    (tmp_path / "images/bad.png").write_bytes(b"not at all")
    (tmp_path / "images/large.png").write_bytes(bytes(100_001))
    names = ["good.png", "bad.png", "gone.png", "large.png", "../../secret.png"]
    images = [f"images/{name}" for name in names]
    path = source(
        tmp_path, 13,
        item_id=[*(f"i{n}" for n in range(10)), "i3", " ", "x" * 257],
        title=["tea"] * 8 + [""] + ["tea"] * 4,
        image=[*images, "https://a.example/x.png", None, "data:image/png;base64,!", "images/bad.png", *[None] * 4],
        price=["1", "2", "3", "4", "5", "6", "nan", "7", "", *["7"] * 4],
    )  # fmt: skip
    survey = look(path)
    done = Loader(backfills, ME).load(begin(backfills, survey), survey, wait=False)
    assert (done.state, done.position, done.accepted, done.refused) == (State.DONE, 13, 8, 5)
    told = {problem.place.removeprefix("items.csv, row "): problem for problem in backfills.problems("b", limit=100)}
    assert {row: (problem.item_id[:3], problem.accepted) for row, problem in told.items()} == {
        "3": ("i1", True), "4": ("i2", True), "5": ("i3", True), "6": ("i4", True), "8": ("i6", False),
        "9": ("i7", True), "10": ("i8", False), "12": ("i3", False), "13": (" ", False), "14": ("xxx", False),
    }  # fmt: skip
    for row, cause in {
        "3": "the bytes are not a picture", "4": "there is no such file", "5": "the file is over 100000 bytes",
        "6": "the path leads out of the picture folder", "8": "'nan' is not a finite number", "9": "is not base64",
        "10": "image: the bytes are not a picture", "12": "the id is also in items.csv, row 5",
        "13": "the item_id is empty", "14": "the item_id has 257 characters",
    }.items():  # fmt: skip
        assert cause in told[row].cause
    assert store.picture("i0") == picture()
    kept = store.get("i5").item
    assert (kept.image, dict(kept.attributes)) == ("https://a.example/x.png", {"price": 6})
    assert store.get_many(["i6", "i8"]) == {} and store.get("i3").version == 1


def test_it_ends_when_everything_is_retrievable(backfills: BackfillStore, works: Works, tmp_path: Path) -> None:
    survey = look(source(tmp_path, 50))
    seen: list[Backfill] = []
    time = Time(works.ingestor.encode_due)
    loader = Loader(backfills, ME, window=10, on_progress=seen.append, sleep=time.sleep, clock=time)
    done = loader.load(begin(backfills, survey, rate=20.0), survey)
    assert (done.state, done.retrievable, works.index.count()) == (State.DONE, 50, 50)
    assert max(each.waiting for each in seen) < 10 + 20  # a chunk of a second at most above the window
    assert time.now >= 2.0


@pytest.mark.parametrize("rate", [3.0, 40.0, 1000.0])
def test_the_rate_holds(backfills: BackfillStore, tmp_path: Path, rate: float) -> None:
    survey = look(source(tmp_path, 300))
    time = Time()
    accepted: list[tuple[float, int]] = []
    loader = Loader(
        backfills, ME, sleep=time.sleep, clock=time, on_progress=lambda at: accepted.append((time.now, at.accepted))
    )
    loader.load(begin(backfills, survey, rate=rate), survey, wait=False)
    chunk = max(1, min(rate, 200))
    assert accepted[-1][1] == 300
    assert all(items <= rate * at + chunk for at, items in accepted)
    assert time.now == pytest.approx((300 - chunk) / rate, abs=chunk / rate + 0.3)


@pytest.mark.parametrize("cut", [0, 1, 3])
def test_an_interrupt_pauses_it_and_nothing_comes_twice(
    backfills: BackfillStore, store: ItemStore, tmp_path: Path, cut: int
) -> None:
    survey = look(source(tmp_path, 900, title=[f"tea {n}" for n in range(900)]))

    def interrupt(found: Backfill) -> None:
        if found.position >= 200 * cut:
            raise KeyboardInterrupt

    begun = begin(backfills, survey)
    with pytest.raises(KeyboardInterrupt):
        Loader(backfills, ME, on_progress=interrupt).load(begun, survey, wait=False)
    assert backfills.get("b").state is State.PAUSED
    again = backfills.take("b", look(tmp_path / "items.csv").source, owner="later")
    done = Loader(backfills, "later").load(again, survey, wait=False)
    assert (done.position, done.accepted, done.unchanged, done.overtaken) == (900, 900, 0, 0)
    records = store.get_many([f"i{n}" for n in range(900)])
    assert len(records) == 900 and {record.version for record in records.values()} == {1}


def test_a_pause_from_elsewhere_stops_it(backfills: BackfillStore, tmp_path: Path) -> None:
    survey = look(source(tmp_path, 900))

    def stop(found: Backfill) -> None:
        if (found.state, found.position) == (State.RUNNING, 200):
            backfills.pause("b")

    begun = begin(backfills, survey)
    found = Loader(backfills, ME, on_progress=stop).load(begun, survey)
    assert (found.state, found.position) == (State.PAUSED, 200)


def test_too_many_problems_end_it(backfills: BackfillStore, tmp_path: Path) -> None:
    survey = look(source(tmp_path, 900, title=[""] * 300 + ["tea"] * 600))
    failed = Loader(backfills, ME, max_problems=250).load(begin(backfills, survey), survey)
    assert (failed.state, failed.position, failed.refused) == (State.FAILED, 400, 300)
    assert failed.error == "300 rows have something wrong, and 250 may"
    again = backfills.take("b", survey.source, owner=ME)
    assert Loader(backfills, ME, max_problems=300).load(again, survey, wait=False).accepted == 600


def test_a_source_that_breaks_on_the_way_fails_it(backfills: BackfillStore, tmp_path: Path) -> None:
    path = tmp_path / "items.csv"
    survey = look(source(tmp_path, 900))
    begun = begin(backfills, survey)
    path.unlink()
    with pytest.raises(InvalidInput):
        Loader(backfills, ME).load(begun, survey)
    failed = backfills.get("b")
    assert failed.state is State.FAILED and "items.csv" in str(failed.error)


def test_repeated_ids_are_told_wherever_they_are(backfills: BackfillStore, store: ItemStore, tmp_path: Path) -> None:
    """Also across files and pieces, and when it is resumed in between."""
    for name, rows in {"a.jsonl": range(6000), "b.jsonl": [5, 6001, 5, 6001]}.items():
        lines = [json.dumps({"item_id": f"i{n}", "title": f"tea of {name}"}) for n in rows]
        (tmp_path / name).write_text("\n".join(lines))
    survey = look(tmp_path)
    assert survey.repeats == {6000: 5, 6002: 5, 6003: 6001}
    begun = replace(begin(backfills, survey), position=6000)
    causes = [problem for chunk in survey.chunks(skip=begun.position) for problem in chunk.problems]
    assert causes == [
        Problem(6000, "b.jsonl, row 1", "i5", "the id is also in a.jsonl, row 6"),
        Problem(6002, "b.jsonl, row 3", "i5", "the id is also in a.jsonl, row 6"),
        Problem(6003, "b.jsonl, row 4", "i6001", "the id is also in b.jsonl, row 2"),
    ]


def test_an_empty_source_is_refused(tmp_path: Path) -> None:
    (tmp_path / "items.csv").write_text("item_id,title\n")
    with pytest.raises(InvalidInput, match="there is no row"):
        look(tmp_path)


def test_a_poisonous_row_harms_no_other(backfills: BackfillStore, works: Works, tmp_path: Path) -> None:
    survey = look(source(tmp_path, 12, title=["tea"] * 5 + ["poison"] + ["coffee"] * 6))
    Loader(backfills, ME).load(begin(backfills, survey), survey, wait=False)
    while works.store.counts()[Status.PENDING] + works.store.counts()[Status.ENCODING] > 1:
        works.ingestor.encode_due()
    works.store.fail({"i5": 1}, "poison", retry_in_s=0, max_attempts=1)
    found = backfills.get("b")
    assert (found.retrievable, found.dead, found.waiting) == (11, 1, 0)
