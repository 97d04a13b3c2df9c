"""Users and items as another recommender leaves them: checked, named where they are wrong, and frozen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from coldstart.backbones.frozen import FrozenBackbone
from coldstart.entities import ExternalId
from coldstart.errors import InvalidInput
from coldstart.ids import IdMap, check_id
from coldstart.vectors import Matrix


@dataclass(frozen=True)
class Side:
    """Users or items: an id and a vector each.

    Parameters
    ----------
    source : str
        The file or attribute that they are from, for messages.
    ids : IdMap
    vectors : float32 [n, d]
    """

    source: str
    ids: IdMap
    vectors: Matrix

    @classmethod
    def checked(cls, source: str, ids: Sequence[ExternalId], raw: NDArray[Any]) -> "Side":
        """Raw numbers [n, d] of any kind as float32.

        Raises
        ------
        InvalidInput
            Naming source and row: for NaN or infinite numbers, ids that are empty or occur twice, and rows that do not
            fit the ids.
        """
        if raw.ndim != 2 or 0 in raw.shape:
            what = f"the vectors have the shape {raw.shape}, not rows and columns"
            raise fault(source, what, "Save a matrix [ids, d]")
        if len(ids) != len(raw):
            what = f"there are {len(ids)} ids for {len(raw)} vectors"
            raise fault(source, what, "Give one id a row, in the same order")
        if not np.issubdtype(raw.dtype, np.number) or np.issubdtype(raw.dtype, np.complexfloating):
            raise fault(source, f"the vectors are {raw.dtype}", "Save floats")
        with np.errstate(over="ignore"):  # what does not fit float32 becomes infinite and is named below
            vectors = np.ascontiguousarray(raw.astype(np.float32))
        if not np.isfinite(vectors).all():
            row = int(np.flatnonzero(~np.isfinite(vectors).all(axis=1))[0])
            raise fault(source, f"the vector of {ids[row]!r} in row {row + 1} is not finite", "Remove or repair it")
        for row, external in enumerate(ids):
            try:
                check_id(external)
            except InvalidInput as error:
                raise fault(source, f"in row {row + 1} {error.what}", error.remedy or "Give an id") from None
        try:
            return cls(source, IdMap(ids), vectors)
        except InvalidInput as error:
            raise fault(source, f"the id {error.subject!r} occurs twice", "Ids must be unique") from None


def freeze(
    users: Side, items: Side, clicks: csr_matrix, *, config: Mapping[str, Any], seen_only: bool = False
) -> FrozenBackbone:
    """Both sides as one backbone.

    A vector of zeros says nothing of whom it is for: its row is left out, so that an adapter places the item as a cold
    one, and its user is a new one.

    Parameters
    ----------
    clicks : csr [users, items]
        Ones where the user met the item in training.
    seen_only : bool
        Leave out those without a click as well: training has not moved them from where chance had put them.

    Raises
    ------
    InvalidInput
        For sides of different widths, items whose vectors are all the same, users whose vectors are all zero, and
        where no row is left.
    """
    if users.vectors.shape[1] != items.vectors.shape[1]:
        raise fault(
            f"{users.source}, {items.source}",
            f"users have {users.vectors.shape[1]} numbers each, items {items.vectors.shape[1]}",
            "Export both sides from the same model",
        )
    remedy = "Export what training has learned"
    if len(items.ids) > 1 and (items.vectors == items.vectors[0]).all():
        raise fault(items.source, "the vectors of all items are the same and rank nothing", remedy)
    if not users.vectors.any():
        raise fault(users.source, "the vectors of all users are zero and rank nothing", remedy)
    kept_users, kept_items = users.vectors.any(axis=1), items.vectors.any(axis=1)
    if seen_only:
        kept_users &= np.diff(clicks.indptr) > 0
        kept_items &= np.diff(clicks.tocsc().indptr) > 0
    if not kept_users.any() or not kept_items.any():
        what = "no user or no item has both a vector and an interaction"
        raise fault(f"{users.source}, {items.source}", what, "Give the interactions that the model was trained on")
    user_rows, item_rows = np.flatnonzero(kept_users), np.flatnonzero(kept_items)
    return FrozenBackbone(
        kind="external",
        users=IdMap(users.ids.ids[row] for row in user_rows),
        items=IdMap(items.ids.ids[row] for row in item_rows),
        user_vectors=users.vectors[user_rows],
        item_vectors=items.vectors[item_rows],
        clicks=clicks[user_rows][:, item_rows].tocsr(),
        config=config,
    )


def fault(source: str, what: str, remedy: str) -> InvalidInput:
    """What is wrong with a source."""
    return InvalidInput(what, subject=source, remedy=remedy)
