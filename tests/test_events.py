"""A click, through HTTP and through a broker that carries others' clicks, changes the list of whoever clicked."""

from pathlib import Path

import pytest

from benchmarks import events, processes
from tests.toyshop import make_shop


def test_events_change_lists_through_http_and_through_kafka(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "RATE", 200)
    shop = make_shop(tmp_path / "shop", cache=cache)
    try:
        figures = events.run(shop.artifact, tmp_path, probes=10, seconds=3.0, flags=["--cache-dir", str(cache)])
    except processes.NotInstalled as missing:
        pytest.skip(str(missing))
    assert figures.http_probes == 10 and figures.kafka_probes > 0
    assert figures.unapplied == 0
    assert figures.http_p95_ms < 5_000 and figures.kafka_p95_ms < 10_000  # of a machine that may do other things
