"""Requests that are sent again: the first answer is kept beside its effect. Works inside the transaction it is given.

The lock on a key comes before every other, and nobody waits for it: who finds it taken is told so.
"""

import json
from collections.abc import Callable, Sequence

from sqlalchemy import Connection, delete, func, select

from coldstart.catalog import Accepted, Once
from coldstart.catalog.models import requests
from coldstart.catalog.statements import insert
from coldstart.errors import ColdstartError, Conflict, InFlight, InvalidInput, NotFound

KEPT_S = 86_400.0
_KEY_LOCKS = 0xC01E
"""Of the advisory locks in a database, those that are for keys."""
_REMOVED_AT_ONCE = 100
_REFUSALS: dict[str, type[ColdstartError]] = {each.__name__: each for each in (Conflict, InvalidInput, NotFound)}

Answers = Sequence[Accepted | ColdstartError]


def answered(
    tx: Connection, once: Once | None, work: Callable[[], Answers], *, now: float
) -> list[Accepted | ColdstartError]:
    """The answers of the work, or those that it got the first time."""
    if once is None:
        return list(work())
    _lock(tx, once)
    known = select(requests.c.fingerprint, requests.c.answers)
    first = tx.execute(known.where(requests.c.key == once.name, requests.c.expires_at > now)).first()
    if first is None:
        answers = work()
        _keep(tx, once, answers, now=now)
        return list(answers)
    if first.fingerprint != once.fingerprint:
        raise InvalidInput(
            "the key came with another request before", subject=once.key, remedy="Use a new key for a new request"
        )
    return _read(first.answers)


def _lock(tx: Connection, once: Once) -> None:
    """Let no other transaction answer for the key meanwhile. On SQLite a writing transaction is alone."""
    if tx.dialect.name == "postgresql":
        bucket = int.from_bytes(bytes.fromhex(once.name)[:4], signed=True)
        if not tx.scalar(select(func.pg_try_advisory_xact_lock(_KEY_LOCKS, bucket))):
            raise InFlight(
                "a request with this key is being answered", subject=once.key, remedy="Send it again in a moment"
            )


def _keep(tx: Connection, once: Once, answers: Answers, *, now: float) -> None:
    over = select(requests.c.key).where(requests.c.expires_at <= now).order_by(requests.c.expires_at)
    # Skipping what is locked: two transactions that remove the same rows must not wait for each other.
    some = over.limit(_REMOVED_AT_ONCE).with_for_update(skip_locked=True)
    tx.execute(delete(requests).where(requests.c.key.in_(some)))
    put = insert(tx, requests)
    put = put.on_conflict_do_update(
        index_elements=[requests.c.key],
        set_={column.name: column for column in put.excluded if column.name != "key"},
    )
    row = {"fingerprint": once.fingerprint, "answers": _written(answers), "expires_at": now + KEPT_S}
    tx.execute(put, [{"key": once.name, **row}])


def _written(answers: Answers) -> bytes:
    return json.dumps([_told(answer) for answer in answers]).encode()


def _told(answer: Accepted | ColdstartError) -> list[object]:
    match answer:
        case Accepted():
            return [answer.item_id, answer.version, answer.accepted_at]
        case _:
            return [type(answer).__name__, answer.what, answer.subject, answer.remedy]


def _read(written: bytes) -> list[Accepted | ColdstartError]:
    return [
        Accepted(*told) if len(told) == 3 else _REFUSALS[told[0]](told[1], subject=told[2], remedy=told[3])
        for told in json.loads(written)
    ]
