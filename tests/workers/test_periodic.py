import time
from collections.abc import Callable
from itertools import pairwise

from tests.workers.toy import wait_until
from workers.periodic import Periodic


def test_it_comes_round_again_also_after_an_error_and_says_when_to_stop() -> None:
    looks: list[Callable[[], bool]] = []

    def work(stopping: Callable[[], bool]) -> None:
        looks.append(stopping)
        if len(looks) == 2:
            raise RuntimeError("the index is away")

    periodic = Periodic("look", work, every_s=0.01)
    periodic.start()
    wait_until(lambda: len(looks) >= 3)
    periodic.stop()
    assert all(stopping() for stopping in looks)


def test_it_rests_in_proportion_to_what_its_work_took() -> None:
    begun: list[float] = []

    def work(_: Callable[[], bool]) -> None:
        begun.append(time.perf_counter())
        time.sleep(0.05)

    periodic = Periodic("look", work, every_s=0.001, rest=3)
    periodic.start()
    wait_until(lambda: len(begun) >= 3)
    periodic.stop()
    assert all(later - earlier > 0.19 for earlier, later in pairwise(begun))
