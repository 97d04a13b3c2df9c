"""Trains a backbone of any kind on a data set's interactions and freezes it."""

from dataclasses import asdict
from typing import Any, Literal

import numpy as np

from coldstart.backbones.als import als_factors
from coldstart.backbones.config import ALSConfig, LightGCNConfig
from coldstart.backbones.frozen import FrozenBackbone
from coldstart.backbones.validation import ranking_score
from coldstart.dataset import Interactions
from coldstart.errors import InvalidInput
from coldstart.ids import IdMap

Kind = Literal["lightgcn", "neumf", "als"]
Config = ALSConfig | LightGCNConfig


def train_backbone(
    kind: Kind,
    users: IdMap,
    items: IdMap,
    train: Interactions,
    validation: Interactions | None = None,
    *,
    config: Config | None = None,
    seed: int = 0,
    progress: bool = False,
) -> FrozenBackbone:
    """Train on ``train``, stop early on ``validation``, and keep the users and items that training has seen.

    Parameters
    ----------
    kind : str
        ``lightgcn``, ``neumf`` or ``als``.
    users, items : IdMap
        The data set's ids; the rows in the interactions refer to them.
    validation : Interactions, optional
        Pairs of cold users or items in it are ignored; without it training runs for all of its epochs.
    config : config of the kind, optional
        The kind's defaults where it is missing.
    progress : bool
        Show a progress bar even where the error output is no terminal.

    Raises
    ------
    InvalidInput
        Where there is nothing to train on, or the config is of another kind.
    MissingExtra
        Where a library that the kind needs is not installed.
    """
    clicks = train.matrix(len(users), len(items))
    warm_users, warm_items = np.flatnonzero(np.diff(clicks.indptr)), np.unique(clicks.indices)
    if not len(warm_users):
        raise InvalidInput("there are no interactions to train on", subject=kind, remedy="Check the train part")
    clicks = clicks[warm_users][:, warm_items]
    held_out = None
    if validation is not None:
        held_out = validation.matrix(len(users), len(items))[warm_users][:, warm_items]
        held_out = held_out if held_out.nnz else None
    record: dict[str, Any]
    match kind, config or _defaults(kind):
        case "als", ALSConfig() as chosen:
            u, v = als_factors(clicks, chosen.d, chosen.alpha, chosen.regularisation, chosen.iterations, seed)
            record = {} if held_out is None else {"scores": [ranking_score(u, v, clicks, held_out)]}
        case "lightgcn", LightGCNConfig() as chosen:
            from coldstart.backbones.lightgcn_training import fit_lightgcn

            u, v, record = fit_lightgcn(clicks, held_out, chosen, seed=seed, progress=progress)
        case _, other:
            raise InvalidInput(f"{type(other).__name__} does not configure this kind", subject=kind)
    return FrozenBackbone(
        kind=kind,
        users=IdMap(users.ids[row] for row in warm_users),
        items=IdMap(items.ids[row] for row in warm_items),
        user_vectors=u,
        item_vectors=v,
        clicks=clicks,
        config={**asdict(chosen), "seed": seed, "training": record},
    )


def _defaults(kind: Kind) -> Config:
    match kind:
        case "als":
            return ALSConfig()
        case "lightgcn":
            return LightGCNConfig()
        case _:
            raise InvalidInput("the kind of backbone is unknown", subject=str(kind),
                               remedy="Choose lightgcn, neumf or als")
