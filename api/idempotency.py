"""``Idempotency-Key``: a request may be sent again, by a client that cannot know whether it arrived, and is done once.

After draft-ietf-httpapi-idempotency-key-header-07.
"""

import re
from collections.abc import AsyncIterator
from hashlib import sha256
from typing import Annotated

from fastapi import Depends, Header, Request

from api.access import caller_of
from api.dependencies import ServiceDep
from coldstart.catalog import Once
from coldstart.errors import InFlight, InvalidInput

_QUOTED = re.compile(r'"((?:[^"\\]|\\["\\])*)"')
_USABLE = re.compile(r"[\x20-\x7e]{1,255}")
DESCRIPTION = (
    "A key of your own, such as a UUID: sent again with it within a day, the same request changes nothing and gets the "
    "first answer. 422 for another request with it, 409 while the first is being answered"
)
KeyHeader = Annotated[str | None, Header(alias="Idempotency-Key", description=DESCRIPTION)]


def read_key(header: str) -> str:
    """The key of a header: a structured field's string, or the bare text that many clients send.

    >>> read_key('"8e03978e"') == read_key("8e03978e")
    True
    """
    text = header.strip()
    if text.startswith('"'):
        quoted = _QUOTED.fullmatch(text)
        text = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else ""
    if not _USABLE.fullmatch(text):
        raise InvalidInput(
            "the header is no key of 1 to 255 printable ASCII characters", subject="Idempotency-Key",
            remedy="Send a UUID in quotation marks",
        )  # fmt: skip
    return text


async def _once(request: Request, service: ServiceDep, header: KeyHeader = None) -> AsyncIterator[Once | None]:
    """What the store is told; ``None`` without a key. Of one key, one request at a time goes on to the store."""
    if header is None:
        yield None
        return
    caller, key = caller_of(request), read_key(header)
    if (caller, key) in service.in_flight:  # of another process the database tells
        raise InFlight("a request with this key is being answered", subject=key, remedy="Send it again in a moment")
    service.in_flight.add((caller, key))
    try:
        asked = f"{request.method} {request.scope['path']}\n".encode() + await request.body()
        yield Once(key, sha256(asked).hexdigest(), caller)
    finally:
        service.in_flight.discard((caller, key))


# Ends with the function, before the answer is sent: whoever has the answer may ask again at once.
OnceDep = Annotated[Once | None, Depends(_once, scope="function")]
