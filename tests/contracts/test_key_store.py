"""What the store of API keys promises, asked of SQLite and of a real PostgreSQL server."""

from collections.abc import Iterator

import pytest
from sqlalchemy import text

from coldstart.access import Scope
from coldstart.catalog.engine import Database
from coldstart.catalog.keys import KeyStore
from coldstart.errors import InvalidInput, NotFound


@pytest.fixture
def times() -> list[float]:
    """What the store's clock says; the last one is now."""
    return [1_000_000.0]


@pytest.fixture
def store(url: str, times: list[float]) -> Iterator[KeyStore]:
    store = KeyStore(url, clock=lambda: times[-1])
    yield store
    store.close()


def test_a_key_is_kept_as_it_was_made(store: KeyStore) -> None:
    made, token = store.create(Scope.WRITE, name="feed of the shop – ä")
    assert store.list_keys() == [made]
    assert made.matches(token.encode()) and (made.scope, made.created_at, made.revoked_at) == ("write", 1e6, None)


def test_nothing_in_the_database_is_the_key(store: KeyStore, url: str) -> None:
    _, token = store.create(Scope.ADMIN)
    database = Database(url)
    with database.read() as tx:
        row = tx.execute(text("SELECT * FROM api_keys")).one()
    database.close()
    secret = token.rpartition("_")[2]
    assert all(form not in repr(tuple(row)) for form in (token, secret, repr(bytes.fromhex(secret))[2:-1]))


def test_a_revoked_key_stays_in_the_list_and_is_never_valid_again(store: KeyStore, times: list[float]) -> None:
    first, token = store.create(Scope.READ)
    times.append(1_000_001.0)
    second, _ = store.create(Scope.READ)
    store.revoke(first.key_id)
    times.append(1_000_002.0)
    store.revoke(first.key_id)
    listed = store.list_keys()
    assert [key.key_id for key in listed] == [first.key_id, second.key_id]
    assert [key.revoked_at for key in listed] == [1_000_001.0, None]
    assert not listed[0].matches(token.encode())


def test_another_process_sees_the_change(store: KeyStore, url: str) -> None:
    other = KeyStore(url)
    made, _ = other.create(Scope.READ)
    assert [key.key_id for key in store.list_keys()] == [made.key_id]
    other.close()


def test_an_unknown_key_cannot_be_revoked(store: KeyStore) -> None:
    with pytest.raises(NotFound, match="keys list"):
        store.revoke("nobody")


def test_a_name_that_no_database_holds_is_refused(store: KeyStore) -> None:
    with pytest.raises(InvalidInput):
        store.create(Scope.READ, name="\ud800")
    assert store.list_keys() == []
