from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch

from coldstart.backbones import FrozenBackbone
from coldstart.backbones.config import ALSConfig, NeuMFConfig
from coldstart.backbones.neumf import NeuMF
from coldstart.backbones.ranker import NeuMFRanker
from coldstart.backbones.training import train_backbone
from coldstart.dataset import Interactions
from coldstart.errors import ColdstartError, InvalidInput
from coldstart.ids import IdMap
from tests.coldstart.backbones.communities import communities

N_USERS, N_ITEMS, PLACES = 30, 20, ("home", "work", "gym")
USERS, ITEMS = IdMap(map(str, range(N_USERS))), IdMap(map(str, range(N_ITEMS)))


def rated(seed: int, n: int = 1500) -> Interactions:
    """Ratings 2 + 2 [user likes the kind of item] + [the place is home]."""
    generator = np.random.default_rng(seed)
    users, items = generator.integers(0, N_USERS, n), generator.integers(0, N_ITEMS, n)
    place = generator.choice(PLACES, n)
    rating = 2.0 + 2.0 * (users % 2 == items % 2) + 1.0 * (place == "home")
    return Interactions(users, items, rating=rating.astype(np.float32), context={"place": place})


EXPLICIT = NeuMFConfig(
    d=4, mlp_d=4, hidden=(16, 8), feedback="explicit", context=("place",), batch=128, epochs=60, patience=10,
    learning_rate=0.02,
)  # fmt: skip


@pytest.fixture(scope="module")
def ratings_backbone() -> FrozenBackbone:
    return train_backbone("neumf", USERS, ITEMS, rated(0), rated(1), config=EXPLICIT)


def test_ratings_and_context_are_learned(ratings_backbone: FrozenBackbone) -> None:
    unseen = rated(2)
    ranker = NeuMFRanker.from_backbone(ratings_backbone)
    rows = ratings_backbone.users.rows([str(u) for u in unseen.user_rows])
    columns = ratings_backbone.items.rows([str(i) for i in unseen.item_rows])
    told = ranker.score(rows, columns, {"place": unseen.context["place"]})
    untold = ranker.score(rows, columns)
    assert unseen.rating is not None
    assert np.sqrt(np.square(told - unseen.rating).mean()) < 0.15
    likes = unseen.user_rows % 2 == unseen.item_rows % 2
    assert untold[likes].min() > untold[~likes].max()
    # the place alone moves a rating by one, which nobody can know without being told it
    home = unseen.context["place"] == "home"
    assert (told - untold)[home].mean() - (told - untold)[~home].mean() == pytest.approx(1.0, abs=0.15)


def test_the_ranker_gives_what_the_torch_model_gives(ratings_backbone: FrozenBackbone, tmp_path: Path) -> None:
    ratings_backbone.save(tmp_path / "b")
    backbone = FrozenBackbone.load(tmp_path / "b")
    model = NeuMF(N_USERS, N_ITEMS, d=4, mlp_d=4, hidden=(16, 8), categories=[len(PLACES)], context_d=8)
    t = {name: torch.from_numpy(array.copy()) for name, array in backbone.extra.items()}
    state = {
        "gmf_user.weight": torch.from_numpy(backbone.user_vectors),
        "gmf_item.weight": torch.from_numpy(backbone.item_vectors),
        "mlp_user.weight": t["mlp.user"],
        "mlp_item.weight": t["mlp.item"],
        "context.0.weight": t["context.0"],
        **{name: tensor for name, tensor in t.items() if name.startswith("mlp.") and name.count(".") == 2},
        "fusion.weight": torch.cat([torch.ones(4), t["fusion.mlp"]])[None],  # GMF's own are within the users
        "fusion.bias": t["fusion.bias"],
    }
    model.load_state_dict(state)
    generator = np.random.default_rng(0)
    users, items = generator.integers(0, N_USERS, 50), generator.integers(0, N_ITEMS, 50)
    codes = generator.integers(0, 4, (50, 1))
    with torch.no_grad():
        rows = (torch.from_numpy(a) for a in (users, items[:, None], codes))
        wanted = model(*rows, torch.empty(50, 0)).squeeze(1).numpy()
    places = np.array(["?", *sorted(PLACES)])[codes[:, 0]]
    got = NeuMFRanker.from_backbone(backbone).score(users, items, {"place": places})
    np.testing.assert_allclose(got, wanted, atol=1e-5)
    assert np.ptp(got) > 1.0


@pytest.mark.parametrize("context", [None, {"place": np.resize(PLACES, N_ITEMS)}])
def test_one_user_for_many_items_is_the_same_user_in_each_pair(
    ratings_backbone: FrozenBackbone, context: dict[str, Any] | None
) -> None:
    ranker = NeuMFRanker.from_backbone(ratings_backbone)
    pairs = ranker.perceptron(np.repeat(ranker.users[3:4], N_ITEMS, axis=0), ranker.items, context)
    np.testing.assert_allclose(ranker.perceptron(ranker.users[3:4], ranker.items, context), pairs, atol=1e-5)
    assert np.ptp(pairs) > 0.01


def test_folding_keeps_the_trained_models_output(monkeypatch: pytest.MonkeyPatch) -> None:
    """The model as it was trained, before its fusion weights went into the user vectors."""
    trained: list[NeuMF] = []
    build = NeuMF.__init__

    def remember(self: NeuMF, *args: Any, **kwargs: Any) -> None:
        build(self, *args, **kwargs)
        trained.append(self)

    monkeypatch.setattr(NeuMF, "__init__", remember)
    users, items, train, validation = communities()
    config = NeuMFConfig(d=4, mlp_d=4, hidden=(8,), batch=64, epochs=3, start="random", patience=5)
    backbone = train_backbone("neumf", users, items, train, validation, config=config)
    rows, columns = (a.ravel() for a in np.indices((len(backbone.users), len(backbone.items))))
    with torch.no_grad():
        nothing = torch.empty(len(rows), 0)
        pairs = torch.from_numpy(rows), torch.from_numpy(columns)[:, None]
        wanted = trained[-1](*pairs, nothing.long(), nothing).squeeze(1).numpy()
    got = NeuMFRanker.from_backbone(backbone).score(rows, columns)
    np.testing.assert_allclose(got, wanted, atol=1e-5)
    gmf = trained[-1].fusion.weight[0, :4] * trained[-1].gmf_user.weight @ trained[-1].gmf_item.weight.T
    np.testing.assert_allclose(backbone.user_vectors @ backbone.item_vectors.T, gmf.detach().numpy(), atol=1e-5)


@pytest.mark.parametrize("loss", ["sampled_softmax", "bce"])
def test_clicks_are_learned_from_random_values(loss: Literal["sampled_softmax", "bce"]) -> None:
    users, items, train, validation = communities()
    config = NeuMFConfig(d=8, mlp_d=8, hidden=(16,), batch=64, epochs=40, start="random", loss=loss,
                         learning_rate=0.02, patience=40)  # fmt: skip
    backbone = train_backbone("neumf", users, items, train, validation, config=config)
    rows, columns = np.indices((len(backbone.users), len(backbone.items)))
    logits = NeuMFRanker.from_backbone(backbone).score(rows.ravel(), columns.ravel()).reshape(rows.shape)
    own = np.array([int(u.split("-")[1]) % 2 for u in backbone.users.ids])[:, None] == np.array(
        [int(i.split("-")[1]) % 2 for i in backbone.items.ids]
    )
    unseen = backbone.clicks.toarray() == 0
    assert logits[own & unseen].mean() > logits[~own].mean() + 1


def test_the_rate_fits_the_start_unless_it_is_given() -> None:
    users, items, train, validation = communities()

    def used(**changes: Any) -> float:
        config = NeuMFConfig(d=4, mlp_d=4, hidden=(8,), epochs=0, **changes)
        backbone = train_backbone("neumf", users, items, train, validation, config=config)
        return float(backbone.config["learning_rate"])

    assert used() < used(start="random")
    assert used(learning_rate=0.02) == 0.02


def test_ratings_are_needed_for_explicit_feedback_in_both_parts() -> None:
    none = np.full(1500, np.nan, dtype=np.float32)
    for part, events in (
        ("training", (replace(rated(0), rating=None), rated(1))),
        ("training", (replace(rated(0), rating=none), rated(1))),
        ("held-out", (rated(0), replace(rated(1), rating=none))),
    ):
        with pytest.raises(InvalidInput, match=f"the {part} interactions have none"):
            train_backbone("neumf", USERS, ITEMS, *events, config=EXPLICIT)


def test_a_training_that_diverges_stops_with_step_and_loss() -> None:
    users, items, train, validation = communities()
    config = NeuMFConfig(d=4, mlp_d=4, hidden=(8,), batch=64, learning_rate=1e30)
    with pytest.raises(ColdstartError, match="NeuMF: the loss is nan at epoch 1, step 2"):
        train_backbone("neumf", users, items, train, validation, config=config)
    astray = rated(0)
    assert astray.rating is not None
    astray.rating[3] = 3e38
    with pytest.raises(ColdstartError, match=r"NeuMF: the loss is inf at epoch 1, step \d+\. .*check the ratings"):
        train_backbone("neumf", USERS, ITEMS, astray, rated(1), config=EXPLICIT)


def test_only_a_neumf_can_rank() -> None:
    users, items, train, validation = communities()
    backbone = train_backbone("als", users, items, train, validation, config=ALSConfig(d=2))
    with pytest.raises(InvalidInput, match="no towers"):
        NeuMFRanker.from_backbone(backbone)
