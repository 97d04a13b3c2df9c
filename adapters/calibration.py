"""Fits the few scalars of the served space on validation: a coordinate search over short grids."""

from collections.abc import Callable, Collection, Sequence

import numpy as np

from adapters.fit import refit
from adapters.space import Adapter
from adapters.validation import Judge
from coldstart.vectors import Mask

_PRIORS = (-3.0, -2.0, -1.0, 0.0, 1.0)
"""Log-odds of the picture's gate against the text's."""
_COLD_SPREADS = (0.0, 0.2, 0.4, 0.7, 1.0)
_STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
_COLD_CONTENTS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.4, 2.0)
_COLD_SIDE = {"cold_spread": _COLD_SPREADS, "cold_content": _COLD_CONTENTS, "strength": _STRENGTHS}
_ROUNDS = 2
"""Over the cold side: how far vectors are evened out and how much expected popularity counts depend on each other."""
_WARM_CONTENTS = (0.0, 0.2, 0.35, 0.5, 0.7, 1.0)
_WARM_NEIGHBOURS = (0.0, 0.15, 0.3)
_COLD = (0.6, 0.8, 1.0, 1.25, 1.5, 1.8, 2.1, 2.5)
_MINIMUM_GAIN = 5e-4
"""A setting replaces its simpler neighbour only for more than the noise between two samples of users."""
_WARM_GAIN = 2e-3
"""The backbone's own list of warm items is changed only for a gain that a test part should show, too."""


def best(
    candidates: Sequence[float], score: Callable[[float], float], *, start: float, gain: float = _MINIMUM_GAIN
) -> float:
    """The candidate with the best score; ``start`` keeps its place unless it is clearly beaten."""
    scores = {value: score(value) for value in dict.fromkeys((start, *candidates))}
    top = max(scores, key=lambda value: scores[value])
    return top if scores[top] > scores[start] + gain else start


def calibrate_prior(adapter: Adapter, judge: Judge) -> Adapter:
    """The gates' constant part, where both modalities occur."""
    present: Mask = adapter.contents.present
    if not (present.all(axis=1).any()):
        return adapter

    def with_prior(log_odds: float) -> Adapter:
        prior = np.array([-log_odds / 2, log_odds / 2], dtype=np.float32)
        return refit(adapter, {**adapter.parameters, "gate_prior": prior})

    fitted = {value: with_prior(value) for value in _PRIORS}
    scores = {value: cold_score(candidate, judge) for value, candidate in fitted.items()}
    return fitted[max(scores, key=lambda value: scores[value])]


def cold_score(adapter: Adapter, judge: Judge) -> float:
    """NDCG@20 over the validation's cold items."""
    return judge.cold(adapter, adapter.cold_vectors(adapter.blocks(judge.cold_items)))


def calibrate_scales(adapter: Adapter, judge: Judge, *, held: Collection[str] = ()) -> Adapter:
    """Scalars of the cold side on the cold list, of the warm side on the warm list, and their ratio on both.

    The warm side starts from the backbone's own list. Without held-out warm clicks it keeps the scalars it has, as it
    does those whose names are ``held``.
    """
    cold = adapter.blocks(judge.cold_items)
    adapter.user_vectors(judge.cold_users)  # from here on every setting shares what these are made of

    def cold_list(changed: Adapter) -> float:
        return judge.cold(changed, changed.cold_vectors(cold))

    for _ in range(_ROUNDS):
        for name, grid in _COLD_SIDE.items():
            if name not in held:
                adapter = _choose(adapter, name, grid, cold_list)
    if not judge.has_warm:
        return adapter
    rows = np.arange(len(adapter.backbone.items))
    warm = adapter.own_blocks

    def warm_list(changed: Adapter) -> float:
        return judge.warm(changed, changed.warm_vectors(rows, warm))

    adapter = adapter.with_scales(**{name: 0.0 for name in ("warm_content", "warm_neighbours") if name not in held})
    if "warm_content" not in held:
        adapter = _choose(adapter, "warm_content", _WARM_CONTENTS, warm_list, gain=_WARM_GAIN)
    if "warm_neighbours" not in held:
        adapter = _choose(adapter, "warm_neighbours", _WARM_NEIGHBOURS, warm_list, gain=_WARM_GAIN)
    if len(judge.both_users) == 0 or "cold" in held:
        return adapter
    vectors = adapter.warm_vectors(rows, warm)
    return _choose(adapter, "cold", _COLD, lambda changed: judge.overall(changed, vectors, changed.cold_vectors(cold)))


def _choose(
    adapter: Adapter,
    name: str,
    grid: Sequence[float],
    score: Callable[[Adapter], float],
    *,
    gain: float = _MINIMUM_GAIN,
) -> Adapter:
    """The adapter with the best value of one scalar."""
    start = getattr(adapter.scales, name)
    value = best(grid, lambda each: score(adapter.with_scales(**{name: each})), start=start, gain=gain)
    return adapter.with_scales(**{name: value})
