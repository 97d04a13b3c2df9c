"""Makes new items and new users recommendable at once, beside a frozen collaborative backbone."""

from coldstart.entities import Event, ExternalId, Interaction, Item, Recommendation
from coldstart.errors import ColdstartError, Conflict, InvalidInput, NotFound, Unavailable

__all__ = [
    "ColdstartError",
    "Conflict",
    "Event",
    "ExternalId",
    "Interaction",
    "InvalidInput",
    "Item",
    "NotFound",
    "Recommendation",
    "Unavailable",
]
