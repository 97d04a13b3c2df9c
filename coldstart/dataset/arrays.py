"""What a data set is once it is read: ids with rows, and arrays that are aligned with them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from coldstart.entities import Attributes, Item
from coldstart.ids import IdMap
from coldstart.vectors import Mask, Rows

Context = Mapping[str, NDArray[np.float32] | NDArray[np.str_]]
"""Further columns of interactions, each of length n: numbers (NaN where missing) or categories ("" where missing)."""


@dataclass(frozen=True)
class Items:
    """The catalogue, one row an item.

    Parameters
    ----------
    ids : IdMap
    title, text : tuple of str
        ``""`` where there is none.
    image : tuple of str or None
        An absolute path, an ``http(s)`` address, a ``data:`` URL, or ``None``. Whether it can be read is not checked.
    attributes : tuple of mappings
        Every further column; missing values are left out.
    """

    ids: IdMap
    title: tuple[str, ...]
    text: tuple[str, ...]
    image: tuple[str | None, ...]
    attributes: tuple[Attributes, ...]

    def __len__(self) -> int:
        return len(self.ids)

    def item(self, row: int) -> Item:
        """The item at a row."""
        return Item(self.ids.ids[row], self.title[row], self.text[row], self.image[row], self.attributes[row])

    def take(self, rows: Rows) -> "Items":
        """The items at these rows, in this order."""
        chosen = rows.tolist()
        columns = (tuple(column[row] for row in chosen) for column in (self.title, self.text, self.image))
        title, text, image = columns
        return Items(
            IdMap(self.ids.ids[row] for row in chosen), title, text, image,
            tuple(self.attributes[row] for row in chosen),
        )  # fmt: skip


@dataclass(frozen=True)
class Interactions:
    """Who met what: n events in the order of the file. A pair that occurs twice is two events.

    Parameters
    ----------
    user_rows, item_rows : int64 [n]
        Rows into the data set's ``users`` and ``items.ids``.
    rating : float32 [n], optional
        NaN where an event has none; ``None`` where no event has.
    timestamp : float64 [n], optional
        Unix seconds, UTC.
    context : mapping of arrays [n]
        Further columns.
    """

    user_rows: Rows
    item_rows: Rows
    rating: NDArray[np.float32] | None = None
    timestamp: NDArray[np.float64] | None = None
    context: Context = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.user_rows)

    def take(self, index: Rows | Mask) -> "Interactions":
        """The events at these positions, or where the mask is true."""
        return Interactions(
            self.user_rows[index],
            self.item_rows[index],
            None if self.rating is None else self.rating[index],
            None if self.timestamp is None else self.timestamp[index],
            {name: column[index] for name, column in self.context.items()},
        )

    def matrix(self, n_users: int, n_items: int) -> csr_matrix:
        """float32 csr [n_users, n_items] with a one where the user met the item, however often."""
        ones = np.ones(len(self), dtype=np.float32)
        matrix = csr_matrix((ones, (self.user_rows, self.item_rows)), shape=(n_users, n_items))
        matrix.sum_duplicates()
        matrix.data[:] = 1.0
        return matrix


@dataclass(frozen=True)
class Dataset:
    """A catalogue and what happened in it; ``root`` is the folder it was read from."""

    name: str
    items: Items
    users: IdMap
    interactions: Interactions
    root: Path | None = None

    def take_items(self, rows: Rows) -> "Dataset":
        """The same data set with these items only, and the interactions with them."""
        place = np.full(len(self.items), -1, dtype=np.int64)
        place[rows] = np.arange(len(rows))
        kept = self.interactions.take(place[self.interactions.item_rows] >= 0)
        return replace(self, items=self.items.take(rows), interactions=replace(kept, item_rows=place[kept.item_rows]))

    def matrix(self) -> csr_matrix:
        """All interactions as float32 csr [users, items] of ones."""
        return self.interactions.matrix(len(self.users), len(self.items))
