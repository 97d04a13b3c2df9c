"""Users held out of a backbone's training, and the space of an adapter that never met them."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.sparse import csr_matrix

from adapters.baselines import scatter
from adapters.fit import fit, refit
from adapters.folding_calibration import calibrate_folding
from adapters.placing import place_items
from adapters.space import Adapter
from adapters.studies.stage import Stage
from adapters.validation import take_known
from coldstart.dataset import Interactions
from coldstart.vectors import Mask, Matrix, Rows, Vector

LEAST_CLICKS = 15
"""Of a user who is held out, in training: showing ten of them leaves some unshown."""
_SHARE = 0.1
"""Of all users with training clicks who are held out."""
_LEAST_USERS = 10
"""Fewer tell nothing."""


@dataclass(frozen=True)
class Newcomers:
    """Users [n] whom the adapter's backbone never met; items are in the data set's rows.

    Parameters
    ----------
    users : int64 [n]
        Rows in the data set.
    adapter : Adapter
        On a backbone of everybody else's clicks.
    rows : int64 [backbone items]
        Its items' rows in the data set.
    served : float32 [items, D]
        What an index would hold of every candidate: an item that only newcomers clicked is served by its content.
    texts : float32 [items, dt]
        Text embeddings, zeros where there is none.
    clicks, truth, new : csr [n, items]
        The newcomers' training clicks, of which some are shown; their held-out clicks on warm items, and on cold ones.
    warm, cold : bool [items]
        Candidates of either kind.
    """

    users: Rows
    adapter: Adapter
    rows: Rows
    served: Matrix
    texts: Matrix
    clicks: csr_matrix
    truth: csr_matrix
    new: csr_matrix
    warm: Mask
    cold: Mask

    @cached_property
    def frozen(self) -> Matrix:
        """V of the backbone [items, d], zeros where it does not know the item."""
        return scatter(self.adapter.backbone.item_vectors, self.rows, len(self.warm))

    @cached_property
    def degrees(self) -> Vector:
        """How many users of the backbone met each item [items]."""
        met = np.asarray(self.adapter.backbone.clicks.sum(axis=0), dtype=np.float32).reshape(-1, 1)
        return scatter(met, self.rows, len(self.warm))[:, 0]


def hold_out_users(stage: Stage) -> Newcomers | None:
    """A tenth of the users made newcomers, by the stage's seed; ``None`` where too few have clicks enough.

    A backbone is trained without them, and an adapter fitted on it in closed form with the scalars that the stage's own
    adapter was given, on everybody's validation clicks; those of its fold-in are chosen anew, on other users' clicks.
    """
    protocol = stage.protocol
    met = np.diff(protocol.train.indptr)
    able = np.flatnonzero((met >= LEAST_CLICKS) & (np.diff(protocol.warm_test.indptr) > 0))
    n = round(_SHARE * np.count_nonzero(met))
    users = np.sort(np.random.default_rng(stage.seed).permutation(able)[:n])
    if len(users) < _LEAST_USERS:
        return None
    train, validation = (_without(part, users) for part in (stage.split.train, stage.split.warm_val))
    backbone = stage.train_backbone(train, validation if len(validation) else None, stage.seed)
    rows = stage.dataset.items.ids.rows(backbone.items.ids)
    adapter = fit(backbone, stage.contents.take(rows), config=stage.config, seed=stage.seed)
    prior = {"gate_prior": stage.adapter.parameters["gate_prior"]}
    adapter = replace(refit(adapter, {**adapter.parameters, **prior}), scales=stage.adapter.scales)
    known = stage.dataset.users.rows(backbone.users.ids)
    held_out = take_known(validation.matrix(*protocol.train.shape), known)[:, rows].tocsr()
    adapter = calibrate_folding(adapter, held_out, seed=stage.seed)
    others = np.setdiff1d(np.arange(len(stage.contents)), rows)
    served, _ = place_items(adapter, stage.contents, items=rows, cold=others)
    return Newcomers(
        users, adapter, rows, served, stage.contents.text, protocol.train[users],
        protocol.warm_test[users], protocol.cold_test[users], protocol.warm, protocol.cold,
    )  # fmt: skip


def _without(events: Interactions, users: Rows) -> Interactions:
    return events.take(~np.isin(events.user_rows, users))
