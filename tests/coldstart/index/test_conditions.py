from typing import Any

import pytest

from coldstart.errors import InvalidInput
from coldstart.index.conditions import Bounds, Condition, flags, json_path, read_filter


def test_no_filter_has_no_conditions() -> None:
    assert read_filter(None) == []
    assert read_filter({}) == []


def test_a_number_is_the_bounds_that_hold_it_alone() -> None:
    assert read_filter({"price": [2, "x", True]}) == [Condition("price", (Bounds(gte=2.0, lte=2.0), "x", True))]


@pytest.mark.parametrize(
    ("matches", "kind"),
    [(("a",), "keyword"), ((Bounds(gt=1.0),), "float"), (("a", Bounds(gt=1.0)), "float"), ((True,), None), ((), None)],
)
def test_the_payload_index_that_helps(matches: tuple[Any, ...], kind: str | None) -> None:
    assert Condition("path", matches).index_kind == kind


@pytest.mark.parametrize(
    ("path", "spelt"),
    [
        ("cold", "cold"),
        ("attributes.genre", "attributes.genre"),
        ("attributes.running time", 'attributes."running time"'),
        ("größe", '"größe"'),
        ("a-b.c[0]", '"a-b"."c[0]"'),
        ("2nd", '"2nd"'),
    ],
)
def test_json_path(path: str, spelt: str) -> None:
    assert json_path(path) == spelt


def test_the_refusal_names_the_path() -> None:
    with pytest.raises(InvalidInput, match=r"attributes.price: the range has no bound or an unknown one"):
        read_filter({"attributes.price": {"above": 3.0}})  # type: ignore[dict-item]


def test_flags_find_booleans_at_every_depth() -> None:
    payload = {"cold": True, "attributes": {"a": {"b": False}, "many": [True, "x", False], "one": 1}}
    assert list(flags(payload)) == [
        "cold=true",
        "attributes.a.b=false",
        "attributes.many=true",
        "attributes.many=false",
    ]
