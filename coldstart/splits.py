"""Who is cold: published split files, and splits by item, by user and by time.

A split is five parts of the interactions. Cold parts are about items (or users) that training never sees; a cold item
or user is in the validation or in the test part, never in both. Warm parts hold pairs out of the rest.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from coldstart.dataset import Dataset, Interactions, parse_time
from coldstart.dataset.reading import find_table, read_interactions
from coldstart.errors import InvalidInput
from coldstart.vectors import Mask, Rows

PARTS = ("train", "warm_val", "warm_test", "cold_val", "cold_test")
_REQUIRED = ("train", "cold_test")
WARM_HELD_OUT = 0.1  # of the warm pairs, in each of warm_val and warm_test


@dataclass(frozen=True)
class Split:
    """Five parts of a data set's interactions, each possibly empty."""

    name: str
    train: Interactions
    warm_val: Interactions
    warm_test: Interactions
    cold_val: Interactions
    cold_test: Interactions

    @cached_property
    def warm_items(self) -> Rows:
        """Rows of the items with a training interaction, sorted."""
        return np.unique(self.train.item_rows)

    @cached_property
    def cold_items(self) -> Rows:
        """Rows of the items of the cold parts that have no training interaction, sorted."""
        return np.union1d(self.cold_val_items, self.cold_test_items)

    @cached_property
    def cold_val_items(self) -> Rows:
        """The cold items of ``cold_val``."""
        return np.setdiff1d(self.cold_val.item_rows, self.train.item_rows)

    @cached_property
    def cold_test_items(self) -> Rows:
        """The cold items of ``cold_test``."""
        return np.setdiff1d(self.cold_test.item_rows, self.train.item_rows)

    @cached_property
    def cold_users(self) -> Rows:
        """Rows of the users of the cold parts that have no training interaction, sorted."""
        return np.setdiff1d(np.union1d(self.cold_val.user_rows, self.cold_test.user_rows), self.train.user_rows)


def read_split(dataset: Dataset, name: str) -> Split:
    """The published split ``splits/NAME`` of a data set that was read from a folder.

    ``train`` and ``cold_test`` must be there; other parts that are missing are empty.

    Raises
    ------
    InvalidInput
        Where the split or a part is missing or unusable, or where an item of a cold part also occurs in training.
    """
    if dataset.root is None:
        raise InvalidInput(
            "the data set has no folder, hence no published splits",
            subject=dataset.name,
            remedy="Use read_dataset, or split it by fraction or time",
        )
    folder = dataset.root / "splits" / name
    if not folder.is_dir():
        there = sorted(path.name for path in folder.parent.iterdir()) if folder.parent.is_dir() else []
        hint = f"There are: {', '.join(there)}" if there else "There are none: give a cold fraction or a time"
        raise InvalidInput(f"the split {name!r} does not exist", subject=dataset.name, remedy=hint)
    parts = {}
    for part in PARTS:
        present = any(folder.glob(f"{part}.*"))
        parts[part] = _read_part(dataset, folder, part) if present or part in _REQUIRED else _EMPTY
    split = Split(name, **parts)
    _check_cold(dataset, split)
    return split


def write_split(split: Split, dataset: Dataset, folder: Path) -> None:
    """Write the five parts as csv files that `read_split` reads; empty parts are left out."""
    import polars as pl

    folder.mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        events: Interactions = getattr(split, part)
        if not len(events):
            continue
        columns: dict[str, object] = {
            "user_id": [dataset.users.ids[row] for row in events.user_rows],
            "item_id": [dataset.items.ids.ids[row] for row in events.item_rows],
        }
        if events.rating is not None:
            columns["rating"] = pl.Series(events.rating).fill_nan(None)
        if events.timestamp is not None:
            columns["timestamp"] = events.timestamp
        for name, column in events.context.items():
            columns[name] = pl.Series(column.tolist()).replace("", None) if column.dtype.kind == "U" else column
        pl.DataFrame(columns).write_csv(folder / f"{part}.csv")


def cold_item_split(dataset: Dataset, *, fraction: float, seed: int = 0) -> Split:
    """Make a fraction of the items cold, half of them for validation and half for testing."""
    _check_fraction(fraction)
    rng = np.random.default_rng(seed)
    cold = _draw(np.unique(dataset.interactions.item_rows), fraction, rng, "items")
    return hold_out_items(dataset, cold, name=f"cold-items-{fraction:g}", rng=rng)


def hold_out_items(dataset: Dataset, cold: Rows, *, name: str, rng: np.random.Generator) -> Split:
    """Make these items cold, a random half of them for validation and the others for testing."""
    events = dataset.interactions
    val, test = _halves(rng.permutation(cold))
    return _split(name, events, np.isin(events.item_rows, val), np.isin(events.item_rows, test), rng)


def cold_user_split(dataset: Dataset, *, fraction: float, seed: int = 0) -> Split:
    """Make a fraction of the users cold, with all they did; half of them for validation and half for testing."""
    _check_fraction(fraction)
    rng = np.random.default_rng(seed)
    events = dataset.interactions
    val, test = _halves(_draw(np.unique(events.user_rows), fraction, rng, "users"))
    return _split(
        f"cold-users-{fraction:g}", events, np.isin(events.user_rows, val), np.isin(events.user_rows, test), rng
    )


def time_split(dataset: Dataset, *, after: str | float, seed: int = 0) -> Split:
    """Items that are first met at or after a time are cold, half of them for validation and half for testing.

    Training ends at that time too: what happens later to warm items is not learned from but divided between
    ``warm_val`` and ``warm_test``, less the pairs that training knows.

    Parameters
    ----------
    after : str or float
        ISO 8601, Unix seconds or Unix milliseconds.
    """
    start = parse_time(after)
    events = dataset.interactions
    if events.timestamp is None:
        raise InvalidInput(
            "the interactions have no timestamps",
            subject=dataset.name,
            remedy="Add a column 'timestamp', or split by a fraction of items",
        )
    first = np.full(len(dataset.items), np.inf)
    np.minimum.at(first, events.item_rows, events.timestamp)
    cold = np.flatnonzero(np.isfinite(first) & (first >= start))
    if not cold.size or (events.timestamp >= start).all():
        earliest, latest = _date(events.timestamp.min()), _date(first[np.isfinite(first)].max())
        raise InvalidInput(
            f"{'every' if cold.size else 'no'} item is first met at or after {after}",
            subject=dataset.name,
            remedy=f"Choose a time between {earliest} and {latest}",
        )
    rng = np.random.default_rng(seed)
    val, test = _halves(rng.permutation(cold))
    early = events.timestamp < start
    pairs = _pairs(events)
    late = ~early & ~np.isin(events.item_rows, cold) & ~np.isin(pairs, pairs[early])
    late_val = late & (_pair_draws(events, rng) < 0.5)
    return Split(
        f"after-{_date(start)}",
        train=events.take(early),
        warm_val=events.take(late_val),
        warm_test=events.take(late & ~late_val),
        cold_val=events.take(np.isin(events.item_rows, val)),
        cold_test=events.take(np.isin(events.item_rows, test)),
    )


_EMPTY = Interactions(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64))


def _read_part(dataset: Dataset, folder: Path, part: str) -> Interactions:
    try:
        return read_interactions(find_table(folder, part), users=dataset.users, items=dataset.items.ids)[0]
    except InvalidInput as error:
        raise InvalidInput(error.what, subject=f"splits/{folder.name}: {error.subject}", remedy=error.remedy) from None


def _check_cold(dataset: Dataset, split: Split) -> None:
    """A published cold item must not be trained on (unless the split is about cold users, whose items are warm)."""
    for part in ("cold_val", "cold_test"):
        events: Interactions = getattr(split, part)
        seen = np.isin(events.item_rows, split.warm_items) & ~np.isin(events.user_rows, split.cold_users)
        if seen.any():
            item = dataset.items.ids.ids[events.item_rows[np.flatnonzero(seen)[0]]]
            raise InvalidInput(
                f"the item {item!r} is in {part} and in train",
                subject=f"splits/{split.name}",
                remedy="Move its training rows to the cold part, or its cold rows to a warm one",
            )


def _split(name: str, events: Interactions, val: Mask, test: Mask, rng: np.random.Generator) -> Split:
    """The cold parts by their masks; of the rest, pairs held out at random."""
    warm = events.take(~(val | test))
    draws = _pair_draws(warm, rng)
    draws[_first_of_each(warm, draws)] = 1.0
    in_val, in_test = draws < WARM_HELD_OUT, (draws >= WARM_HELD_OUT) & (draws < 2 * WARM_HELD_OUT)
    return Split(
        name, warm.take(~(in_val | in_test)), warm.take(in_val), warm.take(in_test), events.take(val), events.take(test)
    )


def _pair_draws(events: Interactions, rng: np.random.Generator) -> NDArray[np.float64]:
    """A uniform number per event that is the same for all events of a pair: a pair is never in two parts."""
    pairs, inverse = np.unique(_pairs(events), return_inverse=True)
    return np.asarray(rng.random(pairs.size)[inverse], dtype=np.float64)


def _pairs(events: Interactions) -> Rows:
    """A number per event that names its user and item."""
    return events.user_rows * (int(events.item_rows.max(initial=0)) + 1) + events.item_rows


def _first_of_each(events: Interactions, draws: NDArray[np.float64]) -> Mask:
    """Pairs that stay in training, so that each warm user and item keeps at least one: those with the largest draw."""
    stay = np.zeros(len(events), dtype=bool)
    for rows in (events.user_rows, events.item_rows):
        best = np.zeros(int(rows.max(initial=0)) + 1)
        np.maximum.at(best, rows, draws)
        stay |= draws == best[rows]
    return stay


def _draw(rows: Rows, fraction: float, rng: np.random.Generator, kind: str) -> Rows:
    count = round(rows.size * fraction)
    if not 2 <= count < rows.size:
        raise InvalidInput(
            f"a fraction of {fraction:g} makes {count} of {rows.size} {kind} cold",
            remedy="Choose one that leaves at least two cold and one warm",
        )
    return rng.permutation(rows)[:count]


def _halves(rows: Rows) -> tuple[Rows, Rows]:
    return rows[: rows.size // 2], rows[rows.size // 2 :]


def _check_fraction(fraction: float) -> None:
    if not 0 < fraction < 1:
        raise InvalidInput(f"the fraction {fraction:g} is not between 0 and 1", remedy="Try 0.2")


def _date(seconds: float) -> str:
    return str(np.datetime64(int(seconds), "s"))
