"""PostgreSQL and Redis away, late, cut or silent: recommendations go on, and say that they are degraded."""

from pathlib import Path

from benchmarks import outages
from tests.toyshop import make_shop


def test_lists_are_answered_whatever_becomes_of_database_and_broker(cache: Path, tmp_path: Path) -> None:
    shop = make_shop(tmp_path / "shop", cache=cache)
    conditions = outages.run(shop.artifact, tmp_path, seconds=3.0, deadline_s=8.0, flags=["--cache-dir", str(cache)])
    for name, figures in conditions.items():
        assert figures.answered == 1.0, (name, figures)
    assert conditions["healthy"].degraded == 0.0
    assert conditions["broker_down"].degraded == conditions["broker_silent"].degraded == 0.0
    for name in ("database_down", "database_slow", "database_silent"):
        assert conditions[name].degraded == 1.0, (name, conditions[name])
