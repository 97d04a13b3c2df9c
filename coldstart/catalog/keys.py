"""API keys, in the database beside the catalogue."""

import time
from collections.abc import Callable

from sqlalchemy import func, insert, select, update

from coldstart.access import ApiKey, Scope, digest_of, new_token
from coldstart.catalog import schema
from coldstart.catalog.models import api_keys
from coldstart.errors import NotFound


class KeyStore:
    """Keys of one deployment. A revoked key is kept, so that its id goes on telling whose it was.

    Parameters
    ----------
    url : str
        As of `SqlItemStore`.
    clock : callable, optional
        The time in Unix seconds.
    """

    def __init__(self, url: str, *, clock: Callable[[], float] = time.time) -> None:
        self._database = schema.open_database(url)
        self._now = clock

    def create(self, scope: Scope, *, name: str = "") -> tuple[ApiKey, str]:
        """A new key as stored, and the whole of it, which nobody can tell again."""
        key_id, token = new_token()
        key = ApiKey(key_id, digest_of(token.encode()), scope, name, self._now())
        values = {"key_id": key_id, "digest": key.digest, "scope": scope, "name": name, "created_at": key.created_at}
        with self._database.write(durable=True) as tx:
            tx.execute(insert(api_keys).values(values))
        return key, token

    def revoke(self, key_id: str) -> None:
        """Refuse the key from now on, for good; `NotFound` where there is none. A second time changes nothing."""
        first = func.coalesce(api_keys.c.revoked_at, self._now())
        with self._database.write(durable=True) as tx:
            found = tx.execute(update(api_keys).where(api_keys.c.key_id == key_id).values(revoked_at=first))
        if found.rowcount == 0:
            raise NotFound("no API key has this id", subject=key_id, remedy="coldstart keys list shows the ids")

    def list_keys(self) -> list[ApiKey]:
        """All keys, revoked ones too, oldest first."""
        with self._database.read() as tx:
            rows = tx.execute(select(api_keys).order_by(api_keys.c.created_at, api_keys.c.key_id)).all()
        return [
            ApiKey(row.key_id, row.digest, Scope(row.scope), row.name, row.created_at, row.revoked_at) for row in rows
        ]

    def close(self) -> None:
        """Release connections."""
        self._database.close()
