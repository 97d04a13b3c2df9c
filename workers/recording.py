"""Where events go, from whichever side they come: into the log, and on into the state that lists are made of."""

from collections.abc import Sequence

from coldstart.catalog import ItemStore, Recorded
from coldstart.entities import Event
from coldstart.telemetry import Telemetry
from coldstart.users.state import UserState


class Recorder:
    """Commits events and shows them to the next list.

    What the state takes in is what the log holds: of a repeated delivery the first, so that a process that was killed
    between the two steps is made good by whoever delivers again.
    """

    def __init__(self, store: ItemStore, state: UserState, telemetry: Telemetry) -> None:
        self._store, self._state, self._telemetry = store, state, telemetry

    def record(self, events: Sequence[Event]) -> Recorded:
        """Committed when this returns, all or none; for errors see `ItemStore.record_events`."""
        recorded = self._store.record_events(events)
        self._state.apply(recorded.events)
        on_unknown = sum(e.event_id in recorded.new and e.item_id in recorded.unknown_items for e in recorded.events)
        self._telemetry.events.labels("recorded").inc(len(recorded.new))
        self._telemetry.events.labels("duplicate").inc(len(events) - len(recorded.new))
        self._telemetry.events_on_unknown_items.inc(on_unknown)
        return recorded
