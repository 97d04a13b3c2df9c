"""One fault after another against a service, workers, PostgreSQL and Redis: nothing lost, stale, back or twice."""

from pathlib import Path

from benchmarks import faults
from tests.toyshop import make_shop


def test_every_promise_is_kept_through_fifty_faults(cache: Path, tmp_path: Path) -> None:
    shop = make_shop(tmp_path / "shop", cache=cache)
    flags = ["--cache-dir", str(cache)]
    figures = faults.run(shop.artifact, tmp_path, items=400, planned=faults.plan(1), seed=0, flags=flags)
    assert figures.faults >= 50
    assert figures.accepted == 400
    assert figures.deleted > 0
    assert figures.by_kind["adapter_swap"] == 1
    assert (figures.lost, figures.stale, figures.resurrected, figures.duplicate_effects) == (0, 0, 0, 0)
    assert figures.rebuilt_index_equal
