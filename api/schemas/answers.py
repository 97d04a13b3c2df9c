"""What the HTTP interface gives."""

from datetime import UTC, datetime
from typing import Self

from pydantic import BaseModel, Field

from api.problems import FieldProblem
from api.schemas.requests import Attribute
from coldstart.catalog import Accepted, ItemRecord, Status


class AcceptedView(BaseModel):
    """Committed: the item will be retrievable (or gone), or appear among the dead letters."""

    item_id: str
    version: int
    accepted_at: datetime

    @classmethod
    def of(cls, accepted: Accepted) -> Self:
        """As the store says it."""
        return cls(item_id=accepted.item_id, version=accepted.version, accepted_at=moment(accepted.accepted_at))


class BatchAnswer(BaseModel):
    """What became of one item of a batch; `status` is what a request of its own would have been answered."""

    item_id: str | None
    status: int
    version: int | None = None
    detail: str | None = None
    remedy: str | None = None
    errors: list[FieldProblem] | None = None


class BatchView(BaseModel):
    """Answers in the order of the items."""

    accepted: int
    refused: int
    answers: list[BatchAnswer]


class SinceAccepted(BaseModel):
    """Milliseconds from accepted to each step; `null` for a step not reached."""

    claimed: float | None
    encoded: float | None
    retrievable: float | None


class ItemView(BaseModel):
    """An item as it stands."""

    item_id: str
    version: int
    status: Status
    title: str
    text: str
    image: str | None = Field(description="The picture's address, where it was sent as one")
    attributes: dict[str, Attribute]
    published_at: datetime | None
    expires_at: datetime | None
    accepted_at: datetime
    claimed_at: datetime | None
    encoded_at: datetime | None
    retrievable_at: datetime | None
    since_accepted_ms: SinceAccepted
    cold: bool | None = Field(description="Whether the backbone has never seen a click on it; unknown until encoded")
    modalities: tuple[str, ...] = Field(description="What its vector was made of")
    gates: dict[str, float] = Field(description="How much the adapter listened to each of them")
    clicks: int = Field(description="How many users have moved its vector, while it is cold, by their clicks")
    other_clicks: int = Field(
        description="How many more clicked it whom the backbone does not know, and who thus cannot move it"
    )
    click_weight: float = Field(description="The share of clicks in its vector, against that of its content")
    adapter_version: str | None
    attempts: int
    error: str | None = Field(description="Why the last attempt failed")
    picture_error: str | None = Field(description="Why the picture could not be used")
    has_image: bool = Field(description="Whether GET /items/{item_id}/image has a picture to show")

    @classmethod
    def of(cls, record: ItemRecord) -> Self:
        """As the store holds it."""
        item = record.item
        steps = (record.claimed_at, record.encoded_at, record.retrievable_at)
        claimed, encoded, retrievable = (None if at is None else moment(at) for at in steps)
        since = (None if at is None else round((at - record.accepted_at) * 1000, 2) for at in steps)
        return cls(
            item_id=item.item_id,
            version=record.version,
            status=record.status,
            title=item.title,
            text=item.text,
            image=item.image,
            attributes=dict(item.attributes),
            published_at=None if item.published_at is None else moment(item.published_at),
            expires_at=None if item.expires_at is None else moment(item.expires_at),
            accepted_at=moment(record.accepted_at),
            claimed_at=claimed,
            encoded_at=encoded,
            retrievable_at=retrievable,
            since_accepted_ms=SinceAccepted(**dict(zip(SinceAccepted.model_fields, since, strict=True))),
            cold=record.cold,
            modalities=record.modalities,
            gates=dict(record.gates),
            clicks=record.clicks,
            other_clicks=record.other_clicks,
            click_weight=round(record.click_weight, 4),
            adapter_version=record.adapter_version,
            attempts=record.attempts,
            error=record.error,
            picture_error=record.picture_error,
            has_image=record.picture_sha256 is not None and record.picture_error is None,
        )


class ItemsView(BaseModel):
    """A page of items."""

    items: list[ItemView]


class Evidence(BaseModel):
    """What speaks for a row."""

    nearest: str | None = Field(description="The clicked item whose served vector points most nearly the same way")
    likeness: float | None = Field(description="The cosine of the two")
    modalities: dict[str, float] = Field(description="Of a cold item, the share of each in what its vector was made of")


class RecommendationView(BaseModel):
    """One row of a list."""

    item_id: str
    score: float
    cold: bool
    reason: str | None
    evidence: Evidence | None
    propensity: float = Field(description="The chance with which it came to its place, given those above it")


class AssignmentView(BaseModel):
    """An experiment that the list is part of, and the arm that made it."""

    experiment: str
    arm: str = Field(description="`interleaved` where both arms did")


class RecommendationsView(BaseModel):
    """A list, best first, and how it was made."""

    rows: list[RecommendationView]
    list_id: str = Field(description="Names this answer")
    strategy: str = Field(
        description="What it was made from: `history+clicks+likes+preferences` or some of these, `+ranked` where NeuMF "
        "then ordered it; `popular`"
    )
    adapter_version: str
    degraded: bool = Field(description="Whether a part that was asked for could not be used")
    ignored: tuple[str, ...] = Field(description="Clicked items that are not retrievable and so said nothing")
    assignments: list[AssignmentView] = Field(description="The experiments that the list is part of")


class SimilarView(BaseModel):
    """Items like another; `score` is the cosine of their served vectors."""

    adapter_version: str
    rows: list[RecommendationView]


class EventsView(BaseModel):
    """Committed events; those whose `event_id` was known before are duplicates."""

    recorded: int
    duplicates: int
    unknown_items: int = Field(description="Items among them that the catalogue has never held; their events are kept")


class TimeToRecommendable(BaseModel):
    """From accepted to retrievable, over the newest retrievable items."""

    items: int
    p50_ms: float | None
    p95_ms: float | None


class StatusView(BaseModel):
    """The service at a glance."""

    counts: dict[Status, int]
    adapter_version: str
    backbone: str
    time_to_recommendable: TimeToRecommendable


class HealthView(BaseModel):
    """`alive` or `ready`."""

    status: str


def moment(seconds: float) -> datetime:
    """Unix seconds as a time in UTC."""
    return datetime.fromtimestamp(seconds, UTC)
