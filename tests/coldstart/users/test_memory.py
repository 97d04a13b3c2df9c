"""State in this process is bounded, and what it let go comes back from the log."""

from coldstart.entities import Event, ExternalId
from coldstart.users.memory import MemoryState


def test_users_asked_for_longest_ago_go_and_are_read_again() -> None:
    asked: list[ExternalId] = []

    def load(user_id: ExternalId) -> list[Event]:
        asked.append(user_id)
        return [Event(f"{user_id}-{n}", user_id, "i", float(-n)) for n in range(4)]

    state = MemoryState(load, max_events=10)  # two users: 5 each
    for user_id in ("a", "b", "a", "c"):  # "b" goes
        assert len(state.recent(user_id, limit=9)) == 4
    assert asked == ["a", "b", "c"]
    state.recent("a", limit=9)
    assert asked == ["a", "b", "c"]
    state.apply([Event("new", "b", "i", 1.0)])  # for the log, not for the state
    state.recent("b", limit=9)
    assert asked == ["a", "b", "c", "b"]
    state.forget(["b"])
    state.recent("c", limit=9)
    assert asked == ["a", "b", "c", "b", "c"]


def test_users_without_events_take_room_as_well() -> None:
    asked: list[ExternalId] = []
    state = MemoryState(lambda user_id: asked.append(user_id) or [], max_events=10)
    for n in range(30):
        state.recent(f"{n}", limit=9)
    state.recent("29", limit=9)
    assert len(asked) == 30
    state.recent("19", limit=9)
    assert len(asked) == 31


def test_a_user_with_more_events_than_there_is_room_for_is_at_hand_all_the_same() -> None:
    asked: list[ExternalId] = []

    def load(user_id: ExternalId) -> list[Event]:
        asked.append(user_id)
        return [Event(f"{n}", user_id, "i", float(-n)) for n in range(50)]

    state = MemoryState(load, max_events=10)
    assert len(state.recent("a", limit=99)) == len(state.recent("a", limit=99)) == 50
    assert asked == ["a"]
