"""What users did of late, at hand: derived from the log of events, and made again from it where it is missing.

The state of a user is the latest `STATE_EVENTS` of the *set* of their events, in one order: by time, and of one time by
the bytes of ``event_id``. A union with a cut-off has no order and no number of deliveries: late, repeated and shuffled
events end in the same state as a clean run.
"""

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from typing import Protocol

import orjson

from coldstart.entities import Event, ExternalId
from coldstart.kinds import kind_of

STATE_EVENTS = 1000
"""Of a user: what they met in these is not recommended again."""

Load = Callable[[ExternalId], Sequence[Event]]
"""The `STATE_EVENTS` latest personal events of a user in the log, newest first; may raise `Unavailable`."""


class UserState(Protocol):
    """The latest events of each user. Thread-safe.

    Events of kinds that say nothing of their user (`coldstart.kinds`) are left out.
    """

    def apply(self, events: Sequence[Event]) -> None:
        """Take in events as the log holds them; whether some or all are known already makes no difference.

        They have to be committed before: a user who is not at hand is left to be read from the log. Never raises.
        """
        ...

    def recent(self, user_id: ExternalId, *, limit: int) -> list[Event]:
        """The user's latest events, newest first; `Unavailable` where neither state nor log answers."""
        ...

    def forget(self, user_ids: Sequence[ExternalId]) -> None:
        """Let go of users whom the log no longer knows, or knows otherwise; `Unavailable` where that cannot be done."""
        ...

    def held(self, user_ids: Sequence[ExternalId]) -> int:
        """How many of these users are at hand; `Unavailable` where that cannot be told."""
        ...


class LogState:
    """`UserState` that keeps nothing, and reads the log each time: right for any number of processes."""

    def __init__(self, load: Load) -> None:
        self._load = load

    def apply(self, events: Sequence[Event]) -> None:
        """See `UserState.apply`."""

    def recent(self, user_id: ExternalId, *, limit: int) -> list[Event]:
        """See `UserState.recent`."""
        return list(self._load(user_id)[:limit])

    def forget(self, user_ids: Sequence[ExternalId]) -> None:
        """See `UserState.forget`."""

    def held(self, user_ids: Sequence[ExternalId]) -> int:
        """See `UserState.held`."""
        return 0


def place(event: Event) -> tuple[float, bytes]:
    """Where the event is in a user's history, oldest first."""
    return event.timestamp, event.event_id.encode()


def personal(events: Iterable[Event]) -> list[Event]:
    """Those that say something of their user."""
    return [event for event in events if kind_of(event.kind).personal]


def digest(state: UserState, user_ids: Iterable[ExternalId]) -> str:
    """SHA-256 of all that the state knows of the users, in the order of their ids: two that are equal agree on it."""
    told = sha256()
    for user_id in sorted(user_ids):
        told.update(orjson.dumps(state.recent(user_id, limit=STATE_EVENTS), option=orjson.OPT_APPEND_NEWLINE))
    return told.hexdigest()
