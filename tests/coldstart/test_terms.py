import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from coldstart.entities import Attributes
from coldstart.terms import BUCKETS, count_terms


def shared(one: Attributes, other: Attributes) -> int:
    counts = count_terms([one, other])
    return int(counts[0].multiply(counts[1]).sum())


def test_lists_and_separators_are_several_terms_whatever_their_case() -> None:
    assert shared({"genre": ["Drama", "Crime"]}, {"genre": "crime; War"}) == 1
    assert shared({"genre": "Drama|Crime"}, {"Genre": "crime, drama"}) == 2


def test_a_value_counts_in_its_own_column() -> None:
    assert shared({"director": "Ida Lupino"}, {"cast": "Ida Lupino"}) == 0


def test_numbers_share_their_magnitude() -> None:
    assert shared({"price": 19.99}, {"price": 19.99}) == 2
    assert shared({"price": 19.99}, {"price": 20.5}) == 1
    assert shared({"price": 19.99}, {"price": 49.0}) == shared({"gain": 5}, {"gain": -5}) == 0


def test_sentences_and_nothing_are_no_terms() -> None:
    assert count_terms([{"review": "a long sentence " * 10, "genre": " , ", "rating": float("nan")}]).nnz == 0


@given(st.lists(st.dictionaries(st.text(), st.text() | st.floats() | st.integers() | st.booleans()), max_size=3))
def test_whatever_is_declared_has_terms(attributes: list[Attributes]) -> None:
    counts = count_terms(attributes)
    assert counts.shape == (len(attributes), BUCKETS)
    assert set(np.unique(counts.data)) <= {1.0}


def test_long_numbers_and_other_spellings() -> None:
    assert shared({"seller": 10_000_001}, {"seller": 10_000_999}) == 1
    assert shared({"place": "Caf\u00e9"}, {"place": "Cafe\u0301"}) == 1
    assert shared({"new": True}, {"new": "true"}) == 1
