"""The tables. A change here needs a migration beside it; a test compares the two."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Named,
    String,
    Table,
    Text,
    TypedColumns,
    text,
)

from coldstart.ids import MAX_ID_CHARACTERS

metadata = MetaData()

_ID = String(MAX_ID_CHARACTERS)
_SHA256 = String(64)
_WORD = String(32)


class MediaColumns(TypedColumns):
    """Pictures sent as bytes, stored once each under the SHA-256 of their content."""

    sha256: Named[str] = Column(_SHA256, primary_key=True)
    content: Named[bytes] = Column(LargeBinary)


class ItemColumns(TypedColumns):
    """One row an item, at its newest version; also a deleted one, so that its versions go on counting."""

    item_id: Named[str] = Column(_ID, primary_key=True)
    version: Named[int] = Column(BigInteger)
    source_version: Named[int | None] = Column(BigInteger)
    status: Named[str] = Column(_WORD)
    # Kept beside the status because a tombstone can be dead-lettered too, and is still a tombstone when retried.
    deleted: Named[bool]
    title: Named[str] = Column(Text)
    text: Named[str] = Column(Text)
    image: Named[str | None] = Column(Text)
    attributes: Named[dict[str, object]] = Column(JSON)
    published_at: Named[float | None] = Column(Double)
    expires_at: Named[float | None] = Column(Double)
    picture_sha256: Named[str | None] = Column(_SHA256, ForeignKey("media.sha256"))
    accepted_at: Named[float] = Column(Double)
    claimed_at: Named[float | None] = Column(Double)
    encoded_at: Named[float | None] = Column(Double)
    retrievable_at: Named[float | None] = Column(Double)
    error: Named[str | None] = Column(Text)
    picture_error: Named[str | None] = Column(Text)
    gates: Named[dict[str, float]] = Column(JSON)
    cold: Named[bool | None]
    adapter_version: Named[str | None] = Column(Text)
    # By how many people's clicks the vector was moved, how many others clicked it, and what share of it the clicks are.
    clicks: Named[int | None] = Column(BigInteger)
    other_clicks: Named[int | None] = Column(BigInteger)
    click_weight: Named[float | None] = Column(Double)
    # Little-endian float16 (embeddings) and float32 (vector). Last, so that SQLite need not read past them.
    text_embedding: Named[bytes | None] = Column(LargeBinary)
    image_embedding: Named[bytes | None] = Column(LargeBinary)
    vector: Named[bytes | None] = Column(LargeBinary)


class OutboxColumns(TypedColumns):
    """Work that is owed: at most one row an item, always at the item's newest version."""

    item_id: Named[str] = Column(_ID, ForeignKey("items.item_id"), primary_key=True)
    version: Named[int] = Column(BigInteger)
    stage: Named[str] = Column(_WORD)
    priority: Named[int] = Column(Integer)
    # When the row may be claimed: at once, after a retry's delay, or when its lease runs out. NULL: dead-lettered.
    due_at: Named[float | None] = Column(Double)
    # Whether a worker holds it. A row that is due and leased was lost by its worker, and is next claimed alone.
    leased: Named[bool]
    attempts: Named[int] = Column(Integer)
    # The backfill that the version came with.
    backfill_id: Named[str | None] = Column(_WORD)


class BackfillColumns(TypedColumns):
    """Loads of a source, finished ones too (`coldstart.catalog.bulk`): how far each has come, and what it came to."""

    backfill_id: Named[str] = Column(_WORD, primary_key=True)
    source: Named[str] = Column(Text)
    digest: Named[str] = Column(_SHA256)
    size: Named[int] = Column(BigInteger)
    rows: Named[int] = Column(BigInteger)
    # How many rows of the source were read, each of which is counted below.
    position: Named[int] = Column(BigInteger)
    accepted: Named[int] = Column(BigInteger)
    unchanged: Named[int] = Column(BigInteger)
    overtaken: Named[int] = Column(BigInteger)
    refused: Named[int] = Column(BigInteger)
    rate: Named[float | None] = Column(Double)
    state: Named[str] = Column(_WORD)
    owner: Named[str] = Column(_WORD)
    created_at: Named[float] = Column(Double)
    # The owner's last sign of life, and for how many seconds there was one.
    updated_at: Named[float] = Column(Double)
    busy_s: Named[float] = Column(Double)
    finished_at: Named[float | None] = Column(Double)
    error: Named[str | None] = Column(Text)


class BackfillProblemColumns(TypedColumns):
    """Rows of a source that were refused, or accepted without their picture."""

    backfill_id: Named[str] = Column(_WORD, ForeignKey("backfills.backfill_id"), primary_key=True)
    row: Named[int] = Column(BigInteger, primary_key=True, autoincrement=False)
    place: Named[str] = Column(Text)
    item_id: Named[str] = Column(Text)
    cause: Named[str] = Column(Text)
    accepted: Named[bool]


class EventColumns(TypedColumns):
    """What shoppers did. Items and users need not be known."""

    event_id: Named[str] = Column(_ID, primary_key=True)
    user_id: Named[str] = Column(_ID)
    item_id: Named[str] = Column(_ID)
    kind: Named[str] = Column(Text)
    timestamp: Named[float] = Column(Double)
    received_at: Named[float] = Column(Double)


class ImpressionColumns(TypedColumns):
    """How often lists showed an item while it was new (`coldstart.recommend.floor`)."""

    item_id: Named[str] = Column(_ID, primary_key=True)
    shown: Named[int] = Column(BigInteger)


class ItemHourColumns(TypedColumns):
    """How often an item was clicked, bought and so on in one hour: counted as events come, once each."""

    hour: Named[int] = Column(Integer, primary_key=True, autoincrement=False)
    item_id: Named[str] = Column(_ID, primary_key=True)
    times: Named[int] = Column(BigInteger)


class ClickMarkColumns(TypedColumns):
    """Items that may be new and were clicked since they were last moved: how often, and since when."""

    item_id: Named[str] = Column(_ID, primary_key=True)
    times: Named[int] = Column(BigInteger)
    since: Named[float] = Column(Double)


class ApiKeyColumns(TypedColumns):
    """Keys of the HTTP interface, revoked ones too (`coldstart.access`)."""

    key_id: Named[str] = Column(_WORD, primary_key=True)
    digest: Named[bytes] = Column(LargeBinary)
    scope: Named[str] = Column(_WORD)
    name: Named[str] = Column(Text)
    created_at: Named[float] = Column(Double)
    revoked_at: Named[float | None] = Column(Double)


class RequestColumns(TypedColumns):
    """Answers of requests that came with a key, for those who send them again; by `Once.name`."""

    key: Named[str] = Column(_ID, primary_key=True)
    fingerprint: Named[str] = Column(_SHA256)
    answers: Named[bytes] = Column(LargeBinary)
    expires_at: Named[float] = Column(Double)


class ExperimentColumns(TypedColumns):
    """Experiments (`coldstart.experiments`), stopped ones too."""

    experiment_id: Named[str] = Column(_ID, primary_key=True)
    status: Named[str] = Column(_WORD)
    design: Named[dict[str, object]] = Column(JSON)
    created_at: Named[float] = Column(Double)


class ExposureColumns(TypedColumns):
    """Lists that units of experiments were shown."""

    experiment_id: Named[str] = Column(_ID, primary_key=True)
    exposure_id: Named[str] = Column(_ID, primary_key=True)
    arm: Named[str] = Column(_ID)
    unit: Named[str] = Column(_ID)
    at: Named[float] = Column(Double)
    source: Named[str] = Column(Text)
    window: Named[str] = Column(Text)
    watermark: Named[float] = Column(Double)
    degraded: Named[bool]
    # Columns of the list: items, cold, propensities, teams.
    places: Named[list[list[object]]] = Column(JSON)


class UserColumns(TypedColumns):
    """What users said of themselves; and ids that became another's, of which nothing else is kept (``merged_into``).

    The other is never such an id itself: chains are made short when they are made.
    """

    user_id: Named[str] = Column(_ID, primary_key=True)
    merged_into: Named[str | None] = Column(_ID)
    preferences: Named[str | None] = Column(Text)
    encoder: Named[str | None] = Column(Text)
    liked: Named[list[str]] = Column(JSON)
    disliked: Named[list[str]] = Column(JSON)
    attributes: Named[dict[str, object]] = Column(JSON)
    updated_at: Named[float] = Column(Double)
    # Little-endian float16, of the preferences by that encoder.
    embedding: Named[bytes | None] = Column(LargeBinary)


class ErasureColumns(TypedColumns):
    """Who was erased, to be recognised and not to be known: HMAC-SHA-256 of the id, by the deployment's key."""

    digest: Named[str] = Column(_SHA256, primary_key=True)
    erased_at: Named[float] = Column(Double)


class DeploymentColumns(TypedColumns):
    """What a deployment draws once."""

    name: Named[str] = Column(_WORD, primary_key=True)
    content: Named[bytes] = Column(LargeBinary)


class AdapterColumns(TypedColumns):
    """Adapter versions that are, were or may come to be served (`coldstart.catalog.adapters`)."""

    version: Named[str] = Column(_WORD, primary_key=True)
    status: Named[str] = Column(_WORD)
    folder: Named[str] = Column(Text)
    # What makes one version's vectors from another's embeddings: the SHA-256 of the backbone, and the encoders.
    backbone: Named[str] = Column(_SHA256)
    text_encoder: Named[str] = Column(Text)
    image_encoder: Named[str] = Column(Text)
    card: Named[str] = Column(Text)
    registered_at: Named[float] = Column(Double)
    ready_at: Named[float | None] = Column(Double)
    live_at: Named[float | None] = Column(Double)
    projected: Named[int] = Column(BigInteger)
    total: Named[int] = Column(BigInteger)
    error: Named[str | None] = Column(Text)


media = Table("media", metadata, MediaColumns)
items = Table("items", metadata, ItemColumns)
outbox = Table("outbox", metadata, OutboxColumns)
backfills = Table("backfills", metadata, BackfillColumns)
backfill_problems = Table("backfill_problems", metadata, BackfillProblemColumns)
events = Table("events", metadata, EventColumns)
impressions = Table("impressions", metadata, ImpressionColumns)
item_hours = Table("item_hours", metadata, ItemHourColumns)
click_marks = Table("click_marks", metadata, ClickMarkColumns)
api_keys = Table("api_keys", metadata, ApiKeyColumns)
requests = Table("requests", metadata, RequestColumns)
experiments = Table("experiments", metadata, ExperimentColumns)
exposures = Table("exposures", metadata, ExposureColumns)
users = Table("users", metadata, UserColumns)
erasures = Table("erasures", metadata, ErasureColumns)
deployment = Table("deployment", metadata, DeploymentColumns)
adapters = Table("adapters", metadata, AdapterColumns)

Index("ix_items_accepted_at", items.c.accepted_at, items.c.item_id)
Index("ix_items_status", items.c.status, items.c.accepted_at, items.c.item_id)
Index(  # covers the search for newcomers, which comes every second
    "ix_items_cold", items.c.status, items.c.accepted_at, items.c.item_id, items.c.cold,
    sqlite_where=text("cold = 1"), postgresql_where=items.c.cold,
)  # fmt: skip
Index("ix_items_picture_sha256", items.c.picture_sha256)
Index("ix_outbox_due", outbox.c.stage, outbox.c.leased, outbox.c.priority.desc(), outbox.c.due_at)
_OF_BACKFILLS = outbox.c.backfill_id.is_not(None)
Index(
    "ix_outbox_backfill_id", outbox.c.backfill_id, outbox.c.due_at,
    sqlite_where=_OF_BACKFILLS, postgresql_where=_OF_BACKFILLS,
)  # fmt: skip
Index("ix_events_user_id", events.c.user_id, events.c.timestamp)
Index("ix_item_hours_item_id", item_hours.c.item_id, item_hours.c.hour)
Index("ix_events_item_id", events.c.item_id, events.c.user_id)
Index("ix_requests_expires_at", requests.c.expires_at)
Index("ix_experiments_status", experiments.c.status)
Index("ix_exposures_unit", exposures.c.unit)
Index("ix_users_merged_into", users.c.merged_into)
Index("ix_erasures_erased_at", erasures.c.erased_at)
