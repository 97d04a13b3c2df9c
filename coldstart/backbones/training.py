"""Trains a backbone of any kind on a data set's interactions and freezes it."""

from dataclasses import asdict, replace
from typing import Literal

import numpy as np
from scipy.sparse import csr_matrix

from coldstart.backbones.als_tuning import fit_als
from coldstart.backbones.config import ALSConfig, Config, LightGCNConfig, NeuMFConfig
from coldstart.backbones.fitted import Fitted
from coldstart.backbones.frozen import FrozenBackbone
from coldstart.backbones.validation import ranking_score
from coldstart.dataset import Interactions
from coldstart.errors import InvalidInput
from coldstart.ids import IdMap
from coldstart.vectors import Rows

Kind = Literal["lightgcn", "neumf", "als"]
HELD_OUT = 0.1  # of the pairs, where no validation part is given


def train_backbone(
    kind: Kind,
    users: IdMap,
    items: IdMap,
    train: Interactions,
    validation: Interactions | None = None,
    *,
    config: Config | None = None,
    seed: int = 0,
    device: str = "cpu",
    progress: bool = False,
) -> FrozenBackbone:
    """Train on ``train``, choose on ``validation``, and keep the users and items that training has seen.

    Without validation a tenth of the training pairs is held out to choose by, and the backbone is then trained again
    on all of them with what was chosen.

    Parameters
    ----------
    kind : str
        ``lightgcn``, ``neumf`` or ``als``.
    users, items : IdMap
        The data set's ids; the rows in the interactions refer to them.
    validation : Interactions, optional
        Pairs of users or items that training has not seen are ignored.
    config : config of the kind, optional
        The kind's defaults where it is missing.
    device : str
        Where gradients are taken, as torch names it. ALS runs on the CPU, and is the same on every one.
    progress : bool
        Show a progress bar even where the error output is no terminal.

    Raises
    ------
    InvalidInput
        Where there is nothing to train on, or the config is of another kind.
    MissingExtra
        Where a library that the kind needs is not installed.
    """
    if not len(train):
        raise InvalidInput("there are no interactions to train on", subject=kind, remedy="Check the train part")
    warm_users, warm_items = np.unique(train.user_rows), np.unique(train.item_rows)
    shape = len(warm_users), len(warm_items)
    events = _within(train, warm_users, warm_items)
    held_out = None if validation is None else _within(validation, warm_users, warm_items)
    chosen = config or _defaults(kind)
    if held_out is not None and len(held_out):
        fitted = _fit(kind, events, held_out, shape, chosen, seed=seed, device=device, progress=progress)
    else:
        part, held_out = _hold_out(events, seed)
        if len(part) and len(held_out):
            trial = _fit(kind, part, held_out, shape, chosen, seed=seed, device=device, progress=progress)
            chosen = trial.config
        fitted = _fit(kind, events, None, shape, chosen, seed=seed, device=device, progress=progress)
        if len(part) and len(held_out):
            fitted = replace(fitted, record={**fitted.record, "chosen_on_a_tenth_of_training": dict(trial.record)})
    return FrozenBackbone(
        kind=kind,
        users=IdMap(users.ids[row] for row in warm_users),
        items=IdMap(items.ids[row] for row in warm_items),
        user_vectors=fitted.user_vectors,
        item_vectors=fitted.item_vectors,
        clicks=events.matrix(*shape),
        config={**asdict(fitted.config), "seed": seed, "training": dict(fitted.record), **fitted.details},
        extra=fitted.extra,
    )


def _fit(
    kind: Kind,
    events: Interactions,
    held_out: Interactions | None,
    shape: tuple[int, int],
    config: Config,
    *,
    seed: int,
    device: str,
    progress: bool,
) -> Fitted:
    clicks: csr_matrix = events.matrix(*shape)
    truth: csr_matrix | None = None if held_out is None else held_out.matrix(*shape)
    match kind, config:
        case "als", ALSConfig():
            u, v, used = fit_als(clicks, truth, config, seed=seed, progress=progress)
            return Fitted(u, v, used, {} if truth is None else {"scores": [ranking_score(u, v, clicks, truth)]})
        case "lightgcn", LightGCNConfig():
            from coldstart.backbones.lightgcn_training import fit_lightgcn

            return fit_lightgcn(clicks, truth, config, seed=seed, device=device, progress=progress)
        case "neumf", NeuMFConfig():
            from coldstart.backbones.neumf_training import fit_neumf

            return fit_neumf(events, held_out, shape, config, seed=seed, device=device, progress=progress)
        case _:
            raise InvalidInput(f"{type(config).__name__} does not configure this kind", subject=kind,
                               remedy=f"Give a {type(_defaults(kind)).__name__}")  # fmt: skip


def _defaults(kind: Kind) -> Config:
    match kind:
        case "als":
            return ALSConfig()
        case "lightgcn":
            return LightGCNConfig()
        case "neumf":
            return NeuMFConfig()
    raise InvalidInput("the kind of backbone is unknown", subject=str(kind), remedy="Choose lightgcn, neumf or als")


def _within(events: Interactions, user_rows: Rows, item_rows: Rows) -> Interactions:
    """The events among these users and items (sorted rows), with rows counted within them."""
    known = events.take(np.isin(events.user_rows, user_rows) & np.isin(events.item_rows, item_rows))
    return replace(
        known,
        user_rows=np.searchsorted(user_rows, known.user_rows),
        item_rows=np.searchsorted(item_rows, known.item_rows),
    )


def _hold_out(events: Interactions, seed: int) -> tuple[Interactions, Interactions]:
    """Training and held-out events; all events of a pair are on one side."""
    pairs = events.user_rows * (int(events.item_rows.max()) + 1) + events.item_rows
    _, pair = np.unique(pairs, return_inverse=True)
    draws = np.random.default_rng(seed).random(pair.max() + 1)[pair]
    return events.take(draws >= HELD_OUT), events.take(draws < HELD_OUT)
