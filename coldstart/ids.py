"""How external ids map to rows. Nothing else in the code turns one into the other."""

import re
import uuid
from collections.abc import Iterable, Sequence
from functools import cached_property

import numpy as np

from coldstart.entities import ExternalId
from coldstart.errors import InvalidInput, NotFound
from coldstart.vectors import Rows

_POINT_NAMESPACE = uuid.UUID("6f1c0f0e-52d1-5c0b-9d0a-0c6c5d0a7b11")
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
MAX_ID_CHARACTERS = 256


class IdMap:
    """An immutable, ordered set of external ids: the row of an id is its position.

    >>> ids = IdMap(["b", "a"])
    >>> ids.row("a"), ids.rows(["a", "zzz", "b"]).tolist(), len(ids)
    (1, [1, -1, 0], 2)
    """

    def __init__(self, ids: Iterable[ExternalId]) -> None:
        self.ids: tuple[ExternalId, ...] = tuple(ids)
        if len(self._row_of) != len(self.ids):
            twice = next(external for row, external in enumerate(self.ids) if self._row_of[external] != row)
            raise InvalidInput("the id occurs twice", subject=twice, remedy="Ids must be unique")

    @cached_property
    def _row_of(self) -> dict[ExternalId, int]:
        return {external: row for row, external in enumerate(self.ids)}

    def __len__(self) -> int:
        return len(self.ids)

    def __contains__(self, external: object) -> bool:
        return external in self._row_of

    def row(self, external: ExternalId) -> int:
        """The row of one id; `NotFound` where it is unknown."""
        try:
            return self._row_of[external]
        except KeyError:
            raise NotFound("the id is unknown", subject=external) from None

    def rows(self, externals: Sequence[ExternalId]) -> Rows:
        """Rows [n] of the ids, -1 for each unknown one."""
        return np.fromiter((self._row_of.get(e, -1) for e in externals), dtype=np.int64, count=len(externals))


def check_id(external: str, *, kind: str = "id") -> ExternalId:
    """The id itself; `InvalidInput` where it is empty, too long, or holds NUL or a lone surrogate."""
    if not external.strip():
        raise InvalidInput(f"the {kind} is empty", remedy=f"Give every record a non-empty {kind}")
    if len(external) > MAX_ID_CHARACTERS:
        raise InvalidInput(
            f"the {kind} has {len(external)} characters",
            subject=external[:32] + "…",
            remedy=f"At most {MAX_ID_CHARACTERS} are allowed",
        )
    if _UNSTORABLE.search(external):
        what = f"the {kind} holds NUL or a lone surrogate"
        raise InvalidInput(what, subject=repr(external), remedy="Send valid text")
    return external


def point_id(external: ExternalId) -> str:
    """The id under which an engine that takes only UUIDs stores the item: uuid5, stable across processes."""
    return str(uuid.uuid5(_POINT_NAMESPACE, external))
