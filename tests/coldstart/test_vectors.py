import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from coldstart.vectors import largest

# Few values, so that many are alike.
VALUES = st.sampled_from([-np.inf, -1.0, 0.0, 0.5, 2.0])


@given(st.data(), st.integers(1, 4), st.integers(1, 200))
def test_the_largest_are_those_that_sorting_puts_first(data: st.DataObject, b: int, n: int) -> None:
    scores = data.draw(arrays(np.float32, (b, n), elements=VALUES.map(np.float32)))
    k = data.draw(st.integers(0, n))
    columns = largest(scores, k)
    assert columns.shape == (b, k)
    for row, chosen in zip(scores, columns, strict=True):
        assert len(set(chosen.tolist())) == k
        np.testing.assert_array_equal(np.sort(row[chosen])[::-1], np.sort(row)[::-1][:k])


@pytest.mark.parametrize(("n", "k"), [(9, 1), (1000, 20), (1003, 20), (5000, 100), (40, 39)])
def test_no_place_is_overlooked(n: int, k: int) -> None:
    scores = np.random.default_rng(n).permutation(np.tile(np.arange(n, dtype=np.float32), (3, 1)), axis=1)
    columns = largest(scores, k)
    np.testing.assert_array_equal(np.sort(columns, axis=1), np.sort(np.argsort(-scores, axis=1)[:, :k], axis=1))
