"""What is asked and what is answered."""

from dataclasses import dataclass

from coldstart.entities import ExternalId, Recommendation
from coldstart.errors import InvalidInput
from coldstart.index import Filter
from coldstart.recommend.policy import Boost, Policy

LIMIT, MAX_LIMIT = 20, 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """For whom a list is wanted: a user, the items they clicked, a sentence, these together, or nobody in particular.

    ``where`` restricts the answer by payload, ``exclude`` by id; ``policy`` takes the place of the service's own, and
    ``explain`` asks for the evidence of each row.

    >>> Request(limit=0)
    Traceback (most recent call last):
    coldstart.errors.InvalidInput: limit: cannot be 0. Ask for 1 to 1000 items
    """

    user_id: ExternalId | None = None
    clicked: tuple[ExternalId, ...] = ()
    preferences: str | None = None
    limit: int = LIMIT
    where: Filter | None = None
    exclude: tuple[ExternalId, ...] = ()
    boosts: tuple[Boost, ...] = ()
    policy: Policy | None = None
    explain: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.limit <= MAX_LIMIT:
            raise InvalidInput(f"cannot be {self.limit}", subject="limit", remedy=f"Ask for 1 to {MAX_LIMIT} items")


@dataclass(frozen=True, slots=True)
class RecommendationList:
    """The answer and how it was made.

    Attributes
    ----------
    rows : list of Recommendation
        Best first.
    list_id : str
        Names this answer, in logs of what was shown and of what came of it.
    strategy : str
        What the query was made of: ``history``, ``clicks``, ``likes`` and ``preferences`` joined by ``+``, or
        ``popular``; ``ranked`` behind them where the backbone's NeuMF ordered what was retrieved.
    adapter_version : str
        The space in which the list was made.
    degraded : bool
        Whether a part that was asked for could not be used, because what it needs did not answer.
    ignored : tuple of ExternalId
        Clicked items that are not retrievable and so said nothing.
    """

    rows: list[Recommendation]
    list_id: str
    strategy: str
    adapter_version: str
    degraded: bool = False
    ignored: tuple[ExternalId, ...] = ()
