"""What holds for collections in every store: how they may be called, and when they may not be touched."""

import re
from collections.abc import Collection

from coldstart.errors import Conflict, InvalidInput, NotFound

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def check_collection(name: str) -> str:
    """The name itself where it can be a folder and part of an address."""
    if _NAME.fullmatch(name) and name != "live":
        return name
    raise InvalidInput(
        "the collection's name cannot be used",
        subject=repr(name),
        remedy="Use up to 100 letters, digits, dots, dashes and underscores, a letter or digit first; not 'live'",
    )


def require_width(collection: str, stored: int, wanted: int) -> None:
    """`Conflict` where a collection exists with another width."""
    if stored != wanted:
        raise Conflict(
            f"the collection holds vectors of {stored} numbers, not {wanted}",
            subject=collection,
            remedy="Write the new adapter's vectors to a collection of their own",
        )


def require_known(collection: str, known: Collection[str]) -> None:
    """`NotFound` where there is no such collection."""
    if collection not in known:
        there_are = ", ".join(sorted(known)) or "none"
        raise NotFound("there is no such collection", subject=collection, remedy=f"There are: {there_are}")


def require_not_live(collection: str, live: str | None) -> None:
    """`Conflict` where the collection answers queries now."""
    if collection == live:
        raise Conflict("the collection is live", subject=collection, remedy="Promote another one first")
