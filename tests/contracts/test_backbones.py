"""What every kind of backbone promises, on data where the right list is obvious."""

from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from coldstart.backbones import FrozenBackbone
from coldstart.backbones.config import ALSConfig, Config, LightGCNConfig, NeuMFConfig
from coldstart.backbones.training import Kind, train_backbone
from coldstart.dataset import Interactions
from coldstart.errors import InvalidInput
from coldstart.evaluation.metrics import rank
from coldstart.ids import IdMap
from tests.coldstart.backbones.communities import ITEMS, USERS, communities

Case = tuple[Kind, Config]
CASES: dict[str, Case] = {
    "als": ("als", ALSConfig(d=4)),
    "lightgcn": ("lightgcn", LightGCNConfig(d=4, epochs=5)),
    "lightgcn-softmax": (
        "lightgcn",
        LightGCNConfig(d=4, epochs=10, loss="sampled_softmax", negatives=16, temperature=0.2, batch=64),
    ),
    "lightgcn-bpr": (
        "lightgcn",
        LightGCNConfig(d=8, epochs=30, start="random", loss="bpr", batch=64, learning_rate=0.03, patience=30),
    ),
    "neumf": ("neumf", NeuMFConfig(d=4, mlp_d=4, hidden=(8,), batch=64, epochs=5)),
}


def train(case: Case, *, seed: int = 0, validated: bool = True) -> FrozenBackbone:
    users, items, events, validation = communities()
    kind, config = case
    return train_backbone(kind, users, items, events, validation if validated else None, config=config, seed=seed)


@pytest.fixture(params=CASES, scope="module")
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


@pytest.fixture(scope="module")
def backbone(case: Case) -> FrozenBackbone:
    return train(case)


def own_share(backbone: FrozenBackbone) -> float:
    """Which part of the two items that a user has yet to meet is on top of the user's list."""
    ranked = rank(backbone.user_vectors, backbone.item_vectors, 2, seen=backbone.clicks)
    users = np.array([int(name.removeprefix("user-")) % 2 for name in backbone.users.ids])
    items = np.array([int(name.removeprefix("item-")) % 2 for name in backbone.items.ids])
    return float((items[ranked] == users[:, None]).mean())


def test_users_get_their_own_communitys_items(backbone: FrozenBackbone) -> None:
    assert own_share(backbone) >= 0.95


def test_it_learns_without_a_validation_part(case: Case) -> None:
    trained = train(case, validated=False)
    assert own_share(trained) >= 0.95
    assert "chosen_on_a_tenth_of_training" in trained.config["training"]


def test_it_keeps_whom_training_has_seen(backbone: FrozenBackbone) -> None:
    _, _, events, _ = communities()
    assert (len(backbone.users), len(backbone.items)) == (USERS, ITEMS)
    assert "nobody" not in backbone.users and "nothing" not in backbone.items
    assert backbone.clicks.nnz == len(events)
    first = backbone.users.row("user-3"), backbone.items.row(f"item-{events.item_rows[events.user_rows == 3][0]}")
    assert backbone.clicks[first] == 1.0


def test_a_seed_gives_the_same_bytes_and_another_seed_others(case: Case, backbone: FrozenBackbone) -> None:
    assert train(case).sha256 == backbone.sha256
    assert train(case, seed=1).sha256 != backbone.sha256


def test_it_survives_the_disk(backbone: FrozenBackbone, tmp_path: Path) -> None:
    backbone.save(tmp_path / "backbone")
    loaded = FrozenBackbone.load(tmp_path / "backbone")
    assert loaded.sha256 == backbone.sha256
    assert (loaded.users.ids, loaded.items.ids, loaded.kind) == (backbone.users.ids, backbone.items.ids, backbone.kind)
    np.testing.assert_array_equal(loaded.user_vectors @ loaded.item_vectors.T,
                                  backbone.user_vectors @ backbone.item_vectors.T)  # fmt: skip


def test_validation_of_strangers_is_ignored(case: Case) -> None:
    users, items, events, _ = communities()
    strangers = Interactions(np.array([USERS, 0]), np.array([0, ITEMS]))
    trained = train_backbone(case[0], users, items, events, strangers, config=case[1])
    assert "chosen_on_a_tenth_of_training" in trained.config["training"]


def test_a_pair_that_is_repeated_is_one_click(case: Case, backbone: FrozenBackbone) -> None:
    users, items, events, validation = communities()
    twice = events.take(np.repeat(np.arange(len(events)), 2))
    trained = train_backbone(case[0], users, items, twice, validation, config=case[1])
    assert (trained.clicks != backbone.clicks).nnz == 0
    if case[0] != "neumf":  # which learns from events, whose ratings and contexts may differ
        assert trained.sha256 == backbone.sha256
    assert own_share(trained) >= 0.95


def test_users_and_items_of_one_click_are_kept(case: Case) -> None:
    """Histories of one item, and an item of one user, beside longer ones; a user without any is not there."""
    users, items, events, validation = communities()
    one = events.take(np.flatnonzero((events.user_rows >= 5) | (np.diff(events.user_rows, prepend=-1) > 0)))
    one = one.take((one.item_rows != 0) | (one.user_rows == one.user_rows[one.item_rows == 0].max()))
    assert (np.bincount(one.user_rows)[:5] <= 1).all() and np.bincount(one.item_rows)[0] == 1
    trained = train_backbone(case[0], users, items, one, validation, config=case[1])
    assert len(trained.users) == len(np.unique(one.user_rows)) and "item-0" in trained.items
    assert own_share(trained) >= 0.9


def test_nothing_to_train_on_is_told(case: Case) -> None:
    nothing = Interactions(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64))
    with pytest.raises(InvalidInput, match="no interactions"):
        train_backbone(case[0], IdMap(["u"]), IdMap(["i"]), nothing, config=case[1])


@pytest.mark.parametrize("kind", get_args(Kind))
def test_a_config_of_another_kind_is_refused(kind: Kind) -> None:
    users, items, events, validation = communities()
    other = NeuMFConfig() if kind == "als" else ALSConfig()
    with pytest.raises(InvalidInput, match="does not configure"):
        train_backbone(kind, users, items, events, validation, config=other)


def test_one_click_is_enough() -> None:
    one = Interactions(np.array([0]), np.array([0]))
    for kind, config in CASES.values():
        trained = train_backbone(kind, IdMap(["u"]), IdMap(["i"]), one, config=config)
        assert trained.user_vectors.shape == (1, trained.dim)
