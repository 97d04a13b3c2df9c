"""A dependency that hangs takes its threads and nothing else."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from coldstart.bulkhead import Bulkhead
from coldstart.errors import NotFound, Unavailable


def elapsed(call: Callable[[], object]) -> float:
    begin = time.monotonic()
    with pytest.raises(Unavailable, match="database: no answer"):
        call()
    return time.monotonic() - begin


def test_answers_and_errors_come_through() -> None:
    bulkhead = Bulkhead("database", threads=2, deadline_s=10)
    assert bulkhead.call(max, 1, 2) == 2
    with pytest.raises(NotFound):
        bulkhead.call(_raise, NotFound("gone"))
    assert bulkhead.call(max, 3, 4) == 4


def test_a_call_that_hangs_is_given_up_and_once_all_hang_nobody_waits() -> None:
    bulkhead, released = Bulkhead("database", threads=2, deadline_s=0.2), threading.Event()
    try:
        for _ in range(2):
            assert elapsed(lambda: bulkhead.call(released.wait)) >= 0.2
        assert elapsed(lambda: bulkhead.call(max, 1, 2)) < 0.2
    finally:
        released.set()
    deadline = time.monotonic() + 10
    while True:
        try:
            assert bulkhead.call(max, 1, 2) == 2
            break
        except Unavailable:
            assert time.monotonic() < deadline


def test_whoever_has_an_answer_finds_the_thread_free_again() -> None:
    bulkhead = Bulkhead("database", threads=1, deadline_s=10)
    assert [bulkhead.call(max, n, 0) for n in range(5000)] == list(range(5000))


def test_as_many_calls_as_threads_run_at_once() -> None:
    bulkhead, together = Bulkhead("database", threads=3, deadline_s=10), threading.Barrier(3)
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda _: bulkhead.call(together.wait, 10), range(3)))


def _raise(error: Exception) -> None:
    raise error
