import numpy as np
from scipy.sparse import csr_matrix

from coldstart.backbones.sampling import Sampler


def test_only_items_that_were_not_met_are_drawn_and_all_of_them() -> None:
    met = np.array([[1, 1, 0, 0, 0], [0, 0, 0, 0, 0], [1, 1, 1, 1, 0]], dtype=np.float32)
    users = np.repeat(np.arange(3), 500)
    drawn = Sampler(csr_matrix(met)).draw(users, np.random.default_rng(0))
    assert (met[users, drawn] == 0).all()
    assert set(drawn[users == 0]) == {2, 3, 4}
    assert set(drawn[users == 1]) == {0, 1, 2, 3, 4}
    assert set(drawn[users == 2]) == {4}


def test_a_user_who_met_everything_ends_the_draw() -> None:
    drawn = Sampler(csr_matrix(np.ones((1, 3), dtype=np.float32))).draw(np.zeros(9, dtype=np.int64),
                                                                       np.random.default_rng(0))  # fmt: skip
    assert ((drawn >= 0) & (drawn < 3)).all()


def test_without_clicks_nothing_was_met() -> None:
    assert not Sampler(csr_matrix((2, 3))).met(np.array([0, 1]), np.array([0, 2])).any()
