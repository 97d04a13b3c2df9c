from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from coldstart.bulkhead import Bulkhead
from coldstart.catalog.users import UserStore
from coldstart.entities import ExternalId
from coldstart.errors import Unavailable
from coldstart.users.profile import Profile, Reader
from coldstart.users.readers import LOOK_S, Readers

TEA = Profile(preferences="tea", embedding=np.ones(2, dtype=np.float32), encoder="words-1", liked=("assam",))


class Fragile(UserStore):
    """Does not answer while it is away."""

    away = False

    def reader(self, user_id: ExternalId) -> Reader:
        if self.away:
            raise Unavailable("gone fishing")
        return super().reader(user_id)


@pytest.fixture
def users(tmp_path: Path) -> Iterator[Fragile]:
    store = Fragile(f"sqlite:///{tmp_path}/catalog.sqlite3")
    yield store
    store.close()


def test_an_embedding_of_another_model_is_left_out_and_of_another_precision_is_not(users: Fragile) -> None:
    users.put("ann", TEA)
    same = Readers(users, encoder="words-1").reader_of("ann").profile
    fewer_bits = Readers(users, encoder="words-1+int8.1").reader_of("ann").profile
    other = Readers(users, encoder="words-2").reader_of("ann").profile
    assert same.embedding is not None and fewer_bits.embedding is not None and other.embedding is None
    assert (other.preferences, other.liked) == ("tea", ("assam",))


@pytest.mark.parametrize("bulkhead", [None, Bulkhead("toy", threads=1, deadline_s=10.0)])
def test_somebody_erased_stays_so_while_the_store_is_away(
    users: Fragile, bulkhead: Bulkhead | None, caplog: pytest.LogCaptureFixture
) -> None:
    now = [0.0]
    users.forget("before-the-start")
    readers = Readers(users, encoder="words-1", bulkhead=bulkhead, clock=lambda: now[0])
    users.forget("by-another-process")
    readers.reader_of("somebody")
    assert readers.is_erased("before-the-start") and not readers.is_erased("by-another-process")
    now[0] = LOOK_S
    readers.reader_of("somebody")
    users.away = True
    for name in ("before-the-start", "by-another-process", "somebody"):
        assert readers.reader_of(name) == Reader(name, erased=name != "somebody", degraded=True)
    assert len(caplog.records) == 3 and "-the-start" not in caplog.text
    users.away = False
    assert readers.reader_of("somebody") == Reader("somebody")


def test_one_that_writes_alone_asks_once_until_something_is_new(users: Fragile) -> None:
    users.put("ann", TEA)
    readers = Readers(users, encoder="words-1", alone=True)
    assert readers.reader_of("ann").profile == TEA and readers.reader_of("bob") == Reader("bob")
    users.away = True
    assert readers.reader_of("ann").profile == TEA and not readers.reader_of("ann").degraded
    assert readers.at_hand("bob") == Reader("bob") and readers.at_hand("cleo") is None
    users.away = False
    users.put("bob", TEA)
    readers.forget(["bob"])
    assert readers.reader_of("bob").profile == TEA


def test_a_name_of_an_account_is_asked_for_each_time(users: Fragile) -> None:
    readers = Readers(users, encoder="words-1", alone=True)
    assert readers.reader_of("visitor").user_id == "visitor"
    users.merge("visitor", into="ann")
    readers.forget(["visitor", "ann"])
    assert readers.reader_of("visitor") == Reader("ann") and readers.at_hand("visitor") is None
    users.put("ann", TEA)
    readers.forget(["ann"])
    assert readers.reader_of("visitor").profile == TEA


def test_what_was_read_before_a_change_is_not_kept(users: Fragile, monkeypatch: pytest.MonkeyPatch) -> None:
    readers = Readers(users, encoder="words-1", alone=True)
    read = users.reader

    def overtaken(user_id: ExternalId) -> Reader:
        before = read(user_id)
        users.put(user_id, TEA)
        readers.forget([user_id])
        return before

    monkeypatch.setattr(users, "reader", overtaken)
    assert readers.reader_of("ann") == Reader("ann")
    monkeypatch.undo()
    assert readers.reader_of("ann").profile == TEA


def test_so_many_are_at_hand_and_no_more(users: Fragile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coldstart.users.readers.AT_HAND", 2)
    readers = Readers(users, encoder="words-1", alone=True)
    for name in ("ann", "bob", "ann", "cleo"):
        readers.reader_of(name)
    assert [readers.at_hand(name) is not None for name in ("ann", "bob", "cleo")] == [True, False, True]
