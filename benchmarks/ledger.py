"""What a catalogue was promised, written down by those who post to it, and whether it was kept."""

import random
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field

import httpx

from coldstart.catalog import ItemRecord, ItemStore, Status
from coldstart.index import Point, VectorIndex

_AGAIN_S = 0.05
_TIMEOUT_S = 60.0
_BATCH = 500


@dataclass
class Entry:
    """One item: what was answered last, and how many requests were sent, each of which may have been committed."""

    title: str = ""
    version: int = 0
    deleted: bool = False
    sent: int = 0


@dataclass(frozen=True)
class Row:
    """The invariant, in figures: accepted = in the index at the latest version + deleted + dead letters.

    ``lost``: not in the catalogue as last answered, or neither in the index nor dead. ``stale``: another version or
    title than the one accepted last, or another adapter's vector. ``resurrected``: deleted, and in the index.
    ``duplicate_effects``: more versions than requests, or a point more than items.
    """

    accepted: int
    indexed: int
    deleted: int
    dead: int
    lost: int
    stale: int
    resurrected: int
    duplicate_effects: int

    @property
    def kept(self) -> bool:
        """Whether every promise was."""
        return not (self.lost or self.stale or self.resurrected or self.duplicate_effects)


@dataclass
class Ledger:
    """Posts to a service from several threads, each with items of its own, and sends again until there is an answer.

    Parameters
    ----------
    url : str
        Of the service; nobody may answer there for a while.
    limit : int
        Items after which those who post wait until it is raised.
    """

    url: str
    limit: int = 0
    entries: dict[str, Entry] = field(default_factory=dict)
    answers: int = 0
    unanswered: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _ended: threading.Event = field(default_factory=threading.Event)

    def end(self) -> None:
        """Let everyone who posts give up, after a run that has failed."""
        self._ended.set()

    def post(self, name: int, items: int, rng: random.Random) -> None:
        """New items, seven of ten steps; else one of one's own again, or its end. Returns after so many new ones."""
        own: list[str] = []
        with httpx.Client(base_url=self.url, timeout=_TIMEOUT_S) as client:
            while len(own) < items:
                while len(self.entries) >= self.limit:
                    self._pause()
                step = rng.random()
                if own and step < 0.1:
                    self._delete(client, rng.choice(own))
                elif own and step < 0.3:
                    self._put(client, rng.choice(own), rng)
                else:
                    own.append(f"item-{name}-{len(own)}")
                    self._put(client, own[-1], rng)

    def _put(self, client: httpx.Client, item_id: str, rng: random.Random) -> None:
        title = f"Thing {rng.getrandbits(32):08x} of many"
        version = self._insist(client, "PUT", item_id, {"title": title})
        self._note(item_id, title=title, version=version, deleted=False)

    def _delete(self, client: httpx.Client, item_id: str) -> None:
        version = self._insist(client, "DELETE", item_id, None)
        self._note(item_id, title="", version=version, deleted=True)

    def _insist(self, client: httpx.Client, method: str, item_id: str, body: dict[str, str] | None) -> int:
        """The version answered, sending again until there is one."""
        with self._lock:
            entry = self.entries.setdefault(item_id, Entry())
        while True:
            entry.sent += 1
            try:
                answer = client.request(method, f"/items/{item_id}", json=body)
            except httpx.TransportError:
                answer = None
            if answer is not None and answer.status_code < 500 and answer.status_code != httpx.codes.TOO_MANY_REQUESTS:
                return int(answer.raise_for_status().json()["version"])
            with self._lock:
                self.unanswered += 1
            self._pause()

    def _pause(self) -> None:
        if self._ended.wait(_AGAIN_S):
            raise RuntimeError("the run has ended")

    def _note(self, item_id: str, *, title: str, version: int, deleted: bool) -> None:
        with self._lock:
            entry = self.entries[item_id]
            entry.title, entry.deleted, entry.version = title, deleted, max(version, entry.version)
            self.answers += 1

    def check(self, store: ItemStore, index: VectorIndex, *, known: int, adapter_version: str) -> Row:
        """Compare with what there is, once everything has come to its end.

        Parameters
        ----------
        known : int
            Live points of items that nobody here posted.
        adapter_version : str
            Whose vectors every item should have.
        """
        counts = dict.fromkeys(Row.__dataclass_fields__, 0)
        for part in _parts(self.entries):
            records, points = store.get_many(list(part)), index.fetch(list(part))
            for item_id, entry in part.items():
                for name in _verdicts(entry, records.get(item_id), points.get(item_id), adapter_version):
                    counts[name] += 1
        counts["duplicate_effects"] += max(0, index.count() - known - counts["indexed"])
        return Row(**counts)


def _verdicts(entry: Entry, record: ItemRecord | None, point: Point | None, adapter_version: str) -> Iterable[str]:
    """The figures of `Row` that an item counts to."""
    yield "accepted"
    if record is None or record.version < entry.version:
        yield "lost"
        return
    if record.version > entry.sent:
        yield "duplicate_effects"
    if (record.status is Status.DELETED) != entry.deleted or (not entry.deleted and record.item.title != entry.title):
        yield "stale"
    match record.status, point:
        case Status.DELETED, None:
            yield "deleted"
        case Status.DELETED, _:
            yield "resurrected"
        case Status.DEAD, _:
            yield "dead"
        case Status.RETRIEVABLE, Point(version=version) if version == record.version:
            yield "indexed"
            if record.adapter_version != adapter_version:
                yield "stale"
        case Status.RETRIEVABLE, Point():
            yield "stale"
        case _:
            yield "lost"


def _parts(entries: dict[str, Entry]) -> Iterable[dict[str, Entry]]:
    ids = list(entries)
    for start in range(0, len(ids), _BATCH):
        yield {item_id: entries[item_id] for item_id in ids[start : start + _BATCH]}
