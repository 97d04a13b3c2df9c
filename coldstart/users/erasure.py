"""Every trace of a person removed, and counted again afterwards."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from coldstart.catalog.users import UserStore
from coldstart.entities import ExternalId
from coldstart.users.state import UserState


class Place(Protocol):
    """Where something of users is kept outside the tables of profiles and events."""

    def erase(self, user_ids: Sequence[ExternalId]) -> int:
        """Remove what there is of these users; returns how much it was."""
        ...

    def traces(self, user_ids: Sequence[ExternalId]) -> int:
        """How much there is of these users."""
        ...


class StatePlace:
    """Recent behaviour at hand as a `Place`: as many traces as users."""

    def __init__(self, state: UserState) -> None:
        self._state = state

    def erase(self, user_ids: Sequence[ExternalId]) -> int:
        """See `Place.erase`."""
        held = self._state.held(user_ids)
        self._state.forget(user_ids)
        return held

    def traces(self, user_ids: Sequence[ExternalId]) -> int:
        """See `Place.traces`."""
        return self._state.held(user_ids)


@dataclass(frozen=True, slots=True)
class Erased:
    """What each place lost, and what it holds now."""

    user_id: ExternalId
    erased: Mapping[str, int]
    left: Mapping[str, int]


def erase(user_id: ExternalId, users: UserStore, places: Mapping[str, Place]) -> Erased:
    """Erase a person under all their names; of an unknown one nothing, which is remembered all the same.

    The names go last. Until then a place that fails leaves an erasure that the same call takes up again.
    """
    forgotten = users.forget(user_id)
    user_ids = forgotten.user_ids
    erased = {**forgotten.erased, **{name: place.erase(user_ids) for name, place in places.items()}}
    erased["names"] = users.forget_names(user_ids)
    left = {**users.traces(user_ids), **{name: place.traces(user_ids) for name, place in places.items()}}
    return Erased(user_id, erased, left)
