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


def test_an_embedding_of_another_encoder_is_left_out(users: Fragile) -> None:
    users.put("ann", TEA)
    same = Readers(users, encoder="words-1").reader_of("ann").profile
    other = Readers(users, encoder="words-2").reader_of("ann").profile
    assert same.embedding is not None and other.embedding is None
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
