"""Users: what they say of themselves, and what is told of them."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from api.schemas.answers import moment
from api.schemas.requests import Attribute, Attributes, Sentence
from coldstart.bodies import Body, Id
from coldstart.catalog.users import Merged, UserRecord
from coldstart.users.erasure import Erased
from coldstart.users.profile import MAX_LISTED

Listed = Annotated[list[Id], Field(max_length=MAX_LISTED), AfterValidator(lambda ids: list(dict.fromkeys(ids)))]


class UserBody(Body):
    """What a user says of themselves."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "preferences": "small warm lamps, nothing in chrome",
                "liked": ["sku-17"],
                "disliked": ["sku-99"],
                "attributes": {"city": "Bremen", "age": 30},
            }
        }
    )

    preferences: Sentence | None = Field(default=None, description="What they would like, in words")
    liked: Listed = Field([], description="Items that count as if they had been clicked")
    disliked: Listed = Field([], description="Items never to be shown; none may be liked")
    attributes: Attributes = Field({}, description="Kept and told; no list looks at them")

    @field_validator("disliked")
    @classmethod
    def _not_liked(cls, disliked: list[str], info: ValidationInfo) -> list[str]:
        liked = set(info.data.get("liked", ()))
        if both := next((item_id for item_id in disliked if item_id in liked), None):
            remedy = {"item": repr(both), "remedy": "Name it in one of the two lists"}
            raise PydanticCustomError("liked_too", "holds {item}, which is liked, too", remedy)
        return disliked


class MergeBody(Body):
    """Who else the user was."""

    model_config = ConfigDict(json_schema_extra={"example": {"from": "anonymous-17"}})

    source: Id = Field(alias="from", description="Its history and profile move; from now on it is another name")


class StoredView(BaseModel):
    """Committed: the next list knows it."""

    user_id: str
    updated_at: datetime


class UserView(BaseModel):
    """A user as they stand."""

    user_id: str
    preferences: str | None
    liked: tuple[str, ...]
    disliked: tuple[str, ...]
    attributes: dict[str, Attribute]
    updated_at: datetime | None = Field(description="Of what they said of themselves; `null` where they never did")
    events: int = Field(description="How many events are stored")
    trained: bool = Field(description="Whether the backbone knows them; never true of somebody who was erased")
    strategy: str = Field(description="What a list would be made from now, as it says itself")
    merged_into: str | None = Field(description="The account that this id is another name of")

    @classmethod
    def of(cls, record: UserRecord, *, trained: bool, strategy: str) -> Self:
        """As the store holds them."""
        said = record.profile
        return cls(
            user_id=record.user_id,
            preferences=said.preferences,
            liked=said.liked,
            disliked=said.disliked,
            attributes=dict(said.attributes),
            updated_at=None if record.updated_at is None else moment(record.updated_at),
            events=record.events,
            trained=trained,
            strategy=strategy,
            merged_into=record.merged_into,
        )


class MergeView(BaseModel):
    """Committed: both are one user."""

    user_id: str = Field(description="The account that has it all: the end of the chain, where it was merged itself")
    events: int = Field(description="How many events were moved; 0 the second time")

    @classmethod
    def of(cls, merged: Merged) -> Self:
        """As the store says it."""
        return cls(user_id=merged.user_id, events=merged.events)


class ErasedView(BaseModel):
    """What each place lost, and what a look at it afterwards found: 0 everywhere."""

    user_id: str
    erased: dict[str, int]
    left: dict[str, int]

    @classmethod
    def of(cls, erased: Erased) -> Self:
        """As the places say it."""
        return cls(user_id=erased.user_id, erased=dict(erased.erased), left=dict(erased.left))
