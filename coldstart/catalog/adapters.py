"""Which adapter versions there are, and where each is on its way from a folder to what is served.

``registered -> projecting -> ready -> live -> previous -> retired``, each step one transaction. At any moment one is
live and at most one is the way back. What the rows here say is what every process of the deployment follows.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, delete, inspect, select, update

from coldstart.catalog import schema
from coldstart.catalog.dump import is_vacant
from coldstart.catalog.engine import Database
from coldstart.catalog.models import adapters, deployment
from coldstart.catalog.rows import storable
from coldstart.catalog.statements import insert
from coldstart.encoders.precision import model_of
from coldstart.errors import Conflict, NotFound

_CONFIGURED = "configured_adapter"


class AdapterStatus(StrEnum):
    """Where a version stands. Items are written for every version of `KEPT`, beside the live one."""

    REGISTERED = "registered"
    PROJECTING = "projecting"
    READY = "ready"
    LIVE = "live"
    PREVIOUS = "previous"
    RETIRED = "retired"
    FAILED = "failed"


KEPT = (
    AdapterStatus.REGISTERED, AdapterStatus.PROJECTING, AdapterStatus.READY, AdapterStatus.LIVE, AdapterStatus.PREVIOUS
)  # fmt: skip
_CANDIDATES = KEPT[:3]


@dataclass(frozen=True, slots=True)
class AdapterIdentity:
    """What an adapter's folder says of it. Versions of the same encoders read each other's embeddings."""

    version: str
    folder: str
    backbone: str
    text_encoder: str
    image_encoder: str
    card: str = ""

    @property
    def encoders(self) -> tuple[str, str]:
        """The models that made its embeddings, in whatever precision (`coldstart.encoders.precision.compatible`)."""
        return model_of(self.text_encoder), model_of(self.image_encoder)


@dataclass(frozen=True, slots=True)
class AdapterRecord:
    """A version as stored; times are Unix seconds. ``projected`` of ``total`` items are in its collection."""

    identity: AdapterIdentity
    status: AdapterStatus
    registered_at: float
    ready_at: float | None = None
    live_at: float | None = None
    projected: int = 0
    total: int = 0
    error: str | None = None

    @property
    def version(self) -> str:
        """Its name."""
        return self.identity.version


class AdapterStore:
    """The adapter versions of one deployment.

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

    def list_adapters(self) -> list[AdapterRecord]:
        """All of them, oldest first."""
        with self._database.read() as tx:
            return _all(tx)

    def get(self, version: str) -> AdapterRecord:
        """The version; `NotFound` where there is none."""
        with self._database.read() as tx:
            return _require(tx, version)

    def chosen(self, configured: str) -> AdapterRecord | None:
        """The live version, unless the settings have come to name another than they did when it was promoted."""
        with self._database.read() as tx:
            return _chosen(tx, configured)

    def keeps_only(self, version: str) -> bool:
        """Whether no other version is kept than this one."""
        with self._database.read() as tx:
            return {each.version for each in _all(tx) if each.status in KEPT} <= {version}

    def open(self, configured: AdapterIdentity) -> AdapterRecord:
        """The version that a starting service is to serve, from now on the live one.

        That is what was promoted last; or the configured one where there is none, or where the settings have come to
        name another version since. What was live then is the way back, if it reads the same embeddings.
        """
        with self._database.write_alone(adapters) as tx:
            chosen = _chosen(tx, configured.version)
            if chosen is not None:
                return chosen
            others = [each for each in _all(tx) if each.version != configured.version]
            for each in others:
                if not _fits(each.identity, configured):  # its collection stays where it is
                    tx.execute(delete(adapters).where(adapters.c.version == each.version))
            if any(each.status is AdapterStatus.LIVE and _fits(each.identity, configured) for each in others):
                _move(tx, AdapterStatus.PREVIOUS, AdapterStatus.RETIRED)
                _move(tx, AdapterStatus.LIVE, AdapterStatus.PREVIOUS)
            self._put(tx, configured, status=AdapterStatus.LIVE, live_at=self._now())
            put = insert(tx, deployment).values(name=_CONFIGURED, content=configured.version.encode())
            put = put.on_conflict_do_update(index_elements=[deployment.c.name], set_={"content": put.excluded.content})
            tx.execute(put)
            return _require(tx, configured.version)

    def register(self, identity: AdapterIdentity) -> AdapterRecord:
        """Take in a version, which a running service then projects; one that is known and kept stays as it is.

        Raises
        ------
        Conflict
            Where it is of another backbone or of other encoders than the live version, or another is being projected.
        """
        with self._database.write_alone(adapters) as tx:
            found = _all(tx)
            for each in found:
                if each.version == identity.version and each.status in KEPT:
                    return each
            live = next((each for each in found if each.status is AdapterStatus.LIVE), None)
            if live is not None:
                _require_fit(identity, live.identity)
            if candidate := next((each for each in found if each.status in _CANDIDATES), None):
                raise Conflict(
                    f"the version {candidate.version} is {candidate.status}, and one at a time is kept beside the live "
                    "one",
                    subject=identity.version, remedy=f"Promote it, or retire it: coldstart adapters retire "
                    f"{candidate.version}",
                )  # fmt: skip
            self._put(tx, identity, status=AdapterStatus.REGISTERED)
            return _require(tx, identity.version)

    def promote(self, version: str) -> AdapterRecord:
        """Make a ready version the live one, and the live one the way back; `Conflict` where it is not ready."""
        with self._database.write_alone(adapters) as tx:
            wanted = _require(tx, version)
            if wanted.status is not AdapterStatus.READY:
                raise Conflict(
                    f"the version is {wanted.status}, and only one that is ready can be promoted", subject=version,
                    remedy=_REMEDY[wanted.status],
                )  # fmt: skip
            _move(tx, AdapterStatus.PREVIOUS, AdapterStatus.RETIRED)
            _move(tx, AdapterStatus.LIVE, AdapterStatus.PREVIOUS)
            _set(tx, version, status=AdapterStatus.LIVE, live_at=self._now())
            return _require(tx, version)

    def rollback(self) -> AdapterRecord:
        """Make the version that was live before the live one again, and the live one ready; returns the former.

        `Conflict` where there is none to go back to.
        """
        with self._database.write_alone(adapters) as tx:
            back = next((each for each in _all(tx) if each.status is AdapterStatus.PREVIOUS), None)
            if back is None:
                raise Conflict(
                    "there is no version to roll back to", subject="adapters",
                    remedy="Promote a version: the one before it is kept for the way back",
                )  # fmt: skip
            _move(tx, AdapterStatus.LIVE, AdapterStatus.READY)
            _set(tx, back.version, status=AdapterStatus.LIVE, live_at=self._now())
            return _require(tx, back.version)

    def retire(self, version: str) -> AdapterRecord:
        """Keep a version no longer; its collection is dropped. `Conflict` for the live one."""
        with self._database.write_alone(adapters) as tx:
            if _require(tx, version).status is AdapterStatus.LIVE:
                raise Conflict("the version is live", subject=version, remedy="Promote another, or roll back, first")
            _set(tx, version, status=AdapterStatus.RETIRED)
            return _require(tx, version)

    def projecting(self, version: str, *, projected: int, total: int) -> None:
        """Say how far a candidate is; nothing where it is none any more."""
        values = {"status": AdapterStatus.PROJECTING, "projected": projected, "total": total}
        with self._database.write() as tx:
            _set(tx, version, of=_CANDIDATES[:2], **values)

    def ready(self, version: str, *, items: int) -> None:
        """Say that a candidate is complete and was checked; nothing where it is none any more."""
        values = {"status": AdapterStatus.READY, "projected": items, "total": items, "ready_at": self._now()}
        with self._database.write_alone(adapters) as tx:
            _set(tx, version, of=_CANDIDATES[:2], **values)

    def fail(self, version: str, reason: str) -> None:
        """Say why a version cannot be served; nothing where it is live or not kept any more."""
        kept = [status for status in KEPT if status is not AdapterStatus.LIVE]
        with self._database.write_alone(adapters) as tx:
            _set(tx, version, of=kept, status=AdapterStatus.FAILED, error=storable(reason))

    def close(self) -> None:
        """Release connections."""
        self._database.close()

    def _put(self, tx: Connection, identity: AdapterIdentity, **values: Any) -> None:
        """A fresh row, in place of what there was of the version."""
        tx.execute(delete(adapters).where(adapters.c.version == identity.version))
        own = {name: getattr(identity, name) for name in AdapterIdentity.__dataclass_fields__}
        row = {"registered_at": self._now(), "projected": 0, "total": 0, **own, **values}
        tx.execute(insert(tx, adapters).values(row))


def look_up(url: str, configured: str) -> AdapterRecord | None:
    """`AdapterStore.chosen`, of a catalogue that may be missing or of an older version; changes nothing."""
    if is_vacant(url):
        return None
    with closing(Database(url)) as database, database.read() as tx:
        return _chosen(tx, configured) if adapters.name in inspect(tx).get_table_names() else None


_REMEDY = {
    AdapterStatus.REGISTERED: "Wait until a running service has projected it: GET /adapters shows how far it is",
    AdapterStatus.PROJECTING: "Wait until it is projected: GET /adapters shows how far it is",
    AdapterStatus.LIVE: "Nothing to do",
    AdapterStatus.PREVIOUS: "Roll back: coldstart adapters rollback",
    AdapterStatus.RETIRED: "Register its folder again",
    AdapterStatus.FAILED: "See its error, and register its folder again",
}


def _fits(identity: AdapterIdentity, live: AdapterIdentity) -> bool:
    return identity.encoders == live.encoders and identity.backbone == live.backbone


def _require_fit(identity: AdapterIdentity, live: AdapterIdentity) -> None:
    if _fits(identity, live):
        return
    what = (
        f"it was trained on the backbone {identity.backbone[:12]}, and {live.backbone[:12]} is served"
        if identity.backbone != live.backbone
        else f"its encoders are {identity.encoders}, and the catalogue was encoded by {live.encoders}"
    )
    raise Conflict(
        what, subject=identity.version,
        remedy="Train it on what is served, or serve it with --adapter and a restart, which encodes what it must",
    )  # fmt: skip


def _all(tx: Connection) -> list[AdapterRecord]:
    order = select(adapters).order_by(adapters.c.registered_at, adapters.c.version)
    return [_record(row) for row in tx.execute(order)]


def _require(tx: Connection, version: str) -> AdapterRecord:
    found = tx.execute(select(adapters).where(adapters.c.version == version)).first()
    if found is None:
        raise NotFound("there is no such adapter version", subject=version, remedy="GET /adapters lists them")
    return _record(found)


def _chosen(tx: Connection, configured: str) -> AdapterRecord | None:
    known = tx.scalar(select(deployment.c.content).where(deployment.c.name == _CONFIGURED))
    live = next((each for each in _all(tx) if each.status is AdapterStatus.LIVE), None)
    return live if known == configured.encode() else None


def _move(tx: Connection, status: AdapterStatus, to: AdapterStatus) -> None:
    tx.execute(update(adapters).where(adapters.c.status == status).values(status=to))


def _set(tx: Connection, version: str, *, of: Sequence[AdapterStatus] = (), **values: Any) -> None:
    change = update(adapters).where(adapters.c.version == version)
    tx.execute((change.where(adapters.c.status.in_(of)) if of else change).values(values))


def _record(row: Row[*tuple[Any, ...]]) -> AdapterRecord:
    identity = AdapterIdentity(row.version, row.folder, row.backbone, row.text_encoder, row.image_encoder, row.card)
    return AdapterRecord(
        identity, AdapterStatus(row.status), row.registered_at, row.ready_at, row.live_at, row.projected, row.total,
        row.error,
    )  # fmt: skip
