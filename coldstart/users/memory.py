"""User state in this process: gone with it, and read from the log again as users come back."""

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from threading import Lock

from coldstart.entities import Event, ExternalId
from coldstart.users.state import STATE_EVENTS, Load, personal, place

MAX_EVENTS = 200_000
"""Events at hand, of all users together, each user counting as one more: about 60 MB."""


class MemoryState:
    """`UserState` of one process that alone writes the log, or whose readers may be late.

    Users who were asked for are at hand, those asked for last the longest.

    Parameters
    ----------
    load : Load
        What the log knows of a user.
    max_events : int
        How many to keep of all users together; a single user may exceed it.
    """

    def __init__(self, load: Load, *, max_events: int = MAX_EVENTS) -> None:
        self._load, self._max_events = load, max_events
        self._histories: OrderedDict[ExternalId, list[Event]] = OrderedDict()  # oldest event first
        self._arriving: dict[ExternalId, list[Event]] = {}  # while a user is read from the log
        self._held = 0
        self._lock = Lock()

    def apply(self, events: Sequence[Event]) -> None:
        """See `UserState.apply`."""
        with self._lock:
            for event in personal(events):
                if event.user_id in self._arriving:
                    self._arriving[event.user_id].append(event)
                if event.user_id in self._histories:
                    self._add(event.user_id, [event])

    def recent(self, user_id: ExternalId, *, limit: int) -> list[Event]:
        """See `UserState.recent`."""
        if (known := self.at_hand(user_id, limit=limit)) is not None:
            return known
        with self._lock:
            arriving = self._arriving.setdefault(user_id, [])
        try:
            loaded = self._load(user_id)
        except BaseException:
            self._arrived(user_id, arriving)
            raise
        with self._lock:
            # Another may have been quicker, or the user forgotten meanwhile: then nothing is kept of this reading.
            if self._arriving.get(user_id) is arriving:
                del self._arriving[user_id]
                self._add(user_id, [*loaded, *arriving])
            if user_id in self._histories:
                return self._latest(user_id, limit)
        return list(loaded[:limit])

    def at_hand(self, user_id: ExternalId, *, limit: int) -> list[Event] | None:
        """The user's latest events, newest first, where the log need not be read for them."""
        with self._lock:
            return self._latest(user_id, limit) if user_id in self._histories else None

    def forget(self, user_ids: Sequence[ExternalId]) -> None:
        """See `UserState.forget`."""
        with self._lock:
            for user_id in user_ids:
                self._arriving.pop(user_id, None)
                if user_id in self._histories:
                    self._held -= 1 + len(self._histories.pop(user_id))

    def held(self, user_ids: Sequence[ExternalId]) -> int:
        """See `UserState.held`."""
        with self._lock:
            return sum(user_id in self._histories or user_id in self._arriving for user_id in set(user_ids))

    def _arrived(self, user_id: ExternalId, arriving: list[Event]) -> None:
        with self._lock:
            if self._arriving.get(user_id) is arriving:
                del self._arriving[user_id]

    def _latest(self, user_id: ExternalId, limit: int) -> list[Event]:
        self._histories.move_to_end(user_id)
        return self._histories[user_id][: -limit - 1 : -1]

    def _add(self, user_id: ExternalId, events: Iterable[Event]) -> None:
        before = 1 + len(self._histories[user_id]) if user_id in self._histories else 0
        history = self._histories.setdefault(user_id, [])
        for event in events:
            row = bisect_left(history, place(event), key=place)
            if row == len(history) or history[row].event_id != event.event_id:
                history.insert(row, event)
        del history[:-STATE_EVENTS]
        self._held += 1 + len(history) - before
        while self._held > self._max_events and len(self._histories) > 1:
            _, dropped = self._histories.popitem(last=False)
            self._held -= 1 + len(dropped)
