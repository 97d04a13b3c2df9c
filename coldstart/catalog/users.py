"""Users: what they said of themselves, which ids are one person, and who is to be forgotten."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Row, Text, bindparam, delete, func, or_, select

from coldstart.catalog import identities, schema
from coldstart.catalog.models import erasures, events, exposures, users
from coldstart.catalog.profiles import check_profile, drop_behaviour, merge, read_profile, write_profile
from coldstart.catalog.statements import chunks
from coldstart.entities import ExternalId
from coldstart.errors import Conflict, InvalidInput
from coldstart.ids import check_id
from coldstart.users.profile import Profile, Reader

_ASKED = select(bindparam("user_id", type_=Text).label("asked")).subquery()
_READER = select(_ASKED.c.asked, users, erasures.c.erased_at).select_from(
    _ASKED.outerjoin(users, users.c.user_id == _ASKED.c.asked).outerjoin(
        erasures, erasures.c.digest == bindparam("digest")
    )
)


@dataclass(frozen=True, slots=True)
class UserRecord:
    """A user as stored. ``updated_at`` is in Unix seconds, ``None`` where there are at most events of them."""

    user_id: ExternalId
    profile: Profile = field(default_factory=Profile)
    events: int = 0
    merged_into: ExternalId | None = None
    updated_at: float | None = None


@dataclass(frozen=True, slots=True)
class Merged:
    """What came of a merge: the account that has it all now, and how much was moved."""

    user_id: ExternalId
    events: int


@dataclass(frozen=True, slots=True)
class Forgotten:
    """Every id of the person who is being erased, and how much of each kind the database lost."""

    user_ids: tuple[ExternalId, ...]
    erased: Mapping[str, int]


class UserStore:
    """Users of one deployment, in the database of its catalogue. Every method is one transaction and thread-safe.

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
        self.digest = identities.Digests.of(self._database)

    def put(self, user_id: ExternalId, profile: Profile) -> float:
        """Store the profile in the place of the one before; returns when. `Conflict` for an id that was merged."""
        check_profile(user_id, profile)
        now = self._now()
        with self._database.write(durable=True) as tx:
            identities.lock(tx, alone=False)
            if account := identities.accounts(tx, [user_id]).get(user_id):
                raise Conflict(
                    f"the user was merged into {account!r}", subject=user_id, remedy=f"Put the profile of {account!r}"
                )
            write_profile(tx, user_id, profile, now=now)
        return now

    def get(self, user_id: ExternalId) -> UserRecord:
        """The user as stored; of an unknown one there is nothing."""
        with self._database.read() as tx:
            row = tx.execute(select(users).where(users.c.user_id == user_id)).first()
            count = tx.scalar(select(func.count()).where(events.c.user_id == user_id)) or 0
        if row is None:
            return UserRecord(user_id, events=count)
        return UserRecord(user_id, read_profile(row), count, row.merged_into, row.updated_at)

    def reader(self, user_id: ExternalId) -> Reader:
        """Who asks for a list under this id."""
        with self._database.read() as tx:
            row = self._look(tx, user_id)
            if row.merged_into is not None:
                row = self._look(tx, row.merged_into)
        profile = Profile() if row.user_id is None else read_profile(row)
        return Reader(row.asked, profile, erased=row.erased_at is not None)

    def _look(self, tx: Connection, user_id: ExternalId) -> Row[*tuple[Any, ...]]:
        """The user's row and their erasure in one look, as every list begins with it."""
        return tx.execute(_READER, {"user_id": user_id, "digest": self.digest(user_id)}).one()

    def merge(self, source: ExternalId, into: ExternalId) -> Merged:
        """Make the source another name of the account: its events and profile move, and what comes later follows.

        An account that was merged itself stands for the one it was merged into. A second time changes nothing.

        Raises
        ------
        InvalidInput
            Where both are the same id.
        Conflict
            Where the account was merged into the source, or the source into somebody else.
        """
        check_id(source, kind="user_id")
        check_id(into, kind="user_id")
        if source == into:
            raise InvalidInput("a user cannot be merged into themselves", subject=into, remedy="Name another one")
        with self._database.write(durable=True) as tx:
            identities.lock(tx, alone=True)
            known = identities.accounts(tx, [source, into])
            account = known.get(into, into)
            if account == source:
                raise Conflict(
                    f"{into!r} was merged into this user, so the two would go round in a circle", subject=source,
                    remedy=f"Nothing to do: {source!r} has the history of both",
                )  # fmt: skip
            if known.get(source, account) != account:
                raise Conflict(
                    f"the user was merged into {known[source]!r} before", subject=source,
                    remedy=f"Merge {known[source]!r}, where its history is",
                )  # fmt: skip
            return Merged(account, 0 if source in known else merge(tx, source, account, now=self._now()))

    def forget(self, user_id: ExternalId) -> Forgotten:
        """Remove what the database holds of a person but the names by which it is found, and remember the erasure.

        Those names, ids merged into this one, go with `forget_names`, when nothing is left to be found by them: an
        erasure that is broken off is taken up again by repeating it. `Conflict` for an id that was merged itself.
        """
        check_id(user_id, kind="user_id")
        with self._database.write(durable=True) as tx:
            identities.lock(tx, alone=True)
            if account := identities.accounts(tx, [user_id]).get(user_id):
                raise Conflict(
                    f"the user was merged into {account!r}, whose history cannot be told apart any more",
                    subject=user_id, remedy=f"Erase {account!r}: that erases this id, too",
                )  # fmt: skip
            names = tx.scalars(select(users.c.user_id).where(users.c.merged_into == user_id).order_by(users.c.user_id))
            user_ids = (user_id, *names)
            now = self._now()
            identities.remember(tx, [self.digest(each) for each in user_ids], now=now)
            profiles = tx.execute(delete(users).where(users.c.user_id == user_id)).rowcount
            return Forgotten(user_ids, {"profiles": profiles, **drop_behaviour(tx, user_ids, now=now)})

    def forget_names(self, user_ids: Sequence[ExternalId]) -> int:
        """Remove the ids that were merged into the first of these; returns how many there were."""
        merged = users.c.merged_into == user_ids[0]
        with self._database.write(durable=True) as tx:
            identities.lock(tx, alone=True)
            names = sum(
                tx.execute(delete(users).where(merged, users.c.user_id.in_(part))).rowcount
                for part in chunks(user_ids[1:])
            )
        self._database.clear_log()
        return names

    def traces(self, user_ids: Sequence[ExternalId]) -> dict[str, int]:
        """How much of each kind the database holds under these ids."""
        found = dict.fromkeys(("profiles", "events", "exposures", "names"), 0)
        with self._database.read() as tx:
            for part in chunks(user_ids):
                own, merged = users.c.user_id.in_(part), users.c.merged_into.is_not(None)
                for name, table, mine in (
                    ("profiles", users, own & ~merged),
                    ("events", events, events.c.user_id.in_(part)),
                    ("exposures", exposures, exposures.c.unit.in_(part)),
                    ("names", users, or_(own & merged, users.c.merged_into.in_(part))),
                ):
                    found[name] += tx.scalar(select(func.count()).select_from(table).where(mine)) or 0
        return found

    def erasures(self, since: float) -> dict[str, float]:
        """Digests of those who were erased at or after a time, and when."""
        query = select(erasures.c.digest, erasures.c.erased_at).where(erasures.c.erased_at >= since)
        with self._database.read() as tx:
            return {row.digest: row.erased_at for row in tx.execute(query)}

    def close(self) -> None:
        """Release connections."""
        self._database.close()
