"""What a recommendation asks the store for, and what it does about a store that hangs."""

from collections.abc import Sequence
from typing import Protocol

from coldstart.bulkhead import Bulkhead
from coldstart.catalog import ItemRecord, ItemStore, Status
from coldstart.entities import Event, ExternalId


class Behaviour(Protocol):
    """The part of `ItemStore` that tells what people do and what has arrived; see there."""

    def recent_events(self, user_id: ExternalId, *, limit: int) -> list[Event]:
        """The user's latest events."""
        ...

    def popular(self, *, limit: int, since: float = 0.0) -> Sequence[tuple[ExternalId, int]]:
        """Items with the most events."""
        ...

    def list_items(self, *, limit: int, offset: int = 0, status: Status | None = None) -> list[ItemRecord]:
        """Items, last accepted first."""
        ...


class PromptBehaviour:
    """`Behaviour` of a store behind a network: each answer within a deadline, or `Unavailable`."""

    def __init__(self, store: ItemStore, bulkhead: Bulkhead) -> None:
        self._store, self._bulkhead = store, bulkhead

    def recent_events(self, user_id: ExternalId, *, limit: int) -> list[Event]:
        """See `ItemStore.recent_events`."""
        return self._bulkhead.call(self._store.recent_events, user_id, limit=limit)

    def popular(self, *, limit: int, since: float = 0.0) -> Sequence[tuple[ExternalId, int]]:
        """See `ItemStore.popular`."""
        return self._bulkhead.call(self._store.popular, limit=limit, since=since)

    def list_items(self, *, limit: int, offset: int = 0, status: Status | None = None) -> list[ItemRecord]:
        """See `ItemStore.list_items`."""
        return self._bulkhead.call(self._store.list_items, limit=limit, offset=offset, status=status)
