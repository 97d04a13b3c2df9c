"""Events in any number and order, and a consumer that is killed: the state is that of one clean run."""

from pathlib import Path

import pytest

from benchmarks import event_faults, processes


def test_nothing_is_lost_or_counted_twice_and_every_state_is_that_of_a_clean_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_faults, "PER_KILL", 300)
    try:
        figures = event_faults.run(tmp_path, events=2_000, kills=2, seed=1)
    except processes.NotInstalled as missing:
        pytest.skip(str(missing))
    assert figures.deliveries > 2 * figures.events
    assert figures.memory_equal and figures.redis_equal and figures.state_equal
    assert (figures.kills, figures.lost, figures.double) == (2, 0, 0)
