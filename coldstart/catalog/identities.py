"""Whose an id is: the account that it was merged into, or somebody's who was erased.

What concerns users takes one lock before every other: shared to add something of theirs, alone to merge and to erase.
So nothing of a user can appear behind the back of a transaction that moves or removes all there is.
"""

import hmac
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

from sqlalchemy import Connection, select, text

from coldstart.catalog.engine import Database
from coldstart.catalog.models import deployment, erasures, users
from coldstart.catalog.statements import chunks, insert
from coldstart.entities import Event, ExternalId

_KEY = "erasures"
_USER_LOCK = 0xC020
"""Of the advisory locks in a database, the one for users."""


class Digests:
    """Recognises the erased by a hash of their ids, which tells nobody without the key who they were."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    @classmethod
    def of(cls, database: Database) -> "Digests":
        """By the deployment's key, which is drawn where there is none yet."""
        known = select(deployment.c.content).where(deployment.c.name == _KEY)
        with database.read() as tx:
            key = tx.scalar(known)
        if key is None:
            with database.write(durable=True) as tx:
                drawn = insert(tx, deployment).values(name=_KEY, content=secrets.token_bytes(32))
                tx.execute(drawn.on_conflict_do_nothing())
                key = tx.execute(known).scalar_one()
        return cls(key)

    def __call__(self, user_id: ExternalId) -> str:
        """The digest of an id."""
        return hmac.new(self._key, user_id.encode(), sha256).hexdigest()


def lock(tx: Connection, *, alone: bool) -> None:
    """Wait until no transaction moves or erases users; with ``alone``, until none adds to them either.

    On SQLite a writing transaction is alone.
    """
    if tx.dialect.name == "postgresql":
        taken = "pg_advisory_xact_lock" if alone else "pg_advisory_xact_lock_shared"
        tx.execute(text(f"SELECT {taken}(:space, 0)"), {"space": _USER_LOCK})


def accounts(tx: Connection, user_ids: Iterable[ExternalId]) -> dict[ExternalId, ExternalId]:
    """The accounts of those ids that were merged into one."""
    asked = sorted(set(user_ids))
    query = select(users.c.user_id, users.c.merged_into).where(users.c.merged_into.is_not(None))
    return {
        row.user_id: row.merged_into
        for part in chunks(asked)
        for row in tx.execute(query.where(users.c.user_id.in_(part)))
        if row.merged_into is not None
    }


def erased(tx: Connection, digests: Sequence[str]) -> dict[str, float]:
    """When those of the digests were erased that were."""
    query = select(erasures.c.digest, erasures.c.erased_at)
    return {
        row.digest: row.erased_at
        for part in chunks(digests)
        for row in tx.execute(query.where(erasures.c.digest.in_(part)))
    }


@dataclass(frozen=True, slots=True)
class Names:
    """What some ids stand for, for the rest of the transaction."""

    accounts: Mapping[ExternalId, ExternalId]
    erased_at: Mapping[ExternalId, float]

    @classmethod
    def of(cls, tx: Connection, user_ids: Iterable[ExternalId], digest: Digests) -> "Names":
        """Take the lock, and look."""
        lock(tx, alone=False)
        digests = {user_id: digest(user_id) for user_id in user_ids}
        gone = erased(tx, sorted(digests.values()))
        erased_at = {user_id: gone[mine] for user_id, mine in digests.items() if mine in gone}
        return cls(accounts(tx, digests), erased_at)

    def is_erased(self, user_id: ExternalId, at: float) -> bool:
        """Whether what happened then is to be forgotten: streams deliver again, and logs are written late."""
        return at <= self.erased_at.get(user_id, float("-inf"))


def attributed(tx: Connection, batch: Sequence[Event], digest: Digests) -> list[Event]:
    """The events under the ids of the accounts they count for, without those that an erasure came after."""
    names = Names.of(tx, {event.user_id for event in batch}, digest)
    return [
        replace(event, user_id=names.accounts.get(event.user_id, event.user_id))
        for event in batch
        if not names.is_erased(event.user_id, event.timestamp)
    ]


def remember(tx: Connection, digests: Sequence[str], *, now: float) -> None:
    """Remember that who these digests are of was erased."""
    put = insert(tx, erasures)
    put = put.on_conflict_do_update(index_elements=[erasures.c.digest], set_={"erased_at": put.excluded.erased_at})
    tx.execute(put, [{"digest": digest, "erased_at": now} for digest in sorted(digests)])
