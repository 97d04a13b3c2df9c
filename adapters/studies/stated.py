"""What a newcomer who has clicked nothing may state: a value of a declared attribute, such as a genre."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from coldstart.entities import Attributes
from coldstart.vectors import Matrix, Rows, Vector

_MOST_VALUES = 50
"""An attribute with more values is nothing that one chooses from a list."""


@dataclass(frozen=True)
class Stated:
    """Popular items with a stated value first: user vectors [n, 1 + values] and item vectors [items, 1 + values]."""

    attribute: str
    users: Matrix
    items: Matrix


def popular_by_attribute(
    attributes: Sequence[Attributes], popularity: Vector, histories: Sequence[Rows]
) -> Stated | None:
    """Each user states the value that most of their clicks share; ``None`` without an attribute to choose a value of.

    Of the attributes with 2 to 50 different texts, the one that most items have is asked for.

    Parameters
    ----------
    popularity : float32 [items]
    histories : sequence of int64 [k]
        All training clicks of each user, as item rows.
    """
    values = {name: [_texts(each.get(name)) for each in attributes] for name in sorted(_names(attributes))}
    able = {name: each for name, each in values.items() if 2 <= len(set().union(*each)) <= _MOST_VALUES}
    if not able:
        return None
    name = max(able, key=lambda each: sum(map(bool, able[each])))
    places = {value: place for place, value in enumerate(sorted(set().union(*able[name])), start=1)}
    items = np.zeros((len(attributes), 1 + len(places)), np.float32)
    items[:, 0] = popularity
    users = np.zeros((len(histories), 1 + len(places)), np.float32)
    users[:, 0] = 1.0
    for row, held in enumerate(able[name]):
        items[row, [places[value] for value in held]] = 1.0
    for user, history in zip(users, histories, strict=True):
        counted = Counter(value for row in history for value in sorted(able[name][row]))
        if counted:
            user[places[counted.most_common(1)[0][0]]] = popularity.max(initial=0.0) + 1.0
    return Stated(name, users, items)


def _names(attributes: Sequence[Attributes]) -> set[str]:
    return {name for each in attributes for name, value in each.items() if isinstance(value, str | list)}


def _texts(value: object) -> frozenset[str]:
    match value:
        case str():
            return frozenset([value])
        case list():
            return frozenset(value)
    return frozenset()
