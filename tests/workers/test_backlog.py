"""The mark: how many posted items may wait, what is refused beyond, and what those who are refused are told."""

from collections.abc import Callable

import pytest

from coldstart.errors import InvalidInput, Overloaded
from workers.backlog import MAX_RETRY_AFTER_S, Backlog


class Database:
    """What a count would find, and a clock."""

    def __init__(self) -> None:
        self.waiting, self.now = 0, 0.0
        self.meanwhile: Callable[[], object] = lambda: None

    def count(self) -> int:
        found = self.waiting
        self.meanwhile()
        return found

    def backlog(self, mark: int = 100) -> Backlog:
        return Backlog(self.count, mark=mark, clock=lambda: self.now)

    def look(self, backlog: Backlog, waiting: int, *, after_s: float = 1.0) -> None:
        self.waiting, self.now = waiting, self.now + after_s
        assert backlog.look() == waiting


def let_in(backlog: Backlog, items: int) -> None:
    with backlog.room_for(items):
        pass


def refusal(backlog: Backlog, items: int = 1) -> Overloaded:
    with pytest.raises(Overloaded, match="wait") as refused, backlog.room_for(items):
        raise AssertionError("it was let in")
    return refused.value


def test_as_many_as_the_mark_are_let_in_and_not_one_more() -> None:
    backlog = Database().backlog(mark=3)
    for _ in range(3):
        let_in(backlog, 1)
    refusal(backlog)


def test_a_batch_that_would_pass_the_mark_is_refused_whole() -> None:
    backlog = Database().backlog(mark=10)
    let_in(backlog, 8)
    refusal(backlog, 3)
    let_in(backlog, 2)


def test_a_batch_that_can_never_be_let_in_is_another_matter() -> None:
    with pytest.raises(InvalidInput, match="Send fewer"), Database().backlog(mark=10).room_for(11):
        raise AssertionError("it was let in")


def test_a_look_takes_the_place_of_what_was_let_in_before() -> None:
    database = Database()
    backlog = database.backlog(mark=10)
    let_in(backlog, 10)
    database.look(backlog, waiting=4)
    let_in(backlog, 6)
    refusal(backlog)


def test_what_others_let_in_is_known_from_the_next_look_on() -> None:
    database = Database()
    backlog = database.backlog(mark=10)
    database.look(backlog, waiting=10)
    refusal(backlog)


def test_what_is_not_committed_yet_counts() -> None:
    backlog = Database().backlog(mark=5)
    with backlog.room_for(5):
        refusal(backlog)


@pytest.mark.parametrize("ends", ["during", "after"])
def test_what_is_committed_around_a_look_is_never_forgotten(ends: str) -> None:
    """The count may or may not have seen it: it is taken to have not."""
    database = Database()
    backlog = database.backlog(mark=5)
    block = backlog.room_for(5)
    block.__enter__()
    if ends == "during":
        database.meanwhile = lambda: block.__exit__(None, None, None)
    database.look(backlog, waiting=0)
    if ends == "after":
        block.__exit__(None, None, None)
    refusal(backlog)
    database.meanwhile = lambda: None
    database.look(backlog, waiting=0)
    let_in(backlog, 5)


def test_an_error_on_the_way_gives_the_room_back_at_the_next_look() -> None:
    database = Database()
    backlog = database.backlog(mark=5)
    with pytest.raises(ZeroDivisionError), backlog.room_for(5):
        raise ZeroDivisionError
    database.look(backlog, waiting=0)
    let_in(backlog, 5)


class TestRetryAfter:
    def test_it_is_the_time_until_a_tenth_of_the_mark_is_free(self) -> None:
        database = Database()
        backlog = database.backlog(mark=100)
        let_in(backlog, 100)
        database.look(backlog, waiting=100)
        for waiting in (95, 90):  # five a second
            database.look(backlog, waiting=waiting)
        let_in(backlog, 10)
        assert refusal(backlog, 10).retry_after_s == 4  # 10 over, and 10 more, at 5 a second

    def test_what_was_let_in_meanwhile_was_ingested_too(self) -> None:
        database = Database()
        backlog = database.backlog(mark=100)
        database.look(backlog, waiting=90)
        let_in(backlog, 10)
        database.look(backlog, waiting=90)  # ten came, ten went
        let_in(backlog, 10)
        assert refusal(backlog).retry_after_s == 2  # 11 at 10 a second

    def test_it_is_bounded_on_both_sides(self) -> None:
        database = Database()
        slow, fast = database.backlog(mark=10), database.backlog(mark=10)
        let_in(slow, 10)
        assert refusal(slow).retry_after_s == MAX_RETRY_AFTER_S  # nothing is known of the rate
        database.look(fast, waiting=10_000)
        database.look(fast, waiting=10)
        assert refusal(fast).retry_after_s == 1

    def test_a_quiet_hour_says_nothing_about_the_rate(self) -> None:
        database = Database()
        backlog = database.backlog(mark=100)
        database.look(backlog, waiting=100)
        database.look(backlog, waiting=50)
        let_in(backlog, 1)
        database.look(backlog, waiting=0, after_s=3600)
        let_in(backlog, 100)
        assert refusal(backlog).retry_after_s == 1  # 11 at 50 a second
