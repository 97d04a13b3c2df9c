"""The item store and its outbox: the database row is the queue of record.

One transaction writes an item at its next version together with its outbox row; a claim leases due outbox rows;
``done`` removes them only at the version that was claimed. A broker message merely wakes a worker and carries nothing.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from typing import Protocol

from coldstart.entities import Attributes, Event, ExternalId, Item
from coldstart.errors import ColdstartError
from coldstart.vectors import Vector


class Status(StrEnum):
    """Where an item stands, as ``GET /items/{id}`` shows it: encoding from its first claim until the index has it."""

    PENDING = "pending"
    ENCODING = "encoding"
    RETRIEVABLE = "retrievable"
    DEAD = "dead"
    DELETED = "deleted"


class Stage(StrEnum):
    """What an outbox row waits for: its content encoded, or its vector (or tombstone) written to the index."""

    ENCODE = "encode"
    INDEX = "index"


@dataclass(frozen=True, slots=True)
class Draft:
    """An item to accept. ``picture`` holds the bytes where the caller sent them; else ``item.image`` is an address.

    ``replaces`` is the one version that it may take the place of, 0 for none at all; without it, any.
    """

    item: Item
    picture: bytes | None = None
    source_version: int | None = None
    replaces: int | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """The promise of a 202: committed at this version."""

    item_id: ExternalId
    version: int
    accepted_at: float


@dataclass(frozen=True, slots=True)
class Once:
    """A request that is to take effect once, however often it is sent: its caller's key, and a digest of what it asks.

    The answer is kept for a day. Until then the key gets it again and nothing is changed, whether it was a promise or a
    refusal; `InvalidInput` where the key came with another request, `InFlight` where its first one is under way. Keys
    of one caller are nothing to another; requests whose caller is not known (``None``) share theirs.
    """

    key: str
    fingerprint: str
    caller: str | None = None

    @property
    def name(self) -> str:
        """What the answer is kept under: of fixed length, and the same for no two callers' keys.

        >>> len({Once("k", "").name, Once("k", "", "a").name, Once("k", "", "b").name, Once("k", "other", "a").name})
        3
        """
        return sha256(f"{self.caller or ''}\n{self.key}".encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Embeddings:
    """What an item's content became: embeddings before the adapter (float16 at rest), ``None`` for what is missing."""

    text: Vector | None
    image: Vector | None


@dataclass(frozen=True, slots=True)
class Encoded:
    """The outcome of encoding one claimed item; ``vector`` [D] is what the index will serve."""

    item_id: ExternalId
    version: int
    embeddings: Embeddings
    vector: Vector
    gates: Mapping[str, float]
    cold: bool
    adapter_version: str
    picture_error: str | None = None


@dataclass(frozen=True, slots=True)
class ItemRecord:
    """An item as stored. Times are Unix seconds, ``None`` for a step not reached at this version.

    They tell of the version's first way into the index and stay when it is encoded or written there again.

    ``attempts`` counts the claims at the stage it is due for; 0 where nothing is due any more. A cold item's vector was
    moved by ``clicks`` users, who have the share ``click_weight`` in it; ``other_clicks`` did not move it.
    """

    item: Item
    version: int
    status: Status
    accepted_at: float
    claimed_at: float | None = None
    encoded_at: float | None = None
    retrievable_at: float | None = None
    attempts: int = 0
    error: str | None = None
    picture_error: str | None = None
    picture_sha256: str | None = None
    modalities: tuple[str, ...] = ()
    gates: Mapping[str, float] = field(default_factory=dict)
    cold: bool | None = None
    adapter_version: str | None = None
    clicks: int = 0
    other_clicks: int = 0
    click_weight: float = 0.0


@dataclass(frozen=True, slots=True)
class Claim:
    """A leased outbox row with what its stage needs; ``record.status`` is ``deleted`` where a tombstone is due."""

    record: ItemRecord
    attempts: int
    picture: bytes | None = None
    vector: Vector | None = None


@dataclass(frozen=True, slots=True)
class Settled:
    """What the index should hold of an item of which nothing is owed; ``vector`` [D] is ``None`` for a deleted one."""

    item_id: ExternalId
    version: int
    vector: Vector | None


@dataclass(frozen=True, slots=True)
class Expected:
    """Which version of an item of which nothing is owed every collection should hold, or which tombstone."""

    item_id: ExternalId
    version: int
    deleted: bool


@dataclass(frozen=True, slots=True)
class Material:
    """What any adapter version can place an item by: its embeddings, and who clicked it, where clicks have moved it."""

    record: ItemRecord
    embeddings: Embeddings
    users: tuple[ExternalId, ...] = ()


@dataclass(frozen=True, slots=True)
class Restated:
    """Where an item is by another adapter version than the one that its row tells of."""

    item_id: ExternalId
    version: int
    vector: Vector
    gates: Mapping[str, float]
    cold: bool
    click_weight: float
    adapter_version: str


@dataclass(frozen=True, slots=True)
class Newcomer:
    """A retrievable item without clicks in training: how often lists showed it, and how often it was clicked since."""

    item_id: ExternalId
    accepted_at: float
    shown: int
    clicks: int


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a report of events came to.

    Parameters
    ----------
    events : tuple of Event
        As stored, each id once, in the order reported: of an id that was known, what was stored at first.
    new : frozenset of str
        Ids of those that were not known before.
    unknown_items : frozenset of ExternalId
        Items among them that the catalogue has never held. Their events are kept like any other.
    """

    events: tuple[Event, ...] = ()
    new: frozenset[str] = frozenset()
    unknown_items: frozenset[ExternalId] = frozenset()


@dataclass(frozen=True, slots=True)
class Clicked:
    """A retrievable cold item that was clicked since it was last looked at, and what there is to move it by.

    ``users`` are all whose clicks stand, each once; ``mark`` is for the store to know what was looked at. Its vector is
    that of ``adapter_version``, and is moved within that version's space.
    """

    item_id: ExternalId
    version: int
    attributes: Attributes
    embeddings: Embeddings
    vector: Vector | None
    users: tuple[ExternalId, ...]
    mark: tuple[int, float]
    adapter_version: str


@dataclass(frozen=True, slots=True)
class Graduated:
    """Where the clicks of ``clicks`` of its users move an item: a vector [D], or ``None`` where it stays."""

    of: Clicked
    vector: Vector | None
    clicks: int
    weight: float


class ItemStore(Protocol):
    """Items, versions, outbox and events of one deployment. Every method is one transaction and thread-safe.

    What comes from outside (drafts, events, ids to look up) may be of any number; claims and reports are of hundreds.
    """

    def accept(
        self, drafts: Sequence[Draft], *, priority: int = 0, once: Once | None = None
    ) -> list[Accepted | ColdstartError]:
        """Commit each draft at its item's next version, due for encoding; answers in the order given.

        A higher ``priority`` is claimed first (fresh items 0, backfills -1). A draft whose ``source_version`` is not
        above the one accepted before, or whose ``replaces`` is not the version stored, is answered with `Conflict`, one
        that no database can hold with `InvalidInput`; neither changes anything. Of several drafts with one id the last
        wins, and the others get its answer.
        """
        ...

    def accept_encoded(
        self, pairs: Sequence[tuple[Draft, Encoded]], *, priority: int = 0
    ) -> list[Accepted | ColdstartError]:
        """Commit items whose encoding is known already (a backbone's own), due for the index; answers as `accept` does.

        The ``version`` of each `Encoded` is not looked at: it becomes the one accepted.
        """
        ...

    def delete(self, item_id: ExternalId, *, once: Once | None = None) -> Accepted:
        """Mark the item deleted at its next version, its tombstone due for the index; `NotFound` if it is unknown.

        The index must drop it before anything else is indexed, so a tombstone has priority 1.
        """
        ...

    def get(self, item_id: ExternalId) -> ItemRecord:
        """The item as stored (also a deleted one); `NotFound` where it is unknown."""
        ...

    def get_many(self, item_ids: Sequence[ExternalId]) -> dict[ExternalId, ItemRecord]:
        """Those of the items that are known."""
        ...

    def list_items(self, *, limit: int, offset: int = 0, status: Status | None = None) -> list[ItemRecord]:
        """Items, last accepted first."""
        ...

    def counts(self) -> dict[Status, int]:
        """How many items stand where."""
        ...

    def picture(self, item_id: ExternalId) -> bytes | None:
        """The stored picture's bytes."""
        ...

    def claim(
        self, stage: Stage, *, limit: int, lease_s: float, max_attempts: int, background: int | None = None
    ) -> list[Claim]:
        """Lease up to ``limit`` due rows, counting the attempt; no two claimers get the same row while a lease holds.

        Due: never claimed or the lease has run out, and any retry delay is over. Order: priority, then age. A row whose
        lease ran out, so that its worker may have died of it, comes before all and alone; once ``max_attempts`` leases
        ran out it is dead-lettered instead. So a claim may hold fewer than ``limit`` rows though more are due.

        Rows of a priority below 0 are claimed by themselves, when nothing else is due, and at most ``background`` of
        them: whatever is posted then waits for no more.
        """
        ...

    def encoded(self, results: Sequence[Encoded], *, lease_s: float | None = None) -> list[ExternalId]:
        """Store embeddings and vector and pass the row on to `Stage.INDEX`, where the version is still the claimed one.

        With ``lease_s`` the caller keeps the lease (it will write the index itself); otherwise the row is due at once.
        Returns the ids that were still current.
        """
        ...

    def done(self, versions: Mapping[ExternalId, int]) -> None:
        """Remove the outbox rows that are still at these versions and mark the items retrievable (or deleted)."""
        ...

    def fail(
        self, versions: Mapping[ExternalId, int], reason: str, *, retry_in_s: float, max_attempts: int | None
    ) -> None:
        """Release the rows for a later try, or dead-letter those whose attempts are used up, with the reason.

        ``max_attempts`` is ``None`` for a failure that no item is to blame for: the attempt is not counted then.
        """
        ...

    def expire_leases(self, stage: Stage) -> int:
        """End every lease of the stage; returns how many.

        For a process that starts and knows that no other claims at this stage: what its predecessor held when it was
        killed is due at once instead of when the lease runs out.
        """
        ...

    def due(self, stage: Stage) -> int:
        """How many rows are due now."""
        ...

    def backlog(self) -> int:
        """How many posted items (those accepted with priority 0) are on their way to the index, due now or later.

        Neither backfills, which wait for whatever is posted, nor tombstones, nor dead letters.
        """
        ...

    def retry_dead(self, item_id: ExternalId) -> Accepted:
        """Give a dead item a fresh set of attempts; `NotFound` where it is not dead."""
        ...

    def requeue(self, stage: Stage, *, adapter_version: str, readable: Collection[str] = ()) -> int:
        """Owe again what a look at the index found missing, behind everything new; returns how many items.

        `Stage.ENCODE`: items that another adapter version encoded than this one and those whose embeddings are
        ``readable`` to it, unless they wait to be encoded already. `Stage.INDEX`: retrievable items of these versions,
        and, before everything, the tombstones of deleted ones.
        """
        ...

    def settled(self, *, adapter_version: str, after: ExternalId | None, limit: int) -> list[Settled]:
        """A page of the items that are retrievable by this adapter's vectors, or deleted, and of which nothing is owed.

        In the database's own order of ids, from the one ``after`` on (``None``: from the first).
        """
        ...

    def expected(self, *, after: ExternalId | None, limit: int, unlike: str | None = None) -> list[Expected]:
        """A page of all that is retrievable or deleted and of which nothing is owed, in the order of `settled`.

        With ``unlike``, only what is retrievable by the vectors of another adapter version than this one.
        """
        ...

    def materials(self, item_ids: Sequence[ExternalId]) -> list[Material]:
        """By what to place those of the items that are encoded, and not owed another encoding."""
        ...

    def restate(self, results: Sequence[Restated]) -> list[ExternalId]:
        """Let rows tell of another adapter version's vectors; returns the ids of those that were at these versions.

        Nothing is owed by it: whoever calls it has written the vector to that version's collection, or is about to.
        """
        ...

    def owe_again(self, versions: Mapping[ExternalId, int], *, held: Mapping[ExternalId, int]) -> list[ExternalId]:
        """Owe to the index once more what of the items is settled at these versions still; returns their ids.

        Where the index holds a version as new as that, named in ``held``, the item gets the one after, also if it is on
        its way still: an index refuses what is not newer.
        """
        ...

    def disown(self, held: Mapping[ExternalId, int]) -> list[ExternalId]:
        """Take in as deleted those items that only an index knows, at these versions, so that their tombstones are due.

        Items that the catalogue knows stay as they are. Returns the ids of the others.
        """
        ...

    def record_events(self, events: Sequence[Event]) -> Recorded:
        """Store events, ignoring those whose ``event_id`` is known; all or, where one is `InvalidInput`, none.

        A timestamp ahead of the store's clock becomes the time of the store, once: a repeated delivery changes nothing.
        Of a user who was merged into another they count for that one, and those of before a user's erasure are ignored.
        """
        ...

    def recent_events(self, user_id: ExternalId, *, limit: int, without: Collection[str] = ()) -> list[Event]:
        """The user's latest events but for some kinds: newest first, of one time the greater ``event_id`` first."""
        ...

    def popular(self, *, limit: int, since: float = 0.0) -> list[tuple[ExternalId, int]]:
        """Items with the most events of popular kinds (`coldstart.kinds`), most first.

        Counted from the full hour before a time (Unix seconds) on.
        """
        ...

    def newest_embeddings(self, *, limit: int) -> list[Embeddings]:
        """What the content of the cold items that were accepted last became."""
        ...

    def count_impressions(self, shown: Mapping[ExternalId, int]) -> None:
        """Add to how often each of the items was shown."""
        ...

    def newcomers(self, *, since: float, limit: int) -> list[Newcomer]:
        """Retrievable cold items accepted since a time (Unix seconds), the least shown first.

        Clicks are those of popular kinds (`coldstart.kinds`), from the full hour before that time on.
        """
        ...

    def clicked(self, *, adapter_version: str, limit: int) -> list[Clicked]:
        """Cold items served by this adapter's vectors that were clicked since they were last looked at; oldest first.

        Only of such of which nothing is owed, and not before a hundredth of an item's clicks is new.
        """
        ...

    def graduate(self, results: Sequence[Graduated]) -> list[ExternalId]:
        """Store how many clicks each item has, and owe those that move to the index at the version after.

        Nothing is done about an item that is not at the version that was looked at any more, or owed already. Status
        and times stay. Returns the ids of those that move. Clicks that came in meanwhile are looked at next.
        """
        ...

    def close(self) -> None:
        """Release connections."""
        ...


def open_item_store(url: str) -> ItemStore:
    """The store at a SQLAlchemy URL (SQLite or PostgreSQL), migrated to the newest schema."""
    from coldstart.catalog.store import SqlItemStore

    return SqlItemStore(url)
