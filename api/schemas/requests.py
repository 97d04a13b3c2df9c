"""What the HTTP interface takes, but for events, which also come otherwise (`coldstart.reports`)."""

from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field, SkipValidation
from pydantic_core import PydanticCustomError

from coldstart.bodies import MAX_BATCH, Body, Id, Seconds, at_most, takes
from coldstart.clean import clean_text
from coldstart.recommend.request import LIMIT, MAX_LIMIT

MAX_CLICKED = 1000
MAX_EXCLUDED = 10_000
MAX_ATTRIBUTES = 100
MAX_CONDITIONS = 20
MAX_WANTED = 1000
MAX_BOOSTS = 10
INT64 = 2**63 - 1


def _worded(value: str) -> str:
    if not clean_text(value):
        raise PydanticCustomError("blank", "has no printable character", {"remedy": "Send some words"})
    return value


def _filter_path(value: str) -> str:
    if value != "cold" and not value.startswith("attributes."):
        remedy = {"remedy": f"Write attributes.{value}, or cold"}
        raise PydanticCustomError("unknown_path", "names nothing to filter by", remedy)
    return value


# Lengths are checked before the text is cleaned, which takes time in proportion to them.
Title = Annotated[str, Field(max_length=2000), AfterValidator(_worded)]
Sentence = Annotated[str, Field(max_length=10_000), AfterValidator(_worded)]
Integer = Annotated[int, Field(ge=-INT64 - 1, le=INT64)]
Scalar = Annotated[str, Field(max_length=20_000)] | bool | Integer | float
Attribute = Annotated[
    Scalar | Annotated[list[Annotated[str, Field(max_length=1000)]], Field(max_length=1000)],
    takes(
        "text of at most 20,000 characters, a number of at most 64 bits, true, false, "
        "or a list of at most 1,000 texts of at most 1,000 characters"
    ),
]
Name = Annotated[str, Field(min_length=1, max_length=256)]
Attributes = Annotated[dict[Name, Attribute], at_most(MAX_ATTRIBUTES), Field(max_length=MAX_ATTRIBUTES)]
Limit = Annotated[int, Field(ge=1, le=MAX_LIMIT, description="Length of the list")]


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
    attributes: Attributes = Field({}, description="To filter by, and to encode")
    source_version: int | None = Field(
        default=None,
        ge=0,
        le=INT64,
        description="The catalogue's own order: one that is not above the stored is answered 409",
    )
    published_at: Seconds | None = Field(default=None, description="Unix seconds from which on lists may show it")
    expires_at: Seconds | None = Field(default=None, description="Unix seconds from which on they may not any more")


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


Values = Scalar | Annotated[list[Scalar], Field(max_length=MAX_WANTED)] | Range


class Opposite(Body):
    """What an item must not be; one that says nothing of it is not."""

    values: Values = Field(alias="not")


Wanted = Annotated[
    Values | Opposite,
    takes(
        f"text, a number, true, false, a list of at most {MAX_WANTED:,} of these, "
        "a range such as {'gte': 10, 'lt': 80}, or {'not': any of these}"
    ),
]


Conditions = Annotated[dict[Annotated[Name, AfterValidator(_filter_path)], Wanted], at_most(MAX_CONDITIONS)]


class BoostBody(Body):
    """Items whose scores are multiplied."""

    filter: Conditions = Field(min_length=1, max_length=MAX_CONDITIONS, description="Which, as in a filter")
    factor: float = Field(ge=0.1, le=10, description="Above 1 they stand higher, below 1 lower")


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
    session_id: Id | None = Field(default=None, description="Of an anonymous reader: experiments go by it")
    clicked: list[Id] = Field([], max_length=MAX_CLICKED, description="Items the reader has just looked at")
    preferences: Sentence | None = Field(default=None, description="What they would like, in words")
    limit: Limit = LIMIT
    filter: Conditions = Field(
        {},
        max_length=MAX_CONDITIONS,
        description="Conditions that all hold: `attributes.NAME` or `cold` -> a value, a list of values, a range, "
        'or `{"not": ...}` around one of these',
    )
    exclude: list[Id] = Field([], max_length=MAX_EXCLUDED, description="Items not wanted")
    boosts: list[BoostBody] = Field([], max_length=MAX_BOOSTS, description="Items to stand higher, or lower")
    diversity: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="0 ranks by score alone, 1 by difference alone; else as the service is set",
    )
    explain: bool = Field(True, description="Say of each item why it is there")
