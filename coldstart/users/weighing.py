"""How much each of a user's events still says of them. Pure."""

from collections.abc import Iterable, Mapping

from coldstart.entities import Event, ExternalId
from coldstart.kinds import kind_of

LEAST = 2.0**-20
"""Of a weight: what is older than twenty half-lives says no less, so that a user of old events alone has a place."""


def weigh(events: Iterable[Event], *, now: float, half_life_s: float, most: int) -> Mapping[ExternalId, float]:
    """Items of the latest events that move their user, latest first, and the weight of each.

    ``w = kind weight x 2^(-age / half-life)``, of an item with several events that of the strongest. What the user has
    taken back since (a dislike after a click) is not among them.

    Parameters
    ----------
    events : iterable of Event
        Of one user, newest first.
    most : int
        How many of the events that move somebody are looked at.

    Examples
    --------
    >>> clicks = [Event("2", "u", "tea", 100.0), Event("1", "u", "tea", 0.0), Event("0", "u", "rum", 0.0, "like")]
    >>> dict(weigh(clicks, now=100.0, half_life_s=100.0, most=50))
    {'tea': 1.0, 'rum': 1.0}
    """
    weights: dict[ExternalId, float] = {}
    taken_back: set[ExternalId] = set()
    looked_at = 0
    for event in events:
        kind = kind_of(event.kind)
        if kind.takes_back:
            taken_back.add(event.item_id)
        if kind.weight <= 0:
            continue
        if (looked_at := looked_at + 1) > most:
            break
        if event.item_id not in taken_back:
            weight = max(kind.weight * 2.0 ** (-max(now - event.timestamp, 0.0) / half_life_s), LEAST)
            weights[event.item_id] = max(weight, weights.get(event.item_id, 0.0))
    return weights
