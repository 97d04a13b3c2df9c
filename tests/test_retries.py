"""Every request sent three times at once to a service process: each takes effect once."""

from pathlib import Path

from benchmarks import retries
from tests.toyshop import make_shop


def test_three_copies_of_each_request_have_one_effect_and_one_answer(cache: Path, tmp_path: Path) -> None:
    shop = make_shop(tmp_path, cache=cache)
    figures = retries.run(shop.artifact, tmp_path, requests=60, flags=["--cache-dir", str(cache)])
    assert (figures.wrong, figures.differing) == (0, 0)
    assert figures.effects == figures.expected == 65  # 49 puts, 5 batches of two, 6 deletes
    assert figures.sent == 3 * 60 + figures.in_flight
