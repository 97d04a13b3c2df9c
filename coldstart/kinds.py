"""What each kind of event says. The one table of it; the weights are judgement, not measured."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """What an event of this kind counts for.

    Parameters
    ----------
    weight : float
        By how much it moves the user's vector, a click being 1; 0 for what moves nobody.
    met : bool
        Whether the item is not to be recommended to the user again.
    popular : bool
        Whether it adds to the item's popularity.
    takes_back : bool
        Whether the user's earlier events on the item no longer move them.
    """

    weight: float = 0.0
    met: bool = True
    popular: bool = False
    takes_back: bool = False

    @property
    def personal(self) -> bool:
        """Whether it says anything of its user at all."""
        return self.met or self.weight > 0


KINDS: Mapping[str, Kind] = {
    "impression": Kind(met=False),  # shown in a list, not looked at: the user may well see it there again
    "view": Kind(0.5, popular=True),
    "click": Kind(1.0, popular=True),
    "like": Kind(2.0, popular=True),
    "cart": Kind(2.0, popular=True),
    "purchase": Kind(4.0, popular=True),
    "dislike": Kind(takes_back=True),
}
OTHER = Kind()
"""A kind that is not in the table: it is kept, and its item is one that the user has met."""
POPULAR = frozenset(name for name, kind in KINDS.items() if kind.popular)
IMPERSONAL = frozenset(name for name, kind in KINDS.items() if not kind.personal)


def kind_of(name: str) -> Kind:
    """What the kind says.

    >>> kind_of("purchase").weight, kind_of("a kind of your own").met
    (4.0, True)
    """
    return KINDS.get(name, OTHER)
