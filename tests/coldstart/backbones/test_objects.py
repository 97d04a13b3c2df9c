"""Models of other libraries: implicit's own; of LightFM and RecBole stand-ins with what their documents promise."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from implicit.cpu.als import AlternatingLeastSquares
from implicit.cpu.bpr import BayesianPersonalizedRanking
from scipy.sparse import coo_matrix, csr_matrix
from torch import Tensor, nn

from coldstart.backbones import FrozenBackbone
from coldstart.backbones.external import import_backbone
from coldstart.backbones.objects import from_implicit, from_lightfm, from_recbole
from coldstart.errors import InvalidInput
from coldstart.vectors import Matrix

USERS, ITEMS = [f"u{n}" for n in range(12)], [f"i{n}" for n in range(15)]
CLICKS = csr_matrix((np.random.default_rng(0).random((12, 15)) < 0.4).astype(np.float32))


def scores(backbone: FrozenBackbone) -> Matrix:
    return backbone.user_vectors @ backbone.item_vectors.T


# implicit ---------------------------------------------------------------------------------------------------------


def als(clicks: csr_matrix = CLICKS) -> AlternatingLeastSquares:
    model = AlternatingLeastSquares(factors=4, iterations=3, num_threads=1, random_state=0)
    model.fit(clicks, show_progress=False)
    return model


@pytest.mark.filterwarnings("ignore:OpenBLAS is configured:RuntimeWarning")
@pytest.mark.parametrize("kind", ["als", "bpr"])
def test_implicit_gives_the_scores_that_it_recommends_by(kind: str) -> None:
    model = als() if kind == "als" else BayesianPersonalizedRanking(factors=4, num_threads=1, random_state=0)
    if kind == "bpr":
        model.fit(CLICKS, show_progress=False)
    backbone = from_implicit(model, USERS, ITEMS, CLICKS)
    assert (backbone.users.ids, backbone.items.ids) == (tuple(USERS), tuple(ITEMS))
    assert (backbone.clicks != CLICKS).nnz == 0
    for user in range(len(USERS)):
        rows, theirs = model.recommend(user, CLICKS[user], N=15, filter_already_liked_items=False)
        np.testing.assert_allclose(scores(backbone)[user, rows], theirs, rtol=1e-5, atol=1e-6)


def test_what_implicit_has_not_seen_is_left_to_the_adapter() -> None:
    seen = CLICKS.toarray()
    seen[3], seen[:, 7] = 0, 0
    backbone = from_implicit(als(csr_matrix(seen)), USERS, ITEMS, csr_matrix(seen))
    assert "u3" not in backbone.users and "i7" not in backbone.items
    assert backbone.clicks.shape == (11, 14) and backbone.clicks.nnz == seen.sum()


def test_interactions_may_be_a_table_or_missing() -> None:
    users, items = CLICKS.nonzero()
    table = pl.DataFrame({"user_id": [USERS[u] for u in users], "item_id": [ITEMS[i] for i in items]})
    model = als()
    by_table, without = from_implicit(model, USERS, ITEMS, table), from_implicit(model, USERS, ITEMS)
    assert by_table.sha256 == from_implicit(model, USERS, ITEMS, CLICKS).sha256
    assert without.clicks.nnz == 0 and len(without.items) == len(ITEMS)


def test_a_file_that_implicit_saved_gives_the_same(tmp_path: Path) -> None:
    model = als()
    model.save(str(tmp_path / "als.npz"))
    (tmp_path / "users.txt").write_text("\n".join(USERS))
    (tmp_path / "items.txt").write_text("\n".join(ITEMS))
    file = tmp_path / "als.npz"
    backbone = import_backbone(file, file, user_ids=tmp_path / "users.txt", item_ids=tmp_path / "items.txt")
    assert backbone.sha256 == from_implicit(model, USERS, ITEMS).sha256
    with pytest.raises(InvalidInput, match=r"als\.npz: the vectors come without ids.*a text file with an id a line"):
        import_backbone(file, file)
    with pytest.raises(InvalidInput, match=r"als\.npz: there are 12 ids for 15 vectors"):
        import_backbone(file, file, user_ids=tmp_path / "users.txt", item_ids=tmp_path / "users.txt")


def test_ids_are_numbers_texts_or_a_map_to_rows() -> None:
    model = als()
    numbered = from_implicit(model, np.arange(12), {item: row for row, item in reversed(list(enumerate(ITEMS)))})
    assert numbered.users.ids == tuple(str(n) for n in range(12)) and numbered.items.ids == tuple(ITEMS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((als, USERS[:-1], ITEMS), r"AlternatingLeastSquares\.user_factors: there are 11 ids for 12 vectors"),
        ((als, USERS, [*ITEMS[:-1], "i0"]), r"item_factors: the id 'i0' occurs twice"),
        ((als, USERS, [*ITEMS[:-1], 1.5]), r"items: 1\.5 in row 15 is a float and no id"),
        ((als, dict(enumerate(USERS)), ITEMS), "users: the rows of the 12 users are not 0 to 11"),
        ((als, USERS, ITEMS, csr_matrix(CLICKS.T)), r"interactions have the shape \(15, 12\), the model has 12 users"),
        ((als, USERS, ITEMS, csr_matrix((12, 15))), "no user or no item has both a vector and an interaction"),
        ((AlternatingLeastSquares, USERS, ITEMS), "AlternatingLeastSquares: the model is not trained"),
        ((object, USERS, ITEMS), "object: the model has no user_factors"),
    ],
)
def test_what_does_not_fit_is_said(arguments: tuple[Callable[[], Any], Any, Any], message: str) -> None:
    make, *rest = arguments
    with pytest.raises(InvalidInput, match=message):
        from_implicit(make(), *rest)


def test_a_factor_that_is_nan_is_named_by_its_id() -> None:
    model = als()
    model.item_factors[4, 2] = np.nan
    with pytest.raises(InvalidInput, match=r"item_factors: the vector of 'i4' in row 5 is not finite"):
        from_implicit(model, USERS, ITEMS)


# LightFM ----------------------------------------------------------------------------------------------------------


class LightFM:
    """Of lightfm.LightFM what is documented: representations are features times embeddings, predict sums all terms."""

    def __init__(self, user_features: int, item_features: int, *, d: int = 3) -> None:
        rng = np.random.default_rng(1)

        def drawn(*shape: int) -> Matrix:
            return rng.normal(size=shape).astype(np.float32)

        self.user_embeddings, self.user_biases = drawn(user_features, d), drawn(user_features)
        self.item_embeddings, self.item_biases = drawn(item_features, d), drawn(item_features)

    def get_user_representations(self, features: csr_matrix | None = None) -> tuple[Matrix, Matrix]:
        if features is None:
            return self.user_biases, self.user_embeddings
        return features @ self.user_biases, features @ self.user_embeddings

    def get_item_representations(self, features: csr_matrix | None = None) -> tuple[Matrix, Matrix]:
        if features is None:
            return self.item_biases, self.item_embeddings
        return features @ self.item_biases, features @ self.item_embeddings

    def predict_all(self, item_features: csr_matrix | None = None) -> Matrix:
        (b_u, e_u), (b_i, e_i) = self.get_user_representations(), self.get_item_representations(item_features)
        return e_u @ e_i.T + b_u[:, None] + b_i[None, :]


def test_lightfms_biases_become_two_more_numbers() -> None:
    model, mapping = LightFM(12, 15), {external: row for row, external in enumerate(USERS)}
    backbone = from_lightfm(model, mapping, ITEMS, coo_matrix(CLICKS))
    assert backbone.dim == 5 and backbone.users.ids == tuple(USERS)
    np.testing.assert_allclose(scores(backbone), model.predict_all(), atol=1e-5)


def test_lightfms_features_are_applied_and_missed() -> None:
    model, features = LightFM(12, 4), csr_matrix(np.random.default_rng(2).random((15, 4)))
    backbone = from_lightfm(model, USERS, ITEMS, item_features=features)
    np.testing.assert_allclose(scores(backbone), model.predict_all(features), atol=1e-5)
    with pytest.raises(InvalidInput, match=r"15 ids, and the model has learned 4 features\. .*item_features"):
        from_lightfm(model, USERS, ITEMS)


def test_a_dislike_of_lightfm_is_no_click() -> None:
    signed = CLICKS.copy()
    signed.data[:5] = -1
    assert from_lightfm(LightFM(12, 15), USERS, ITEMS, signed).clicks.nnz == CLICKS.nnz - 5


def test_lightfm_before_its_fit_is_refused() -> None:
    with pytest.raises(InvalidInput, match="the model is not trained"):
        from_lightfm(SimpleNamespace(item_embeddings=None), USERS, ITEMS)


# RecBole ----------------------------------------------------------------------------------------------------------


class BPR(nn.Module):
    """Of recbole.model.general_recommender.BPR what is documented; row 0 is the padding."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.user_embedding, self.item_embedding = nn.Embedding(13, 4), nn.Embedding(16, 4)

    def forward(self, user: Tensor, item: Tensor) -> tuple[Tensor, Tensor]:
        return self.user_embedding(user), self.item_embedding(item)

    def full_sort_predict(self, interaction: dict[str, Tensor]) -> Tensor:
        scored: Tensor = self.user_embedding(interaction["user"]) @ self.item_embedding.weight.T
        return scored.view(-1)


class LightGCN(BPR):
    """As recbole's, `forward` takes nothing and gives what all users and items are after propagation."""

    def forward(self) -> tuple[Tensor, Tensor]:  # type: ignore[override]  # so it is there
        return self.user_embedding.weight + 1.0, 2.0 * self.item_embedding.weight

    def full_sort_predict(self, interaction: dict[str, Tensor]) -> Tensor:
        users, items = self.forward()
        scored: Tensor = users[interaction["user"]] @ items.T
        return scored.view(-1)


class Popular(BPR):
    """Scores by more than the inner product."""

    def full_sort_predict(self, interaction: dict[str, Tensor]) -> Tensor:
        return super().full_sort_predict(interaction) + 1.0


def recbole_data() -> SimpleNamespace:
    """Of recbole.data.dataset.Dataset what is documented."""
    padded = np.pad(CLICKS.toarray(), ((1, 0), (1, 0)))
    tokens = {"user": np.array(["[PAD]", *USERS]), "item": np.array(["[PAD]", *ITEMS])}
    return SimpleNamespace(
        uid_field="user", iid_field="item", field2id_token=tokens, inter_matrix=lambda form: csr_matrix(padded)
    )


@pytest.mark.parametrize("model", [BPR(), LightGCN()], ids=["bpr", "lightgcn"])
def test_recbole_gives_the_scores_that_it_ranks_by(model: BPR) -> None:
    backbone = from_recbole(model, recbole_data())
    assert (backbone.users.ids, backbone.items.ids) == (tuple(USERS), tuple(ITEMS))
    assert (backbone.clicks != CLICKS).nnz == 0 and model.training
    wanted = model.full_sort_predict({"user": torch.arange(1, 13)}).detach().numpy().reshape(12, 16)[:, 1:]
    np.testing.assert_allclose(scores(backbone), wanted, rtol=1e-5, atol=1e-6)


def test_a_model_of_recbole_that_scores_otherwise_is_refused() -> None:
    with pytest.raises(InvalidInput, match="Popular: the model's scores are not the inner products of its vectors"):
        from_recbole(Popular(), recbole_data())
    neural = BPR()
    del neural.item_embedding
    with pytest.raises(InvalidInput, match="BPR: the model has no vector of each user and item"):
        from_recbole(neural, recbole_data())
