"""What is reported is committed, and then shown to lists as the log has it."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from coldstart.catalog import ItemStore
from coldstart.entities import Event
from coldstart.errors import InvalidInput
from coldstart.recommend import log_of
from coldstart.telemetry import Telemetry
from coldstart.users.memory import MemoryState
from workers.recording import Recorder

EVENT = Event("e1", "u", "unheard-of", 1.0)


class Dies(MemoryState):
    """As of a process that is killed between the commit and the state."""

    def apply(self, events: Sequence[Event]) -> None:
        raise SystemExit


def test_a_repeated_delivery_is_applied_as_the_log_has_it_and_counted_as_a_duplicate(store: ItemStore) -> None:
    state, telemetry = MemoryState(log_of(store)), Telemetry()
    state.recent("u", limit=9)
    with pytest.raises(SystemExit):
        Recorder(store, Dies(log_of(store)), telemetry).record([EVENT])
    recorder = Recorder(store, state, telemetry)
    recorder.record([replace(EVENT, item_id="another", timestamp=2.0), replace(EVENT, event_id="e2")])
    assert {event.event_id: event.item_id for event in state.recent("u", limit=9)} == {
        "e1": "unheard-of", "e2": "unheard-of",
    }  # fmt: skip
    told = telemetry.exposition().decode()
    assert 'coldstart_events_total{outcome="recorded"} 1.0' in told
    assert 'coldstart_events_total{outcome="duplicate"} 1.0' in told
    assert "coldstart_events_on_unknown_items_total 1.0" in told


def test_what_is_refused_reaches_nothing(store: ItemStore) -> None:
    state = MemoryState(log_of(store))
    with pytest.raises(InvalidInput):
        Recorder(store, state, Telemetry()).record([EVENT, replace(EVENT, event_id="")])
    assert state.recent("u", limit=9) == []
