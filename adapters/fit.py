"""The closed form that every adapter starts from: nothing here is trained by gradient."""

from dataclasses import replace

import numpy as np

from adapters.config import AdapterConfig
from adapters.content import Centering, Contents
from adapters.forward import Parameters, gates
from adapters.neighbours import Anchors
from adapters.space import UNTRAINED, Adapter, Scales, Statistics, fuse, spread, warm_rows
from coldstart.backbones import FrozenBackbone
from coldstart.errors import InvalidInput
from coldstart.vectors import Matrix, Rows, Vector

_NONE = np.empty(0, np.int64)


def initial_parameters(
    backbone: FrozenBackbone, *, text_dim: int, image_dim: int, config: AdapterConfig, seed: int
) -> Parameters:
    """Parameters whose gates are constant and whose residual is zero: the closed form itself."""
    rng = np.random.default_rng(seed)
    hidden, dim = config.hidden, backbone.dim

    def random(rows: int, columns: int) -> Matrix:
        return np.asarray(rng.standard_normal((rows, columns)) / np.sqrt(max(rows, 1)), dtype=np.float32)

    def zeros(*shape: int) -> Matrix:
        return np.zeros(shape, dtype=np.float32)

    return {
        "text_projection": random(text_dim, hidden),
        "image_projection": random(image_dim, hidden),
        "gate_in": random(2 * hidden, config.gate_hidden),
        "gate_bias": zeros(config.gate_hidden),
        "gate_out": zeros(config.gate_hidden, 2),
        "gate_prior": zeros(2),
        "residual_in": random(2 * hidden + dim, config.residual_hidden),
        "residual_bias": zeros(config.residual_hidden),
        "residual_out": zeros(config.residual_hidden, dim),
        "norm": np.float32(np.linalg.norm(backbone.item_vectors, axis=1).mean() or 1.0).reshape(1),
    }


def fit(
    backbone: FrozenBackbone, contents: Contents, *, config: AdapterConfig, hidden: Rows = _NONE, seed: int = 0
) -> Adapter:
    """The closed form: initial parameters, default scales, and everything that is measured.

    Parameters
    ----------
    contents : Contents [items]
        Of the backbone's items, in its row order.
    hidden : int64 [any]
        Backbone rows to treat as cold.

    Raises
    ------
    InvalidInput
        Where fewer than two warm items have any content, or the rows do not match the backbone's.
    """
    if len(contents) != len(backbone.items):
        raise InvalidInput(
            f"there are contents of {len(contents)} items for a backbone of {len(backbone.items)}",
            subject="adapter",
            remedy="Encode the backbone's items, in its order",
        )
    warm = warm_rows(contents, hidden)
    if len(warm) < 2:
        held = f", the {len(hidden)} aside that tune the adapter" if len(hidden) else ""
        raise InvalidInput(
            f"only {len(warm)} of the backbone's items have a text or a picture{held}",
            subject="adapter",
            remedy="Give more items of the data set texts or pictures, or more items clicks",
        )
    centering = Centering.fit(
        contents.take(warm), image_dim=config.image_dim, term_dim=config.term_dim, term_share=config.term_share
    )
    text_dim, image_dim = centering.dims
    parameters = initial_parameters(backbone, text_dim=text_dim, image_dim=image_dim, config=config, seed=seed)
    anchors = _anchors(backbone, contents, centering, config, warm)
    return _measured(
        Adapter(backbone, contents, config, centering, anchors, parameters, _nothing(backbone), Scales(), hidden)
    )


def refit(adapter: Adapter, parameters: Parameters) -> Adapter:
    """The same adapter with other parameters, and what depends on them measured again."""
    return _measured(adapter.changed(UNTRAINED, parameters=parameters))


def reveal(adapter: Adapter) -> Adapter:
    """The same adapter with nothing hidden: every warm item a neighbour and part of the profiles again.

    Means and principal axes stay: the trained projections are about them.
    """
    warm = warm_rows(adapter.contents, _NONE)
    anchors = _anchors(adapter.backbone, adapter.contents, adapter.centering, adapter.config, warm)
    kept = [name for name in UNTRAINED if name != "warm_items"]
    return _measured(adapter.changed(kept, anchors=anchors, hidden=_NONE))


def _popularity(backbone: FrozenBackbone) -> Vector:
    return np.asarray(backbone.clicks.sum(axis=0), dtype=np.float32).ravel()


def _anchors(
    backbone: FrozenBackbone, contents: Contents, centering: Centering, config: AdapterConfig, warm: Rows
) -> Anchors:
    by_clicks = warm[np.argsort(-_popularity(backbone)[warm], kind="stable")]
    rows = np.sort(by_clicks[: config.max_anchors])
    text, image, _ = centering.apply(contents.take(rows))
    return Anchors.build(rows, text, image, hubness=config.hubness)


def _nothing(backbone: FrozenBackbone) -> Statistics:
    """Statistics before anything is measured."""
    none, identity = np.zeros((0, 0), np.float32), np.eye(backbone.dim, dtype=np.float32)
    return Statistics(none, identity, identity, none, none, np.ones(2, np.float32), np.zeros(1, np.float32))


def _measured(adapter: Adapter) -> Adapter:
    """The adapter with its statistics measured under its parameters."""
    backbone, contents, config = adapter.backbone, adapter.contents, adapter.config
    warm = warm_rows(contents, adapter.hidden)
    text, image, present = adapter.centred
    fused = fuse(text, image, gates(adapter.parameters, text, image, present))
    whitening = _whitening(fused[warm], dim=config.content_dim, ridge=config.ridge)
    content = fused @ whitening
    content[adapter.hidden] = 0.0
    profiles = _moment(np.asarray(backbone.clicks @ content, dtype=np.float32))
    users = _moment(backbone.user_vectors)
    strength = _strength(fused[warm], _popularity(backbone)[warm], ridge=config.ridge)
    # v_hat of the warm items takes an adapter that has everything but its own second moment.
    partial = Statistics(
        whitening, users, adapter.statistics.items, profiles, _moment(content[warm]), np.ones(2, np.float32), strength
    )
    v_hat = adapter.changed(UNTRAINED, statistics=partial).blocks(adapter.warm_items).collaborative
    spreads = np.array([spread(v_hat, users).mean(), spread(content[warm], profiles).mean()], np.float32)
    return adapter.changed(UNTRAINED, statistics=replace(partial, items=_moment(v_hat), mean_spread=spreads))


def _moment(vectors: Matrix) -> Matrix:
    """Second moment [d, d] of the rows."""
    return np.asarray(vectors.T @ vectors / max(len(vectors), 1), dtype=np.float32)


def _whitening(fused: Matrix, *, dim: int, ridge: float) -> Matrix:
    """W [f, p]: the p strongest eigenvectors of the Gram matrix, over the root of eigenvalue + ridge."""
    values, axes = np.linalg.eigh((fused.T @ fused).astype(np.float64))
    order = np.argsort(-values)[: min(dim, len(fused))]
    return np.asarray(axes[:, order] / np.sqrt(np.maximum(values[order], 0.0) + ridge), dtype=np.float32)


def _strength(fused: Matrix, popularity: Vector, *, ridge: float) -> Vector:
    """Ridge weights [f + 1] from content to the standardised log of the number of clicks."""
    log = np.log1p(popularity.astype(np.float64))
    target = (log - log.mean()) / (log.std() or 1.0)
    mean = fused.mean(axis=0)
    centred = fused - mean
    gram = centred.T @ centred + ridge * np.eye(fused.shape[1])
    weights = np.linalg.solve(gram.astype(np.float64), centred.T @ target)
    return np.append(weights, -mean @ weights).astype(np.float32)
