"""Recommenders that another library has trained, frozen as they are in memory: implicit, LightFM, RecBole.

None of the three is imported here, nor needed: what is read of a model is said at each function. Entries above zero
are clicks. Users and items without one are left out, since training has not moved their vectors from where chance had
put them: such an item is cold, and an adapter places it.
"""

import inspect
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, issparse

from coldstart.backbones.frozen import FrozenBackbone
from coldstart.backbones.sides import Side, fault, freeze
from coldstart.dataset.reading import read_interactions
from coldstart.dataset.tables import Source
from coldstart.entities import ExternalId
from coldstart.errors import InvalidInput
from coldstart.vectors import Matrix

Ids: TypeAlias = "Iterable[str | int] | Mapping[Any, int]"
"""External ids in the order of the model's rows, or a row for each, as LightFM's ``Dataset.mapping`` has them."""
Clicks: TypeAlias = "Source | Any | None"
"""What the model was trained on: any scipy sparse matrix [users, items], or a table with ``user_id`` and ``item_id``.

Without it nobody is left out, nothing is known to be seen, and an adapter cannot be tuned.
"""

_CHECKED_USERS = 16
_TOLERANCE = 1e-3  # of the largest score; float32 sums in another order differ by less


def from_implicit(model: Any, users: Ids, items: Ids, interactions: Clicks = None) -> FrozenBackbone:
    """Freeze a factorisation of the library ``implicit``: ALS, BPR, logistic MF; on a CPU or a GPU.

    Read are ``model.user_factors`` [users, d] and ``model.item_factors`` [items, d], whose inner product is the score
    that ``model.recommend`` gives; biases, where a model has them, are columns of both.

    Parameters
    ----------
    users, items : ids
        In the order of the rows.
    interactions : sparse matrix [users, items] or table, optional
        What was given to ``model.fit``.

    Raises
    ------
    InvalidInput
        Where the model is not trained or no factorisation; else as `coldstart.backbones.external.import_backbone`.
    """
    name = type(model).__name__
    if not hasattr(model, "user_factors") or not hasattr(model, "item_factors"):
        raise fault(name, "the model has no user_factors and item_factors", "Import a factorisation, such as ALS")
    if model.user_factors is None or model.item_factors is None:
        raise _untrained(name)
    left = Side.checked(f"{name}.user_factors", _listed(users, "users"), _array(model.user_factors))
    right = Side.checked(f"{name}.item_factors", _listed(items, "items"), _array(model.item_factors))
    return _frozen(left, right, interactions, {"library": "implicit", "model": name})


def from_lightfm(
    model: Any,
    users: Ids,
    items: Ids,
    interactions: Clicks = None,
    *,
    user_features: Any = None,
    item_features: Any = None,
) -> FrozenBackbone:
    """Freeze a LightFM model, its biases as two more numbers of each vector.

    Read are ``model.get_user_representations`` and ``model.get_item_representations``, which give biases b and
    embeddings e. LightFM's score e_u . e_i + b_u + b_i is the inner product of [e_u, b_u, 1] and [e_i, 1, b_i]
    (Kula 2015).

    Parameters
    ----------
    users, items : ids
        In the order of the rows, or as ``lightfm.data.Dataset.mapping`` gives them.
    interactions : sparse matrix [users, items] or table, optional
        What was given to ``model.fit``; of a matrix the entries above zero, since -1 marks a dislike.
    user_features, item_features : sparse matrices, optional
        Those that the model was trained with.

    Raises
    ------
    InvalidInput
        Where the model is not trained, or features are missing; else as
        `coldstart.backbones.external.import_backbone`.
    """
    name = type(model).__name__
    if getattr(model, "item_embeddings", None) is None:
        raise _untrained(name)
    found = {}
    for side, ids, features in (("user", users, user_features), ("item", items, item_features)):
        biases, embeddings = getattr(model, f"get_{side}_representations")(features)
        listed = _listed(ids, f"{side}s")
        if features is None and len(listed) != len(embeddings):
            raise fault(
                f"{name}, {side}s",
                f"there are {len(listed)} ids, and the model has learned {len(embeddings)} features",
                f"Give one id a row, and the {side}_features that the model was trained with, if there were any",
            )
        ones = np.ones_like(biases)
        columns = [biases, ones] if side == "user" else [ones, biases]
        vectors = np.column_stack([embeddings, *columns])
        found[side] = Side.checked(f"{name}.get_{side}_representations", listed, vectors)
    return _frozen(found["user"], found["item"], interactions, {"library": "lightfm", "model": name})


def from_recbole(model: Any, dataset: Any) -> FrozenBackbone:
    """Freeze a RecBole model that scores by an inner product: BPR, LightGCN and their like.

    Read are the vectors that the model ranks by: what ``forward()`` gives where it needs no argument, as that of graph
    models, else the weights of ``user_embedding`` and ``item_embedding``. Their inner products are compared with
    ``full_sort_predict`` for some users, so that a model that scores in another way is refused.

    Parameters
    ----------
    model : recbole.model.abstract_recommender.GeneralRecommender
    dataset : recbole.data.dataset.Dataset
        ``train_data.dataset``, the part that the model was trained on. Ids are the tokens of ``field2id_token``,
        without the first, which is ``[PAD]``; clicks are its ``inter_matrix``.

    Raises
    ------
    InvalidInput
        Where the model scores in another way, or has no vectors; else as
        `coldstart.backbones.external.import_backbone`.
    """
    name = type(model).__name__
    training = model.training
    model.eval()
    try:
        users, items = _recbole_vectors(model)
        _require_inner_product(model, dataset.uid_field, users, items)
    finally:
        model.train(training)
    left, right = (
        Side.checked(f"{name}, {side}s", _listed(dataset.field2id_token[field][1:], f"{side}s"), vectors[1:])
        for side, field, vectors in (("user", dataset.uid_field, users), ("item", dataset.iid_field, items))
    )
    clicks = dataset.inter_matrix(form="csr")[1:, 1:]
    return _frozen(left, right, clicks, {"library": "recbole", "model": name})


def _recbole_vectors(model: Any) -> tuple[Matrix, Matrix]:
    """Vectors [users + 1, d] and [items + 1, d], those of ``[PAD]`` first."""
    needed = [p for p in inspect.signature(model.forward).parameters.values() if p.default is p.empty]
    if not needed:
        users, items = model.forward()[:2]
    elif hasattr(model, "user_embedding") and hasattr(model, "item_embedding"):
        users, items = model.user_embedding.weight, model.item_embedding.weight
    else:
        raise fault(
            type(model).__name__,
            "the model has no vector of each user and item",
            "Import BPR, LightGCN or another model that scores by an inner product",
        )
    return _array(users), _array(items)


def _require_inner_product(model: Any, user_field: str, users: Matrix, items: Matrix) -> None:
    import torch

    rows = np.arange(1, min(len(users), _CHECKED_USERS + 1))
    with torch.no_grad():
        wanted = model.full_sort_predict({user_field: torch.as_tensor(rows, device=getattr(model, "device", "cpu"))})
    theirs = _array(wanted).reshape(len(rows), -1)[:, 1:]
    ours = users[rows] @ items[1:].T
    if theirs.shape != ours.shape or np.abs(theirs - ours).max() > _TOLERANCE * np.abs(theirs).max():
        raise fault(
            type(model).__name__,
            "the model's scores are not the inner products of its vectors",
            "Import BPR, LightGCN or another model that scores by an inner product",
        )


def _frozen(users: Side, items: Side, interactions: Any, config: Mapping[str, str]) -> FrozenBackbone:
    shape = len(users.ids), len(items.ids)
    if interactions is None:
        return freeze(users, items, csr_matrix(shape, dtype=np.float32), config=config)
    if issparse(interactions):
        if interactions.shape != shape:
            raise InvalidInput(
                f"the interactions have the shape {interactions.shape}, the model has {shape[0]} users and "
                f"{shape[1]} items",
                subject=config["model"],
                remedy="Give a row a user and a column an item",
            )
        clicks = csr_matrix(csr_matrix(interactions) > 0, dtype=np.float32)
    else:
        clicks = read_interactions(interactions, users=users.ids, items=items.ids)[0].matrix(*shape)
    return freeze(users, items, clicks, config=config, seen_only=True)


def _listed(ids: Ids, side: str) -> list[ExternalId]:
    """Ids as text, in the order of the rows."""
    if isinstance(ids, Mapping):
        by_row = {row: external for external, row in ids.items()}
        if set(by_row) != set(range(len(ids))):
            what = f"the rows of the {len(ids)} {side} are not 0 to {len(ids) - 1}, each once"
            raise InvalidInput(what, subject=side, remedy="Map each id to its row, or give the ids as a list")
        ids = [by_row[row] for row in range(len(ids))]
    listed = list(ids)
    for row, external in enumerate(listed):
        if isinstance(external, bool) or not isinstance(external, str | int | np.integer):
            what = f"{external!r} in row {row + 1} is a {type(external).__name__} and no id"
            raise InvalidInput(what, subject=side, remedy="Give texts or whole numbers")
    return [str(external) for external in listed]


def _array(values: Any) -> NDArray[Any]:
    """A numpy array of a numpy array, a torch tensor, or a GPU matrix of implicit."""
    for step in ("detach", "cpu", "to_numpy"):
        if hasattr(values, step):
            values = getattr(values, step)()
    return np.asarray(values)


def _untrained(name: str) -> InvalidInput:
    return fault(name, "the model is not trained", "Call its fit first")
