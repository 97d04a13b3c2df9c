from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from coldstart.catalog.users import UserStore
from coldstart.entities import ExternalId
from coldstart.errors import Unavailable
from coldstart.users.erasure import Erased, erase
from coldstart.users.profile import Profile


class Cupboard:
    """A place of things that belong to users; it is locked at times, and something may stick to its bottom."""

    def __init__(self, *owners: ExternalId) -> None:
        self.owners, self.locked, self.sticky = list(owners), False, False

    def erase(self, user_ids: Sequence[ExternalId]) -> int:
        if self.locked:
            raise Unavailable("locked")
        gone = [] if self.sticky else [owner for owner in self.owners if owner in user_ids]
        self.owners = [owner for owner in self.owners if owner not in gone]
        return len(gone)

    def traces(self, user_ids: Sequence[ExternalId]) -> int:
        return sum(owner in user_ids for owner in self.owners)


@pytest.fixture
def users(tmp_path: Path) -> Iterator[UserStore]:
    store = UserStore(f"sqlite:///{tmp_path}/catalog.sqlite3")
    store.put("anonymous", Profile(liked=("mocha",)))
    store.merge("anonymous", into="ann")
    yield store
    store.close()


def test_every_place_loses_what_is_under_any_name(users: UserStore) -> None:
    cupboard = Cupboard("ann", "bob", "anonymous", "anonymous")
    erased = erase("ann", users, {"cupboard": cupboard})
    assert erased == Erased(
        "ann",
        erased={"profiles": 1, "events": 0, "exposures": 0, "cupboard": 3, "names": 1},
        left={"profiles": 0, "events": 0, "exposures": 0, "names": 0, "cupboard": 0},
    )
    assert cupboard.owners == ["bob"]


def test_what_is_left_is_counted_and_not_believed(users: UserStore) -> None:
    cupboard = Cupboard("anonymous")
    cupboard.sticky = True
    assert erase("ann", users, {"cupboard": cupboard}).left["cupboard"] == 1


def test_an_erasure_that_a_place_broke_off_is_taken_up_again(users: UserStore) -> None:
    cupboard = Cupboard("anonymous")
    cupboard.locked = True
    with pytest.raises(Unavailable):
        erase("ann", users, {"cupboard": cupboard})
    cupboard.locked = False
    erased = erase("ann", users, {"cupboard": cupboard})
    assert (erased.erased["cupboard"], erased.erased["names"], cupboard.owners) == (1, 1, [])
    assert erase("ann", users, {"cupboard": cupboard}).erased["names"] == 0
