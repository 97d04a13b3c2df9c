"""What a user's events still say of them."""

import pytest

from coldstart.entities import Event
from coldstart.users.weighing import LEAST, weigh

DAY = 86_400.0
NOW = 100 * DAY


def event(item_id: str, days_ago: float, kind: str = "click") -> Event:
    return Event(f"{item_id}-{days_ago}-{kind}", "u", item_id, NOW - days_ago * DAY, kind)


def weights(*events: Event, most: int = 50) -> dict[str, float]:
    return dict(weigh(events, now=NOW, half_life_s=14 * DAY, most=most))


def test_half_the_weight_after_each_half_life_times_that_of_the_kind() -> None:
    found = weights(event("a", 0), event("b", 14), event("c", 28, "purchase"), event("d", 7, "view"))
    assert found == pytest.approx({"a": 1.0, "b": 0.5, "c": 1.0, "d": 0.5 * 2**-0.5})


def test_the_strongest_of_an_items_events_counts() -> None:
    assert weights(event("a", 0, "view"), event("a", 14, "purchase"), event("a", 28)) == {"a": 2.0}


def test_the_order_decides_whether_a_dislike_takes_back() -> None:
    liked, disliked = event("a", 1, "like"), event("a", 2, "dislike")
    assert weights(liked, disliked).keys() == {"a"}
    assert weights(event("a", 0, "dislike"), liked, event("b", 3)).keys() == {"b"}


def test_what_moves_nobody_takes_no_place_among_the_latest() -> None:
    shown = [event(f"i{n}", n / 100, "impression") for n in range(9)]
    others = [event("met", 0, "a kind of one's own")]
    clicks = [event(item, 1 + n) for n, item in enumerate("abc")]
    assert list(weights(*shown, *others, *clicks, most=2)) == ["a", "b"]


def test_what_is_very_old_says_something_and_what_is_ahead_no_more_than_now() -> None:
    assert weights(event("old", 99_000), event("ahead", -5)) == {"old": LEAST, "ahead": 1.0}
