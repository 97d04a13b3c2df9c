from pathlib import Path

import numpy as np
import polars as pl
import pytest

from coldstart.dataset import Dataset, Interactions, make_dataset, parse_time, read_dataset
from coldstart.errors import InvalidInput
from coldstart.splits import (
    PARTS,
    Split,
    cold_item_split,
    cold_user_split,
    read_split,
    time_split,
    write_split,
)

DAY = 86_400


@pytest.fixture(scope="module")
def data() -> Dataset:
    """60 users, 40 items, 700 events on 100 days; item i is first met on day i. Some pairs occur twice."""
    rng = np.random.default_rng(3)
    users, items = rng.integers(0, 60, 700), rng.integers(0, 40, 700)
    users[:60], items[:60] = np.arange(60), np.arange(60) % 40
    days = items + rng.integers(0, 60, 700)
    days[:40] = np.arange(40)
    return make_dataset(
        pl.DataFrame({"item_id": [f"i{n}" for n in range(40)], "title": ["x"] * 40}),
        pl.DataFrame(
            {
                "user_id": [f"u{n}" for n in users],
                "item_id": [f"i{n}" for n in items],
                "timestamp": days * DAY,
                "rating": rng.integers(1, 6, 700),
                "place": rng.choice(["home", "work"], 700),
            }
        ),
    )


def pairs(events: Interactions) -> set[tuple[int, int]]:
    return set(zip(events.user_rows.tolist(), events.item_rows.tolist(), strict=True))


def parts(split: Split) -> dict[str, Interactions]:
    return {part: getattr(split, part) for part in PARTS}


def assert_no_pair_in_two_parts(split: Split) -> None:
    sets = [pairs(part) for part in parts(split).values()]
    assert sum(len(s) for s in sets) == len(set().union(*sets))


def test_cold_items_are_never_trained_on_and_lie_in_one_cold_part(data: Dataset) -> None:
    split = cold_item_split(data, fraction=0.25, seed=1)
    assert split.cold_items.size == 10
    assert split.cold_val_items.size == split.cold_test_items.size == 5
    assert not np.intersect1d(split.cold_val_items, split.cold_test_items).size
    for warm in (split.train, split.warm_val, split.warm_test):
        assert not np.isin(warm.item_rows, split.cold_items).any()
    assert np.isin(split.cold_test.item_rows, split.cold_test_items).all()
    assert sum(len(part) for part in parts(split).values()) == len(data.interactions)
    assert_no_pair_in_two_parts(split)


def test_warm_parts_hold_out_a_tenth_and_leave_every_user_and_item_something(data: Dataset) -> None:
    split = cold_item_split(data, fraction=0.25, seed=1)
    warm = len(split.train) + len(split.warm_val) + len(split.warm_test)
    for held_out in (split.warm_val, split.warm_test):
        assert 0.05 < len(held_out) / warm < 0.15
        assert np.isin(held_out.user_rows, split.train.user_rows).all()
        assert np.isin(held_out.item_rows, split.warm_items).all()


def test_a_seed_decides_a_split(data: Dataset) -> None:
    first, again, other = (cold_item_split(data, fraction=0.25, seed=seed) for seed in (1, 1, 2))
    assert first.cold_items.tolist() == again.cold_items.tolist() != other.cold_items.tolist()
    assert first.train.user_rows.tolist() == again.train.user_rows.tolist()


def test_cold_users_keep_all_they_did_in_one_cold_part(data: Dataset) -> None:
    split = cold_user_split(data, fraction=0.2, seed=0)
    assert split.cold_users.size == 12
    val, test = np.unique(split.cold_val.user_rows), np.unique(split.cold_test.user_rows)
    assert val.size == test.size == 6 and not np.intersect1d(val, test).size
    everything = np.isin(data.interactions.user_rows, split.cold_users).sum()
    assert len(split.cold_val) + len(split.cold_test) == everything
    assert not np.isin(split.train.user_rows, split.cold_users).any()
    assert_no_pair_in_two_parts(split)


@pytest.mark.parametrize("after", [30 * DAY, "1970-01-31"])
def test_items_first_met_after_a_time_are_cold_and_training_ends_there(data: Dataset, after: str | float) -> None:
    split = time_split(data, after=after)
    start = parse_time(after)
    assert split.cold_items.tolist() == list(range(30, 40))
    assert split.train.timestamp is not None and split.warm_test.timestamp is not None
    assert split.train.timestamp.max() < start <= split.warm_test.timestamp.min()
    assert len(split.warm_val) > 20 and len(split.warm_test) > 20
    assert_no_pair_in_two_parts(split)


@pytest.mark.parametrize(("after", "says"), [("2026-01-01", "no item is first met"), (-5, "every item is first met")])
def test_a_time_that_leaves_nothing_cold_or_warm_is_refused(data: Dataset, after: str | float, says: str) -> None:
    with pytest.raises(InvalidInput, match=f"{says} at or after .*Choose a time between 1970-01-01"):
        time_split(data, after=after)


def test_a_time_split_needs_times(data: Dataset) -> None:
    events = data.interactions
    timeless = Dataset("timeless", data.items, data.users, Interactions(events.user_rows, events.item_rows))
    with pytest.raises(InvalidInput, match="timeless: the interactions have no timestamps"):
        time_split(timeless, after="2026-01-01")


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, 0.01, float("nan")])
def test_a_fraction_that_leaves_nothing_is_refused(data: Dataset, fraction: float) -> None:
    with pytest.raises(InvalidInput):
        cold_item_split(data, fraction=fraction)


def on_disk(data: Dataset, folder: Path) -> Dataset:
    return Dataset("toy", data.items, data.users, data.interactions, folder)


def test_a_written_split_reads_as_it_was(data: Dataset, tmp_path: Path) -> None:
    split = cold_item_split(data, fraction=0.25)
    write_split(split, data, tmp_path / "splits" / "mine")
    again = read_split(on_disk(data, tmp_path), "mine")
    for name, part in parts(split).items():
        other: Interactions = getattr(again, name)
        assert part.user_rows.tolist() == other.user_rows.tolist()
        assert part.item_rows.tolist() == other.item_rows.tolist()
        np.testing.assert_array_equal(part.rating, other.rating)
        np.testing.assert_array_equal(part.timestamp, other.timestamp)
        assert part.context["place"].tolist() == other.context["place"].tolist()


def _write_parts(folder: Path, **rows: str) -> None:
    target = folder / "splits" / "pub"
    target.mkdir(parents=True)
    for part, text in rows.items():
        (target / f"{part}.csv").write_text("user_id,item_id\n" + text)


def test_parts_that_are_not_published_stay_empty(data: Dataset, tmp_path: Path) -> None:
    _write_parts(tmp_path, train="u1,i1\n", cold_test="u1,i2\n")
    split = read_split(on_disk(data, tmp_path), "pub")
    assert [len(part) for part in parts(split).values()] == [1, 0, 0, 0, 1]
    assert split.cold_items.tolist() == split.cold_test_items.tolist() == [2]


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ({"train": "u1,i1\n"}, "no cold_test.csv"),
        ({"train": "u1,i1\n", "cold_test": "u1,i999\n"}, "cold_test.csv, row 2, column 'item_id'.*'i999'"),
        ({"train": "ghost,i1\n", "cold_test": "u1,i2\n"}, "splits/pub: train.csv.*unknown user: 'ghost'"),
        ({"train": "u1,i1\n", "cold_test": "u1,i1\n"}, "'i1' is in cold_test and in train"),
    ],
)
def test_a_published_split_that_cannot_be_used_says_where(
    data: Dataset, tmp_path: Path, rows: dict[str, str], says: str
) -> None:
    _write_parts(tmp_path, **rows)
    with pytest.raises(InvalidInput, match=says):
        read_split(on_disk(data, tmp_path), "pub")


def test_an_unknown_split_lists_the_known_ones(data: Dataset, tmp_path: Path) -> None:
    _write_parts(tmp_path, train="u1,i1\n")
    with pytest.raises(InvalidInput, match=r"the split 'pup' does not exist\. There are: pub"):
        read_split(on_disk(data, tmp_path), "pup")
    with pytest.raises(InvalidInput, match="no folder"):
        read_split(data, "pub")


@pytest.mark.parametrize(
    ("name", "split_name", "sizes", "cold"),
    [
        ("citeulike-a", "aldi", [132073, 16471, 16482, 19802, 20158], (1698, 1698)),
        ("citeulike-a", "heater", [164210, 0, 0, 13037, 27739], (1018, 2378)),
        ("ml1m-mm", "zhu21", [529952, 0, 0, 106695, 296870], (302, 905)),
    ],
)
def test_published_splits_are_read_as_published(
    name: str, split_name: str, sizes: list[int], cold: tuple[int, int]
) -> None:
    folder = Path(__file__).parents[3] / "shared" / "data" / name
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there: the published split {name}/{split_name} is not checked")
    split = read_split(read_dataset(folder), split_name)
    assert [len(part) for part in parts(split).values()] == sizes
    assert (split.cold_val_items.size, split.cold_test_items.size) == cold
    assert split.cold_items.size == sum(cold), "no cold item is in both cold parts"
    assert not split.cold_users.size
