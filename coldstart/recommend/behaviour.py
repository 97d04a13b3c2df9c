"""What a recommendation asks about people and arrivals, and what it does about a store that hangs."""

from collections.abc import Callable, Sequence
from typing import ParamSpec, Protocol, TypeVar

from coldstart.bulkhead import Bulkhead
from coldstart.catalog import ItemRecord, ItemStore, Status
from coldstart.entities import Event, ExternalId
from coldstart.kinds import IMPERSONAL
from coldstart.users.state import STATE_EVENTS, Load, UserState

P = ParamSpec("P")
R = TypeVar("R")


class Behaviour(Protocol):
    """Recent events of a user, and the part of `ItemStore` that tells what people like and what has arrived."""

    def recent_events(self, user_id: ExternalId, *, limit: int) -> list[Event]:
        """The user's latest events, newest first."""
        ...

    def popular(self, *, limit: int, since: float = 0.0) -> Sequence[tuple[ExternalId, int]]:
        """See `ItemStore.popular`."""
        ...

    def list_items(self, *, limit: int, offset: int = 0, status: Status | None = None) -> list[ItemRecord]:
        """See `ItemStore.list_items`."""
        ...


class LiveBehaviour:
    """`Behaviour` of a state and a store; with a bulkhead, as for a store behind a network, within its deadline."""

    def __init__(self, state: UserState, store: ItemStore, bulkhead: Bulkhead | None = None) -> None:
        self._state, self._store, self._bulkhead = state, store, bulkhead

    def recent_events(self, user_id: ExternalId, *, limit: int) -> list[Event]:
        """See `UserState.recent`."""
        return self._state.recent(user_id, limit=limit)

    def popular(self, *, limit: int, since: float = 0.0) -> Sequence[tuple[ExternalId, int]]:
        """See `ItemStore.popular`."""
        return self._promptly(self._store.popular, limit=limit, since=since)

    def list_items(self, *, limit: int, offset: int = 0, status: Status | None = None) -> list[ItemRecord]:
        """See `ItemStore.list_items`."""
        return self._promptly(self._store.list_items, limit=limit, offset=offset, status=status)

    def _promptly(self, read: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        return read(*args, **kwargs) if self._bulkhead is None else self._bulkhead.call(read, *args, **kwargs)


def log_of(store: ItemStore, bulkhead: Bulkhead | None = None) -> Load:
    """What a user state reads of the store's log."""

    def load(user_id: ExternalId) -> Sequence[Event]:
        return store.recent_events(user_id, limit=STATE_EVENTS, without=IMPERSONAL)

    return load if bulkhead is None else lambda user_id: bulkhead.call(load, user_id)
