"""What lists are made of without asking anybody: where all of it is in the process, a list is a millisecond's work.

An event loop may do that itself, for less than a thread costs. Whatever is missing is an exception, and such a list is
made elsewhere, with everything.
"""

from coldstart.entities import Event, ExternalId
from coldstart.recommend.request import Request
from coldstart.users.memory import MemoryState
from coldstart.users.profile import Reader
from coldstart.users.readers import Readers
from coldstart.vectors import Vector

MOST = 50
"""Rows, clicked and liked items of such a list: of more it would take several milliseconds."""


class NotAtHand(Exception):
    """The list needs what takes longer: a store, an encoder, or a search that a request has shaped."""


def require_small(request: Request) -> None:
    """Raise `NotAtHand` for a request that is long, or may have the index build something first."""
    shaped = request.where or request.boosts or request.policy or request.preferences
    if shaped or max(request.limit, len(request.clicked)) > MOST:
        raise NotAtHand


class AtHand:
    """Whom a list is for and what they did of late, as this process remembers it, beside an index in the process."""

    def __init__(self, readers: Readers, state: MemoryState) -> None:
        self._readers, self._state = readers, state

    def reader_of(self, user_id: ExternalId) -> Reader:
        """See `Readers.reader_of`."""
        reader = self._readers.at_hand(user_id)
        if reader is None or len(reader.profile.liked) > MOST:
            raise NotAtHand
        return reader

    def recent_events(self, user_id: ExternalId, *, limit: int) -> list[Event]:
        """See `Behaviour.recent_events`."""
        events = self._state.at_hand(user_id, limit=limit)
        if events is None:
            raise NotAtHand
        return events

    def encode(self, _: str) -> Vector:
        """Not here: an encoder takes several milliseconds."""
        raise NotAtHand
