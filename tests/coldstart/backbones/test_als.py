import sys

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from coldstart.backbones.als import als_factors
from coldstart.backbones.als_tuning import fit_als
from coldstart.backbones.config import ALSConfig
from coldstart.backbones.validation import ranking_score
from coldstart.errors import MissingExtra


def noisy_communities(seed: int) -> tuple[csr_matrix, csr_matrix]:
    """Training and validation clicks of four communities, one click in ten being on any item."""
    generator = np.random.default_rng(seed)
    users = np.repeat(np.arange(200), 20)
    items = users % 4 + 4 * generator.integers(0, 25, users.size)
    astray = generator.random(users.size) < 0.1
    items[astray] = generator.integers(0, 100, astray.sum())
    clicks = np.zeros((200, 100), dtype=np.float32)
    clicks[users, items] = 1
    held_out = generator.random(clicks.shape) < 0.2
    return csr_matrix(clicks * ~held_out), csr_matrix(clicks * held_out)


def test_factors_solve_their_normal_equations() -> None:
    """Each user is the ridge solution for the items: (V'CV + reg I) u = V'C p, with C = 1 + (alpha - 1) click."""
    clicks, _ = noisy_communities(0)
    u, v = als_factors(clicks, d=5, alpha=10.0, regularisation=2.0, iterations=60, seed=0)
    dense = clicks.toarray()
    for row in range(0, 200, 20):
        weights = np.where(dense[row] > 0, 10.0, 1.0)
        left = v.T @ (weights[:, None] * v) + 2.0 * np.eye(5)
        np.testing.assert_allclose(u[row], np.linalg.solve(left, v.T @ (weights * dense[row])), atol=2e-3)


def test_weights_are_found_on_validation() -> None:
    train, validation = noisy_communities(0)

    def score(config: ALSConfig) -> float:
        u, v, _ = fit_als(train, validation, config, seed=0)
        return ranking_score(u, v, train, validation)

    d = 30  # far more than four communities need, so that the regularisation decides
    u, v, _ = fit_als(train, None, ALSConfig(d=d), seed=0)
    unchosen = ranking_score(u, v, train, validation)
    assert score(ALSConfig(d=d)) >= unchosen
    assert score(ALSConfig(d=d)) > 1.1 * score(ALSConfig(d=d, alpha=100.0, regularisation=1e-3))


def test_given_weights_are_kept() -> None:
    train, validation = noisy_communities(0)
    assert fit_als(train, validation, ALSConfig(d=4, alpha=7.0, regularisation=3.0), seed=0)[2] == ALSConfig(
        d=4, alpha=7.0, regularisation=3.0
    )
    found = fit_als(train, validation, ALSConfig(d=4, alpha=7.0), seed=0)[2]
    assert found.alpha == 7.0 and found.regularisation is not None
    found = fit_als(train, validation, ALSConfig(d=4, regularisation=3.0), seed=0)[2]
    assert found.regularisation == 3.0 and found.alpha is not None


def test_the_search_shows_itself_when_it_is_asked_to(capsys: pytest.CaptureFixture[str]) -> None:
    train, validation = noisy_communities(0)
    fit_als(train, validation, ALSConfig(d=4), seed=0)
    assert capsys.readouterr().err == ""
    fit_als(train, validation, ALSConfig(d=4), seed=0, progress=True)
    assert "choosing its weights" in capsys.readouterr().err


def test_without_the_library_the_remedy_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "implicit.cpu.als", None)
    with pytest.raises(MissingExtra, match=r"coldstart-service\[train\]"):
        als_factors(csr_matrix(np.eye(2, dtype=np.float32)), 2, 1.0, 1.0, 1, 0)
