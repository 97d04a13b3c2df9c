"""What people say of themselves, and what becomes of it when two ids turn out to be one person. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice

from coldstart.entities import Attributes, ExternalId
from coldstart.vectors import Vector

MAX_LISTED = 1000
"""Items that one user may like, and may dislike."""
MAX_ATTRIBUTES = 100


@dataclass(frozen=True, slots=True)
class Profile:
    """What a user has said.

    Attributes
    ----------
    preferences : str, optional
        A sentence.
    embedding : float32 [t], optional
        The sentence as ``encoder``, named by its fingerprint, embedded it; kept as float16.
    liked, disliked : tuple of ExternalId
        No item is in both.
    attributes : mapping
        Whatever else; nothing here reads it.
    """

    preferences: str | None = None
    embedding: Vector | None = field(default=None, compare=False)
    encoder: str | None = None
    liked: tuple[ExternalId, ...] = ()
    disliked: tuple[ExternalId, ...] = ()
    attributes: Attributes = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reader:
    """Who asks for a list: the account that an id stands for, and what is known of it.

    ``erased``: what a backbone learnt of them is not to be used. ``degraded``: the store did not answer, and this is
    all that the process remembers.
    """

    user_id: ExternalId
    profile: Profile = field(default_factory=Profile)
    erased: bool = False
    degraded: bool = False


def unite(account: Profile, other: Profile) -> Profile:
    """One profile of two: of what both say the account's counts, and lists are joined, the account's items first.

    >>> mine = Profile(preferences="tea", liked=("assam",), attributes={"city": "Bremen"})
    >>> yours = Profile(preferences="coffee", disliked=("assam", "lungo"), attributes={"city": "Rome", "age": 30})
    >>> both = unite(mine, yours)
    >>> both.preferences, both.liked, both.disliked, dict(both.attributes)
    ('tea', ('assam',), ('lungo',), {'city': 'Bremen', 'age': 30})
    """
    sentence = account if account.preferences is not None else other
    return Profile(
        preferences=sentence.preferences,
        embedding=sentence.embedding,
        encoder=sentence.encoder,
        liked=_joined(account.liked, other.liked, but=account.disliked),
        disliked=_joined(account.disliked, other.disliked, but=account.liked),
        attributes=dict(islice({**account.attributes, **_missing(account, other)}.items(), MAX_ATTRIBUTES)),
    )


def _joined(
    first: Iterable[ExternalId], second: Iterable[ExternalId], *, but: Iterable[ExternalId]
) -> tuple[ExternalId, ...]:
    refused = set(but)
    added = (item_id for item_id in second if item_id not in refused)
    return tuple(islice(dict.fromkeys([*first, *added]), MAX_LISTED))


def _missing(account: Profile, other: Profile) -> Attributes:
    return {name: value for name, value in other.attributes.items() if name not in account.attributes}
