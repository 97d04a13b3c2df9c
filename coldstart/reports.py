"""Reports of events as they arrive: the body of ``POST /events``, and messages of a topic.

A message is JSON, one event or a list of up to 1,000, each as in the body:
``{"event_id": "e-1", "user_id": "u-7", "item_id": "sku-17", "timestamp": 1764000000, "kind": "click"}``.
"""

from typing import Annotated

import orjson
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from coldstart.bodies import MAX_BATCH, Body, Id, Seconds
from coldstart.catalog.rows import check_event
from coldstart.entities import Event
from coldstart.errors import InvalidInput


class EventBody(Body):
    """A user met an item."""

    event_id: Id = Field(description="Makes a repeated delivery harmless")
    user_id: Id
    item_id: Id
    timestamp: Seconds | None = Field(
        default=None, description="Unix seconds; now, where it is left out or ahead of the server"
    )
    kind: str = Field(
        "click",
        min_length=1,
        max_length=64,
        description="`click`, `view`, `like`, `cart`, `purchase`, `dislike`, `impression`; others mark the item as met",
    )

    def event(self, *, now: float) -> Event:
        """As an event, of now unless it says when."""
        timestamp = now if self.timestamp is None else self.timestamp
        return Event(self.event_id, self.user_id, self.item_id, timestamp, self.kind)


class EventsBody(Body):
    """A batch of events."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"events": [{"event_id": "e-1", "user_id": "u-7", "item_id": "sku-17", "timestamp": 1764000000}]}
        }
    )

    events: Annotated[list[EventBody], Field(min_length=1, max_length=MAX_BATCH)]


_MESSAGE = TypeAdapter(Annotated[list[EventBody], Field(min_length=1, max_length=MAX_BATCH)])


def read_message(raw: bytes | None, *, now: float) -> list[Event]:
    """The events of a message that was written at a time (Unix seconds).

    Raises
    ------
    InvalidInput
        For the first thing that is wrong, without repeating any value of it: the sentence is for logs and headers.

    Examples
    --------
    >>> read_message(b'{"event_id": "e", "user_id": "u", "item_id": "i"}', now=5.0)
    [Event(event_id='e', user_id='u', item_id='i', timestamp=5.0, kind='click')]
    """
    try:
        told = orjson.loads(raw or b"")
        bodies = _MESSAGE.validate_python(told if isinstance(told, list) else [told])
    except orjson.JSONDecodeError as error:
        raise InvalidInput(
            f"the message is not JSON at character {error.pos}", remedy="Send one event or a list"
        ) from None
    except ValidationError as error:
        raise InvalidInput(_first(error), remedy="Send events as POST /events takes them") from None
    events = [body.event(now=now) for body in bodies]
    try:
        for event in events:
            check_event(event)
    except InvalidInput as error:
        raise InvalidInput(error.what, remedy=error.remedy) from None
    return events


def _first(error: ValidationError) -> str:
    first = error.errors(include_input=False, include_url=False)[0]
    unknown = first["type"] == "extra_forbidden"  # whose name is the sender's: nothing for a log
    place = ".".join(map(str, first["loc"][: -1 if unknown else None])) or "the message"
    what = "has an unknown field" if unknown else first["msg"]
    return f"{place}: {what}" + (f" (and {more} more)" if (more := error.error_count() - 1) else "")
