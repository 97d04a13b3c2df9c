"""Items that are adapted again and again while an adapter is trained: what its parameters do not change is kept."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from adapters.content import Centering, Contents
from adapters.neighbours import Anchors, nearest
from coldstart.vectors import Mask, Matrix, Rows

_BATCH = 4096


class Part:
    """Some of the items, few enough to be adapted at once.

    Parameters
    ----------
    contents : Contents [n]
    own_rows : int64 [n], optional
        Their backbone rows (-1: none), which are kept from being neighbours.
    """

    def __init__(self, contents: Contents, own_rows: Rows | None) -> None:
        self.contents, self.own_rows = contents, own_rows
        self._read: tuple[Centering, tuple[Matrix, Matrix, Mask]] | None = None
        self._near: tuple[Anchors, Matrix, tuple[Rows, Matrix]] | None = None

    def read(self, centering: Centering, modalities: Mask) -> tuple[Matrix, Matrix, Mask]:
        """Their t [n, dt], x [n, px] and which of them can be read [n, 2], of these modalities [2]."""
        if self._read is None or self._read[0] is not centering:
            contents = replace(self.contents, present=self.contents.present & modalities)
            self._read = centering, centering.apply(contents)
        return self._read[1]

    def near(self, anchors: Anchors, text: Matrix, image: Matrix, gate: Matrix, *, k: int) -> tuple[Rows, Matrix]:
        """As `nearest` finds it; again only where the gates [n, 2] have moved, which those of one modality never do."""
        if self._near is None or self._near[0] is not anchors or not np.array_equal(self._near[1], gate):
            self._near = anchors, gate, nearest(anchors, text, image, gate, k=k, own_rows=self.own_rows)
        return self._near[2]


def in_parts(contents: Contents, own_rows: Rows | None = None) -> Iterator[Part]:
    """The items, a few thousand at a time."""
    if len(contents) <= _BATCH:
        yield Part(contents, own_rows)
        return
    for rows in np.array_split(np.arange(len(contents)), -(-len(contents) // _BATCH)):
        yield Part(contents.take(rows), None if own_rows is None else own_rows[rows])


class Studied:
    """Items whose parts are kept; for one adapter's training, in one thread.

    Parameters
    ----------
    contents, own_rows
        As in `Part`.
    """

    def __init__(self, contents: Contents, own_rows: Rows | None = None) -> None:
        self.parts = tuple(in_parts(contents, own_rows))
