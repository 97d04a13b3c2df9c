import numpy as np
import pytest

from adapters.drift import drift


def test_more_of_the_same_is_no_drift_however_few() -> None:
    rng = np.random.default_rng(0)
    trained = rng.normal(size=(4000, 32)).astype(np.float32)
    few = np.array([drift(trained, rng.normal(size=(20, 32)).astype(np.float32)) for _ in range(50)])
    assert np.mean(few**2) < 0.01
    assert drift(trained, rng.normal(size=(4000, 32)).astype(np.float32)) < 0.05


@pytest.mark.parametrize("shift", [0.5, 1.0, 2.0])
def test_a_shift_is_told_in_spreads(shift: float) -> None:
    rng = np.random.default_rng(0)
    trained = rng.normal(size=(4000, 16)).astype(np.float32)
    moved = rng.normal(size=(400, 16)).astype(np.float32) + np.float32(shift)
    assert drift(trained, moved) == pytest.approx(shift, abs=0.05)


def test_nothing_to_compare_is_no_drift() -> None:
    some, none = np.ones((3, 2), dtype=np.float32), np.empty((0, 2), dtype=np.float32)
    assert drift(some, none) == drift(none, some) == drift(some, some + 1) == 0.0
