"""A step that takes longer than its lease is told by another thread, and only as long as it takes."""

import pytest

from coldstart.errors import Unavailable
from workers.steps import Steps


def test_a_step_may_take_its_lease_and_no_longer() -> None:
    now = 100.0
    steps = Steps(lease_s=2.0, clock=lambda: now)
    steps.require_progress()

    def step() -> int:
        nonlocal now
        steps.require_progress()
        now += 2.0
        steps.require_progress()
        now += 1.0
        with pytest.raises(Unavailable, match=r"hangs: one step takes 3 s, longer than lease_seconds \(2\).*Restart"):
            steps.require_progress()
        return 7

    assert steps.take(step) == 7
    steps.require_progress()


def test_a_step_that_raises_is_over() -> None:
    now = 0.0
    steps = Steps(lease_s=2.0, clock=lambda: now)
    with pytest.raises(ZeroDivisionError):
        steps.take(lambda: 1 // 0)
    now = 9.0
    steps.require_progress()
