import numpy as np

from adapters.studies.stated import popular_by_attribute
from coldstart.entities import Attributes

ITEMS: tuple[Attributes, ...] = (
    {"kind": "tea", "price": 3.0, "name": "assam"},
    {"kind": "tea", "name": "darjeeling"},
    {"kind": ["coffee", "sweet"], "name": "mocha"},
    {"name": "water"},
)
POPULARITY = np.array([1, 2, 9, 20], np.float32)


def test_what_is_popular_of_the_stated_kind_comes_first_and_then_the_rest() -> None:
    attributes: list[Attributes] = [*ITEMS, *({"name": f"other-{n}"} for n in range(60))]
    popularity = np.append(POPULARITY, np.zeros(60, np.float32))
    stated = popular_by_attribute(attributes, popularity, [np.array([0, 1, 2]), np.array([2]), np.array([3])])
    assert stated is not None and stated.attribute == "kind"
    ranked = np.argsort(-(stated.users @ stated.items.T), axis=1, kind="stable")[:, :4]
    assert ranked[0].tolist() == [1, 0, 3, 2]
    assert ranked[1].tolist() == [2, 3, 1, 0]
    assert ranked[2].tolist() == [3, 2, 1, 0]


def test_without_an_attribute_to_choose_from_nothing_is_stated() -> None:
    assert popular_by_attribute([{"price": 2.0}, {"kind": "tea"}], POPULARITY[:2], [np.array([0])]) is None
