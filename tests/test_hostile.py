"""Hostile input against a real service, fewer of each kind: nothing is an error of ours, and nobody else is harmed."""

from pathlib import Path

from benchmarks import ttr
from benchmarks.hostile import __main__ as hostile


def test_hostile_input_harms_nobody(tmp_path: Path) -> None:
    ttr.build(tmp_path, hostile.CATALOGUE)
    figures, errors = hostile.run(tmp_path, mutated=20, texts_=1000, kills=3, clients=40)
    assert errors == []
    assert (figures.server_errors, figures.stuck, figures.harmed) == (0, 0, 0)
    assert (figures.canary_hits, figures.broken_saves) == (0, 0)
    assert (figures.pictures, figures.urls) == (200, 120)
    assert figures.crowd_refused > 0 and figures.crowd_peak_mb < 300  # 40 bodies are 480 MB
    assert figures.rss_growth_mb < 150  # also what any service takes up in its first minute
