"""Cleaning text: any str comes out storable, and the same text cleaned twice is the text cleaned once."""

import time
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coldstart.clean import MAX_MARKS, PHRASE_CHARS, clean_text, compose_text
from coldstart.entities import Attributes

CHARACTERS = st.characters(exclude_categories=[])  # surrogates and unassigned ones included
MARKS = st.sampled_from("\u0301\u0316\u0344\u0345\u0f73\u1d165\u05b0").map(lambda mark: mark * 20)
ANY_TEXT = st.lists(CHARACTERS | MARKS, max_size=80).map("".join)


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("", ""),
        (" \t\r\n ", ""),
        ("plain", "plain"),
        ("a\x00b", "a b"),
        ("a\x1b[31mred", "a [31mred"),
        ("a\x85\u2028\u00a0b", "a b"),
        ("Cafe\u0301", "Café"),
        ("\ud83d", "\ufffd"),
        ("\ud83d\ude00", "\U0001f600"),  # a pair that was sent as two escapes is the character it means
        ("👩\u200d🚀", "👩\u200d🚀"),  # joiners are part of the character
    ],
)
def test_known_cases(raw: str, clean: str) -> None:
    assert clean_text(raw) == clean


@given(ANY_TEXT, st.integers(min_value=0, max_value=40))
@settings(deadline=None)
def test_any_text_comes_out_storable_and_stays_as_it_is(raw: str, limit: int) -> None:
    cleaned = clean_text(raw, limit_chars=limit)
    assert clean_text(cleaned, limit_chars=limit) == cleaned
    assert len(cleaned) <= limit
    assert cleaned.encode("utf-8").decode("utf-8") == cleaned
    assert unicodedata.is_normalized("NFC", cleaned)
    assert not any(unicodedata.category(char) in ("Cc", "Cs") for char in cleaned)
    assert cleaned == cleaned.strip()
    assert "  " not in cleaned


def test_a_very_long_text_is_cut() -> None:
    started = time.process_time()
    assert clean_text("word\x00" * 400_000) == ("word " * 4000).strip()
    assert time.process_time() - started < 5


@pytest.mark.parametrize("marks", ["\u0301\u0316", "\u0316\u0301", "\u0344", "\u0301"])
def test_marks_piled_on_a_letter_are_few_and_cost_little(marks: str) -> None:
    """Sorted all together, as normalising does, a hundred thousand take 20 seconds."""
    started = time.process_time()
    cleaned = clean_text("Z" + marks * 100_000 + " ok", limit_chars=200_000)
    assert time.process_time() - started < 5
    assert cleaned.endswith(" ok") and len(cleaned) <= MAX_MARKS + 4
    assert clean_text(cleaned) == cleaned


def test_marks_that_a_language_needs_stay() -> None:
    for word in ("Việt", "क्षत्रिय", "שָׁלוֹם", "Z" + "\u0316" * MAX_MARKS):
        assert clean_text(word) == unicodedata.normalize("NFC", word)


def test_the_title_comes_first_and_stands_alone_unchanged() -> None:
    assert compose_text("A title", "", {}) == "A title"
    assert compose_text("A title", "Its text", {}) == "A title. Its text"
    assert compose_text("Really?", "Its text", {}) == "Really? Its text"
    assert compose_text("", "Its text", {}) == "Its text"
    assert compose_text("", "", {}) == ""


def test_attributes_are_short_phrases_lists_first_in_the_order_of_their_names() -> None:
    shuffled: Attributes = {
        "year": 1995,
        "in stock": True,
        "genre": ["Crime", "Drama"],
        "note": "",
        "tags": [],
        "cast": ["A", "B"],
    }
    assert (
        compose_text("Heat", "Plot", shuffled)
        == "Heat. cast: A|B. genre: Crime|Drama. in stock: True. year: 1995. Plot"
    )
    long = compose_text("Heat", "Plot", {"review": "word " * 1000})
    assert len(long) < PHRASE_CHARS + 40
    assert long.endswith("Plot")


@given(ANY_TEXT, ANY_TEXT, st.dictionaries(ANY_TEXT, ANY_TEXT | st.floats() | st.lists(ANY_TEXT), max_size=3))
@settings(deadline=None)
def test_composing_never_raises_and_is_clean(
    title: str, text: str, attributes: dict[str, str | float | list[str]]
) -> None:
    composed = compose_text(title, text, attributes)
    assert composed == clean_text(composed)


@pytest.mark.parametrize("raw", ["\u200b", "\u2060\ufeff \u200d", "\u00ad"])
def test_what_nobody_can_see_is_nothing(raw: str) -> None:
    assert clean_text(raw) == ""


def test_joiners_within_a_text_stay() -> None:
    assert clean_text("👩\u200d🚀 suit") == "👩\u200d🚀 suit"
