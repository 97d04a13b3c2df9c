"""The arithmetic of lists and queries. Pure and deterministic."""

from collections.abc import Iterable, Mapping, Sequence
from heapq import nsmallest
from itertools import islice
from typing import TypeVar

import numpy as np

from coldstart.vectors import Matrix, Rows, Vector, normalise

T = TypeVar("T")


def distinct(ids: Iterable[T], limit: int | None = None) -> list[T]:
    """The first ``limit`` different elements, in order.

    >>> distinct(["b", "a", "b", "c"], 2)
    ['b', 'a']
    """
    return list(islice(dict.fromkeys(ids), limit))


def combine(queries: Sequence[Vector]) -> Vector:
    """One query [D] that gives each of the queries the same say, whatever their lengths.

    The mean of their directions, at the mean of their lengths: only the direction ranks, the length keeps the scale of
    the scores.

    >>> combine([np.array([2.0, 0.0], dtype=np.float32), np.array([0.0, 4.0], dtype=np.float32)]).tolist()
    [1.5, 1.5]
    """
    stacked = np.stack(queries)
    length = np.linalg.norm(stacked, axis=1).mean()
    return np.asarray(normalise(stacked).mean(axis=0) * length, dtype=np.float32)


def by_cosine(query: Vector, candidates: Matrix) -> tuple[Rows, Vector]:
    """Rows of the candidates [n, D] by falling cosine with the query [D], and their cosines.

    >>> rows, cosines = by_cosine(np.array([1.0, 0.0]), np.array([[9.0, 9.0], [0.5, 0.0]]))
    >>> rows.tolist(), cosines.round(2)
    ([1, 0], array([1.  , 0.71], dtype=float32))
    """
    cosines = normalise(np.asarray(candidates, dtype=np.float32)) @ normalise(np.asarray(query, dtype=np.float32))
    order = np.argsort(-cosines, kind="stable")
    return order, cosines[order]


def most_clicked(clicks: Mapping[str, int], limit: int) -> dict[str, int]:
    """The ``limit`` items with the most clicks, most first and then by id.

    >>> most_clicked({"b": 5, "c": 9, "a": 5}, 2)
    {'c': 9, 'a': 5}
    """
    return dict(nsmallest(limit, clicks.items(), key=lambda pair: (-pair[1], pair[0])))


def interleave(first: Sequence[T], second: Sequence[T], *, every: int) -> list[T]:
    """All of both without repetition: every ``every``-th place for ``second`` while it lasts, the others for ``first``.

    >>> interleave("abcde", "xby", every=3)
    ['a', 'b', 'x', 'c', 'd', 'y', 'e']
    """
    mixed: dict[T, None] = {}
    ones, others = iter(first), iter(second)
    while True:
        source = others if (len(mixed) + 1) % every == 0 else ones
        fallback = ones if source is others else others
        item = next((x for x in source if x not in mixed), None)
        if item is None and (item := next((x for x in fallback if x not in mixed), None)) is None:
            return list(mixed)
        mixed[item] = None
