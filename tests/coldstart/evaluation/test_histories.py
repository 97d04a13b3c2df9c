import numpy as np
from scipy.sparse import csr_matrix

from coldstart.evaluation.histories import draw_histories

CLICKS = csr_matrix(np.array([[1, 1, 1, 1, 0], [0, 0, 0, 0, 0], [0, 0, 0, 1, 1]], np.float32))


def test_histories_are_of_what_was_clicked() -> None:
    all_of_them = draw_histories(CLICKS, None, seed=0)
    assert [sorted(rows.tolist()) for rows in all_of_them] == [[0, 1, 2, 3], [], [3, 4]]
    assert [len(rows) for rows in draw_histories(CLICKS, 3, seed=0)] == [3, 0, 2]


def test_more_clicks_are_the_same_and_some() -> None:
    few, more = draw_histories(CLICKS, 2, seed=5)[0], draw_histories(CLICKS, 3, seed=5)[0]
    assert few.tolist() == more[:2].tolist()


def test_a_seed_decides_which() -> None:
    drawn = {tuple(draw_histories(CLICKS, 2, seed=seed)[0].tolist()) for seed in range(20)}
    assert len(drawn) > 3
