"""Messages are read as the body of ``POST /events`` is, and what is wrong is said without any value."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldstart.entities import Event
from coldstart.errors import InvalidInput
from coldstart.reports import read_message

GOOD = {"event_id": "e", "user_id": "secret-u", "item_id": "i", "timestamp": 3.5, "kind": "view"}


def test_one_event_or_a_list() -> None:
    event = Event("e", "secret-u", "i", 3.5, "view")
    assert read_message(json.dumps(GOOD).encode(), now=9.0) == [event]
    assert read_message(json.dumps([GOOD, GOOD]).encode(), now=9.0) == [event, event]
    short = {"event_id": "e", "user_id": "u", "item_id": "i"}
    assert read_message(json.dumps(short).encode(), now=9.0) == [Event("e", "u", "i", 9.0, "click")]


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (None, "not JSON"),
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b'"\xff"', "not JSON"),
        (b"[]", "at least 1 item"),
        (b"7", "the message|0"),
        (json.dumps([GOOD] * 1001).encode(), "at most 1000 items"),
        (json.dumps({**GOOD, "user_id": ""}).encode(), "0.user_id: the id is empty"),
        (json.dumps({**GOOD, "timestamp": -1}).encode(), "0.timestamp: should be Unix seconds"),
        (json.dumps({**GOOD, "timestamp": True}).encode(), "0.timestamp"),
        (json.dumps({**GOOD, "kind": "a\0b"}).encode(), "NUL"),
        (json.dumps([GOOD, {**GOOD, "secret-user": 1}]).encode(), "^1: has an unknown field"),
        (json.dumps({f"x{n}": n for n in range(100_000)}).encode(), "at most"),
    ],
)
def test_what_is_wrong_is_said(raw: bytes | None, said: str) -> None:
    with pytest.raises(InvalidInput, match=said) as caught:
        read_message(raw, now=9.0)
    assert "secret" not in str(caught.value) and len(str(caught.value)) < 300


@given(st.binary(max_size=60) | st.recursive(st.none() | st.integers() | st.text(max_size=5), st.lists).map(
    lambda told: json.dumps(told).encode()))  # fmt: skip
def test_nothing_but_a_sentence_comes_of_nonsense(raw: bytes) -> None:
    with pytest.raises(InvalidInput):
        read_message(raw, now=9.0)
