"""What everything that comes as JSON has in common, whether by HTTP or through a broker.

Strict: a number is not a truth value, and an unknown field is an error. `coldstart` itself does not import this.
"""

from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from coldstart.errors import InvalidInput
from coldstart.ids import MAX_ID_CHARACTERS, check_id

MAX_FIELDS = 20
"""Of the errors of one body, so many are told."""
MAX_BATCH = 1000


def _usable_id(value: str) -> str:
    try:
        return check_id(value)
    except InvalidInput as error:
        raise PydanticCustomError("unusable_id", "{what}", {"what": error.what, "remedy": error.remedy}) from None


def takes(kinds: str) -> WrapValidator:
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


def at_most(entries: int) -> BeforeValidator:
    """An object of no more entries than these, checked before any of them is."""
    return BeforeValidator(lambda value: _require_few(value, entries))


Id = Annotated[
    str,
    AfterValidator(_usable_id),
    Field(
        description=f"Any non-empty text of at most {MAX_ID_CHARACTERS} characters",
        json_schema_extra={"minLength": 1, "maxLength": MAX_ID_CHARACTERS},
    ),
]
Seconds = Annotated[float, Field(ge=0, le=1e11), takes("Unix seconds, such as 1764000000")]


class Body(BaseModel):
    """Base of what callers send."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _few_fields(cls, value: object) -> object:
        return _require_few(value, len(cls.model_fields) + MAX_FIELDS)
