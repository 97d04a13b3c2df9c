import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldstart.errors import InvalidInput, NotFound
from coldstart.ids import MAX_ID_CHARACTERS, IdMap, check_id, point_id

ids = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=40).filter(
    lambda text: bool(text.strip())
)


@given(st.lists(ids, unique=True))
def test_row_and_id_are_inverse(names: list[str]) -> None:
    known = IdMap(names)
    assert known.rows(names).tolist() == list(range(len(names)))
    assert [known.ids[known.row(name)] for name in names] == names


def test_unknown_ids_are_minus_one_in_bulk_and_an_error_one_by_one() -> None:
    known = IdMap(["a", "b"])
    assert known.rows(["b", "?", "a"]).tolist() == [1, -1, 0]
    assert known.rows([]).dtype.name == "int64"
    with pytest.raises(NotFound, match=r"\?: the id is unknown"):
        known.row("?")


def test_an_id_that_occurs_twice_is_named() -> None:
    with pytest.raises(InvalidInput, match="b: the id occurs twice"):
        IdMap(["a", "b", "c", "b"])


@given(ids)
def test_any_text_is_an_id_and_stays_as_it_is(name: str) -> None:
    assert check_id(name) is name


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ("", "empty"),
        (" \t", "empty"),
        ("x" * (MAX_ID_CHARACTERS + 1), "257 characters"),
        ("a\0b", "NUL"),
        ("a\ud800", "surrogate"),
    ],
)
def test_what_no_store_could_hold_is_refused(bad: str, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        check_id(bad, kind="item_id")


def test_point_ids_are_stable_and_differ_where_ids_look_alike() -> None:
    assert point_id("sku-123") == point_id("sku-123")
    assert uuid.UUID(point_id("sku-123")).version == 5
    twins = ["\u00e9", "e\u0301", "A", "a", "a ", "../a", "🪴", "1", "1.0"]
    assert len({point_id(name) for name in twins}) == len(twins)
