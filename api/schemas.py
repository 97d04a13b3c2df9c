"""What the HTTP interface takes and gives. Strict: a number is not a truth value, and an unknown field is an error."""

from datetime import UTC, datetime
from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SkipValidation,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from api.problems import MAX_FIELDS, FieldProblem
from coldstart.catalog import Accepted, ItemRecord, Status
from coldstart.clean import clean_text
from coldstart.entities import Recommendation
from coldstart.errors import InvalidInput
from coldstart.ids import MAX_ID_CHARACTERS, check_id
from coldstart.recommend import RecommendationList
from coldstart.recommend.request import MAX_LIMIT

MAX_BATCH = 1000
MAX_CLICKED = 1000
MAX_EXCLUDED = 10_000
MAX_ATTRIBUTES = 100
MAX_CONDITIONS = 20
MAX_WANTED = 1000
INT64 = 2**63 - 1


def _usable_id(value: str) -> str:
    try:
        return check_id(value)
    except InvalidInput as error:
        raise PydanticCustomError("unusable_id", "{what}", {"what": error.what, "remedy": error.remedy}) from None


def _worded(value: str) -> str:
    if not clean_text(value):
        raise PydanticCustomError("blank", "has no printable character", {"remedy": "Send some words"})
    return value


def _filter_path(value: str) -> str:
    if value != "cold" and not value.startswith("attributes."):
        remedy = {"remedy": f"Write attributes.{value}, or cold"}
        raise PydanticCustomError("unknown_path", "names nothing to filter by", remedy)
    return value


def _takes(kinds: str) -> WrapValidator:
    """One error that says what the field takes, in place of pydantic's own: of a union, one for each member."""

    def validate(value: object, handler: ValidatorFunctionWrapHandler) -> object:
        try:
            return handler(value)
        except ValidationError:
            raise PydanticCustomError("not_taken", "should be {kinds}", {"kinds": kinds}) from None

    return WrapValidator(validate)


def _require_few(value: object, most: int) -> object:
    """Whatever is wrong in an object is an error of its own, of a kilobyte, and all are found before any is told.

    A million unknown fields, 11 MB of JSON, held the event loop for 10 s and took 1.3 GB (benchmarks.hostile).
    """
    if isinstance(value, dict) and len(value) > most:
        raise PydanticCustomError("too_many", "should have at most {most} entries", {"most": most})
    return value


def _at_most(entries: int) -> BeforeValidator:
    return BeforeValidator(lambda value: _require_few(value, entries))


Id = Annotated[
    str,
    AfterValidator(_usable_id),
    Field(
        description=f"Any non-empty text of at most {MAX_ID_CHARACTERS} characters",
        json_schema_extra={"minLength": 1, "maxLength": MAX_ID_CHARACTERS},
    ),
]
# Lengths are checked before the text is cleaned, which takes time in proportion to them.
Title = Annotated[str, Field(max_length=2000), AfterValidator(_worded)]
Sentence = Annotated[str, Field(max_length=10_000), AfterValidator(_worded)]
Integer = Annotated[int, Field(ge=-INT64 - 1, le=INT64)]
Scalar = Annotated[str, Field(max_length=20_000)] | bool | Integer | float
Attribute = Annotated[
    Scalar | Annotated[list[Annotated[str, Field(max_length=1000)]], Field(max_length=1000)],
    _takes(
        "text of at most 20,000 characters, a number of at most 64 bits, true, false, "
        "or a list of at most 1,000 texts of at most 1,000 characters"
    ),
]
Seconds = Annotated[float, Field(ge=0, le=1e11), _takes("Unix seconds, such as 1764000000")]
Name = Annotated[str, Field(min_length=1, max_length=256)]
Limit = Annotated[int, Field(ge=1, le=MAX_LIMIT, description="Length of the list")]


class Body(BaseModel):
    """Base of what callers send."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _few_fields(cls, value: object) -> object:
        return _require_few(value, len(cls.model_fields) + MAX_FIELDS)


class ItemBody(Body):
    """An item as its catalogue knows it."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "title": "Walnut desk lamp",
                "text": "A small lamp of oiled walnut with a warm, dimmable light.",
                "image": "data:image/png;base64,iVBORw0KGgo=",
                "attributes": {"category": "Lighting", "price": 59.0, "tags": ["wood", "small"]},
            }
        }
    )

    title: Title
    text: str = Field("", max_length=100_000, description="Of a long text the first 256 tokens or so are looked at")
    image: str | None = Field(default=None, description="A picture: `data:image/...;base64,...` or an http(s) address")
    attributes: Annotated[dict[Name, Attribute], _at_most(MAX_ATTRIBUTES)] = Field(
        {}, max_length=MAX_ATTRIBUTES, description="To filter by, and to encode"
    )
    source_version: int | None = Field(
        default=None,
        ge=0,
        le=INT64,
        description="The catalogue's own order: one that is not above the stored is answered 409",
    )


class BatchItem(ItemBody):
    """An item of a batch."""

    model_config = ConfigDict(json_schema_extra=None)

    item_id: Id


class BatchBody(Body):
    """Items, each accepted or refused by itself."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "items": [
                    {"item_id": "sku-17", "title": "Walnut desk lamp", "attributes": {"price": 59.0}},
                    {"item_id": "sku-18", "title": "Linen shade", "image": "https://images.example/sku-18.jpg"},
                ]
            }
        }
    )

    items: Annotated[list[SkipValidation[BatchItem]], Field(min_length=1, max_length=MAX_BATCH)]


class Range(Body):
    """Bounds of a number; those left out are open."""

    gt: float | None = None
    gte: float | None = None
    lt: float | None = None
    lte: float | None = None


Wanted = Annotated[
    Scalar | Annotated[list[Scalar], Field(max_length=MAX_WANTED)] | Range,
    _takes(
        f"text, a number, true, false, a list of at most {MAX_WANTED:,} of these, "
        "or a range such as {'gte': 10, 'lt': 80}"
    ),
]


class RecommendationsBody(Body):
    """For whom, and which: name any of user, clicked items and preferences, or none of them."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "clicked": ["sku-17", "sku-99"],
                "preferences": "small warm lamps for a reading corner",
                "limit": 10,
                "filter": {"attributes.category": ["Lighting", "Decor"], "attributes.price": {"lte": 80}},
                "exclude": ["sku-3"],
            }
        }
    )

    user_id: Id | None = None
    clicked: list[Id] = Field([], max_length=MAX_CLICKED, description="Items the reader has just looked at")
    preferences: Sentence | None = Field(default=None, description="What they would like, in words")
    limit: Limit = 20
    filter: Annotated[dict[Annotated[Name, AfterValidator(_filter_path)], Wanted], _at_most(MAX_CONDITIONS)] = Field(
        {},
        max_length=MAX_CONDITIONS,
        description="Conditions that all hold: `attributes.NAME` or `cold` -> a value, a list of values, or a range",
    )
    exclude: list[Id] = Field([], max_length=MAX_EXCLUDED, description="Items not wanted")
    explain: bool = Field(True, description="Say of each item why it is there")


class EventBody(Body):
    """A user met an item."""

    event_id: Id = Field(description="Makes a repeated delivery harmless")
    user_id: Id
    item_id: Id
    timestamp: Seconds | None = Field(default=None, description="Unix seconds; now, where it is left out")
    kind: str = Field("click", min_length=1, max_length=64)


class EventsBody(Body):
    """A batch of events."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"events": [{"event_id": "e-1", "user_id": "u-7", "item_id": "sku-17", "timestamp": 1764000000}]}
        }
    )

    events: Annotated[list[EventBody], Field(min_length=1, max_length=MAX_BATCH)]


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
    accepted_at: datetime
    claimed_at: datetime | None
    encoded_at: datetime | None
    retrievable_at: datetime | None
    since_accepted_ms: SinceAccepted
    cold: bool | None = Field(description="Whether the backbone has never seen a click on it; unknown until encoded")
    modalities: tuple[str, ...] = Field(description="What its vector was made of")
    gates: dict[str, float] = Field(description="How much the adapter listened to each of them")
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
            accepted_at=moment(record.accepted_at),
            claimed_at=claimed,
            encoded_at=encoded,
            retrievable_at=retrievable,
            since_accepted_ms=SinceAccepted(**dict(zip(SinceAccepted.model_fields, since, strict=True))),
            cold=record.cold,
            modalities=record.modalities,
            gates=dict(record.gates),
            adapter_version=record.adapter_version,
            attempts=record.attempts,
            error=record.error,
            picture_error=record.picture_error,
            has_image=record.picture_sha256 is not None and record.picture_error is None,
        )


class ItemsView(BaseModel):
    """A page of items."""

    items: list[ItemView]


class RecommendationView(BaseModel):
    """One row of a list."""

    item_id: str
    score: float
    cold: bool
    reason: str | None

    @classmethod
    def of(cls, row: Recommendation, *, explain: bool = True) -> Self:
        """A row, with its reason if wanted."""
        return cls(item_id=row.item_id, score=row.score, cold=row.cold, reason=row.reason if explain else None)


class RecommendationsView(BaseModel):
    """A list, best first, and how it was made."""

    rows: list[RecommendationView]
    strategy: str = Field(
        description="What it was made from: `history+clicks+preferences` or some of these, `+ranked` where NeuMF then "
        "ordered it; `popular`"
    )
    adapter_version: str
    degraded: bool = Field(description="Whether a part that was asked for could not be used")
    ignored: tuple[str, ...] = Field(description="Clicked items that are not retrievable and so said nothing")

    @classmethod
    def of(cls, answer: RecommendationList, *, explain: bool = True) -> Self:
        """The recommender's answer."""
        return cls(
            rows=[RecommendationView.of(row, explain=explain) for row in answer.rows],
            strategy=answer.strategy,
            adapter_version=answer.adapter_version,
            degraded=answer.degraded,
            ignored=answer.ignored,
        )


class SimilarView(BaseModel):
    """Items like another; `score` is the cosine of their served vectors."""

    rows: list[RecommendationView]


class EventsView(BaseModel):
    """Committed events; those whose `event_id` was known before are duplicates."""

    recorded: int
    duplicates: int


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
