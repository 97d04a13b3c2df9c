"""Ten times as many posts as a service process ingests: the rest is refused, and what it accepted arrives."""

from pathlib import Path

from benchmarks import overload
from tests.toyshop import make_shop

MARK = 40


def test_what_is_beyond_the_mark_is_refused_and_what_was_accepted_is_not_lost(cache: Path, tmp_path: Path) -> None:
    shop = make_shop(tmp_path, cache=cache)
    flags = ["--cache-dir", str(cache)]
    figures = overload.run(
        shop.artifact, shop.dataset, tmp_path, seconds=8, max_backlog=MARK, sample=MARK // 2, flags=flags
    )
    assert (figures.lost, figures.dead, figures.unanswered) == (0, 0, {})
    assert figures.offered == figures.accepted + figures.refused > figures.accepted > 0
    assert 0 < figures.waiting_at_most <= MARK
