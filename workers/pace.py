"""How much background work may be begun at once, so that whatever is posted meanwhile waits no longer than it may."""

PATIENCE_S = 0.03
_FIRST = 4


class Pace:
    """Learns from each batch how many items fit into the patience of a posted one: one more, or as many as had.

    Where a batch costs little more than an item, as on a GPU, the number grows to ``most``.

    >>> pace = Pace(most=32, patience_s=0.03)
    >>> pace.took(4, 0.06); pace.items
    2
    >>> for _ in range(40): pace.took(pace.items, 0.02 + 0.0001 * pace.items)
    >>> pace.items
    32
    """

    def __init__(self, *, most: int, patience_s: float = PATIENCE_S) -> None:
        self._most, self._patience_s = most, patience_s
        self.items = min(_FIRST, most)

    def took(self, items: int, seconds: float) -> None:
        """Learn from a batch."""
        if seconds > self._patience_s:
            self.items = max(1, min(self.items, int(items * self._patience_s / seconds)))
        elif items == self.items:
            self.items = min(self._most, items + 1)
