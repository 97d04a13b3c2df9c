"""Fits the few scalars of the served space on validation: a coordinate search over short grids."""

from collections.abc import Callable, Sequence

import numpy as np

from adapters.fit import refit
from adapters.space import Adapter
from adapters.validation import Judge
from coldstart.vectors import Mask

_PRIORS = (-3.0, -2.0, -1.0, 0.0, 1.0)
"""Log-odds of the picture's gate against the text's."""
_STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
_COLD_CONTENTS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.4, 2.0)
_WARM_CONTENTS = (0.0, 0.2, 0.35, 0.5, 0.7, 1.0)
_COLD = (0.6, 0.8, 1.0, 1.25, 1.5, 1.8, 2.1, 2.5)
_MINIMUM_GAIN = 5e-4
"""A setting replaces its simpler neighbour only for more than the noise between two samples of users."""


def best(candidates: Sequence[float], score: Callable[[float], float], *, start: float) -> float:
    """The candidate with the best score; ``start`` keeps its place unless it is clearly beaten."""
    scores = {value: score(value) for value in dict.fromkeys((start, *candidates))}
    top = max(scores, key=lambda value: scores[value])
    return top if scores[top] > scores[start] + _MINIMUM_GAIN else start


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
    validation = judge.validation
    return judge.cold(adapter, adapter.cold_vectors(adapter.blocks(validation.contents)))


def calibrate_scales(adapter: Adapter, judge: Judge) -> Adapter:
    """Scalars of the cold side on the cold list, of the warm side on the warm list, and their ratio on both."""
    cold = adapter.blocks(judge.validation.contents)

    def choose(current: Adapter, name: str, grid: Sequence[float], score: Callable[[Adapter], float]) -> Adapter:
        start = getattr(current.scales, name)
        return current.with_scales(**{name: best(grid, lambda v: score(current.with_scales(**{name: v})), start=start)})

    def cold_list(changed: Adapter) -> float:
        return judge.cold(changed, changed.cold_vectors(cold))

    adapter = choose(adapter, "cold_content", _COLD_CONTENTS, cold_list)
    adapter = choose(adapter, "strength", _STRENGTHS, cold_list)
    if not judge.has_warm:
        return adapter
    rows = np.arange(len(adapter.backbone.items))
    warm = adapter.blocks(adapter.contents, rows)

    adapter = choose(
        adapter, "warm_content", _WARM_CONTENTS, lambda changed: judge.warm(changed, changed.warm_vectors(rows, warm))
    )
    warm_vectors = adapter.warm_vectors(rows, warm)
    return choose(
        adapter, "cold", _COLD, lambda changed: judge.overall(changed, warm_vectors, changed.cold_vectors(cold))
    )
