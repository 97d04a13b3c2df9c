"""From a folder or two frames to a `Dataset`."""

import difflib
from pathlib import Path

import numpy as np

from coldstart.dataset import columns
from coldstart.dataset.arrays import Context, Dataset, Interactions, Items
from coldstart.dataset.tables import Source, Table, read_table
from coldstart.errors import InvalidInput
from coldstart.ids import IdMap
from coldstart.vectors import Rows

ITEM_COLUMNS = ("item_id", "title", "text", "image")
_INTERACTION_COLUMNS = ("user_id", "item_id", "rating", "timestamp")
_NAMED = 3  # how many offending ids a message names


def read_dataset(folder: Path) -> Dataset:
    """The data set in a folder: ``items.(csv|parquet|jsonl)`` and ``interactions.(csv|parquet|jsonl)``.

    Raises
    ------
    InvalidInput
        Where a file is missing or anything in it cannot be used: file, row, column, and what to do.
    """
    folder = Path(folder)
    if folder.is_file():
        raise InvalidInput("this is a file", subject=str(folder), remedy=f"Give its folder: {folder.parent}")
    if not folder.is_dir():
        parent = folder.parent
        names = [path.name for path in parent.iterdir() if path.is_dir()] if parent.is_dir() else []
        near = difflib.get_close_matches(folder.name, names, n=3, cutoff=0.5)
        hint = f"Did you mean {' or '.join(str(parent / name) for name in near)}?" if near else "Check the path"
        raise InvalidInput("the folder does not exist", subject=str(folder), remedy=hint)
    items, interactions = find_table(folder, "items"), find_table(folder, "interactions")
    return _dataset(items, interactions, name=folder.resolve().name, root=folder)


def make_dataset(items: Source, interactions: Source, *, name: str = "frame") -> Dataset:
    """A data set from pandas or polars frames, or paths of files; relative picture paths count from here.

    Raises
    ------
    InvalidInput
        As `read_dataset`.
    """
    return _dataset(items, interactions, name=name, root=None)


def find_table(folder: Path, stem: str) -> Path:
    """The file of this name in a folder, whatever its format; `InvalidInput` where there is none or more than one."""
    found = [path for suffix in (".csv", ".parquet", ".jsonl") if (path := folder / f"{stem}{suffix}").is_file()]
    if len(found) == 1:
        return found[0]
    if found:
        raise InvalidInput(
            f"there are {' and '.join(path.name for path in found)}", subject=str(folder), remedy="Keep one of them"
        )
    near = difflib.get_close_matches(stem, [path.name for path in folder.iterdir()], n=1, cutoff=0.5)
    raise InvalidInput(
        f"there is no {stem}.csv, {stem}.parquet or {stem}.jsonl",
        subject=str(folder),
        remedy=f"Rename {near[0]!r}, or add the file" if near else "Add the file, or give another folder",
    )


def read_interactions(source: Source, *, users: IdMap | None, items: IdMap) -> tuple[Interactions, IdMap]:
    """Interactions as arrays, and their users: the given ones, or those found, in order of appearance.

    Raises
    ------
    InvalidInput
        Where an item (or, with ``users``, a user) is unknown, with the number of such rows and the first ids.
    """
    table = read_table(source, name="interactions")
    columns.require(table, "user_id", "item_id")
    user_ids = columns.ids(table, "user_id")
    users = users or IdMap(dict.fromkeys(user_ids))
    item_rows = _known(table, "item_id", columns.ids(table, "item_id"), items)
    user_rows = _known(table, "user_id", user_ids, users)
    rating, timestamp = columns.ratings(table), columns.timestamps(table)
    return Interactions(user_rows, item_rows, rating, timestamp, _context(table)), users


def _dataset(items: Source, interactions: Source, *, name: str, root: Path | None) -> Dataset:
    catalogue = _read_items(items, root or Path())
    events, users = read_interactions(interactions, users=None, items=catalogue.ids)
    return Dataset(name, catalogue, users, events, root)


def _read_items(source: Source, root: Path) -> Items:
    table = read_table(source, name="items")
    columns.require(table, "item_id", "title")
    ids = columns.ids(table, "item_id")
    first: dict[str, int] = {}
    for row, item_id in enumerate(ids):
        if first.setdefault(item_id, row) != row:
            raise table.error(
                f"the id {item_id!r} is also in row {table.lines[first[item_id]]}",
                remedy="Give each item one row",
                row=row,
                column="item_id",
            )
    further = [column for column in table.frame.columns if column not in ITEM_COLUMNS]
    return Items(
        IdMap(ids),
        columns.texts(table, "title"),
        columns.texts(table, "text"),
        columns.images(table, root),
        columns.attributes(table, further),
    )


def _known(table: Table, column: str, ids: list[str], known: IdMap) -> Rows:
    rows = known.rows(ids)
    if (unknown := np.flatnonzero(rows < 0)).size:
        names = list(dict.fromkeys(ids[row] for row in unknown))
        shown = ", ".join(repr(name) for name in names[:_NAMED]) + (", …" if len(names) > _NAMED else "")
        kind = column.removesuffix("_id")
        named = f"{unknown.size} rows name" if unknown.size > 1 else "1 row names"
        raise table.error(
            f"{named} {len(names)} unknown {kind}{'s' if len(names) > 1 else ''}: {shown}",
            remedy=f"Add the {kind} to the data set, or remove the rows",
            row=int(unknown[0]),
            column=column,
        )
    return rows


def _context(table: Table) -> Context:
    further = [column for column in table.frame.columns if column not in _INTERACTION_COLUMNS]
    context = {}
    for name in further:
        column = columns.typed(table.frame[name])
        if column.dtype.is_numeric():
            context[name] = columns.as_float(column).astype(np.float32)
        else:
            context[name] = np.array(columns.texts(table, name))
    return context
