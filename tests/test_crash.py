"""A service process that is killed with SIGKILL while items are posted: all that it accepted is retrievable, once."""

from pathlib import Path

from benchmarks import crash
from tests.toyshop import make_shop

ITEMS = 60


def test_what_was_accepted_outlives_a_kill_in_the_middle_of_posts(cache: Path, tmp_path: Path) -> None:
    shop = make_shop(tmp_path, cache=cache)
    flags = ["--cache-dir", str(cache)]
    figures = crash.run(shop.artifact, shop.dataset, tmp_path, items=ITEMS, kills=1, flags=flags)
    assert figures.unfinished > 0  # the kill came in the middle of the work
    assert figures.accepted == figures.retrievable == ITEMS
    assert (figures.lost, figures.twice) == (0, 0)
