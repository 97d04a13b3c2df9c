"""Chooses each baseline's scalars on validation, as an adapter's are: an untuned rival would prove nothing."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

import numpy as np

from adapters.baselines import (
    Known,
    Vectors,
    backbone_alone,
    content_knn,
    features,
    neighbours,
    popularity,
    ridge,
)
from coldstart.errors import InvalidInput
from coldstart.evaluation.protocols import Protocol

ALWAYS = ("adapter", "backbone", "popularity")
"""Methods of every evaluation."""
BASELINES = ("neighbours", "ridge", "content-knn")
"""Methods that are asked for."""
METHODS = (*ALWAYS, *BASELINES)

_IMAGE_WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)
_PENALTIES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
_COLD_FACTORS = (0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0)
_USERS = 1500
"""Users sampled for tuning, as for the adapter's own scalars."""


@dataclass(frozen=True)
class Method:
    """A method's vectors, and the scalars that validation chose for it."""

    vectors: Vectors
    chosen: Mapping[str, float] = field(default_factory=dict)


def parse_methods(value: str) -> tuple[str, ...]:
    """``ridge,neighbours`` or ``all`` as names, after those that are always there.

    >>> parse_methods("ridge")
    ('adapter', 'backbone', 'popularity', 'ridge')
    """
    names = METHODS if value.strip() == "all" else tuple(part.strip() for part in value.split(",") if part.strip())
    for name in names:
        if name not in METHODS:
            raise InvalidInput(
                f"{name!r} is no method", subject="--methods", remedy=f"Give all, or some of {', '.join(METHODS)}"
            )
    return tuple(name for name in METHODS if name in (*ALWAYS, *names))


def build(name: str, known: Known, validation: Protocol, *, seed: int) -> Method:
    """A method other than the adapter, tuned on the validation parts.

    Parameters
    ----------
    validation : Protocol
        Of the split's part ``val``. Without held-out cold items to choose on, scalars keep the defaults of their
        formula: half the weight to each modality, penalty 10, factor 1.
    """
    validation = validation.sampled(_USERS, seed=seed)
    match name:
        case "backbone":
            return Method(backbone_alone(known))
        case "popularity":
            return Method(popularity(known, seed=seed))
        case "content-knn":
            return _tuned(known, validation, content_knn)
        case "neighbours":
            return _calibrated(_tuned(known, validation, neighbours), known, validation)
        case "ridge":
            return _calibrated(_tuned(known, validation, ridge, penalty=_PENALTIES), known, validation)
    raise InvalidInput(f"{name!r} is no baseline", subject="method", remedy=f"Choose among {', '.join(METHODS)}")


def _tuned(known: Known, validation: Protocol, make: Callable[..., Vectors], **grids: Sequence[float]) -> Method:
    """The setting with the best NDCG@20 over the validation's cold items."""
    weights = _IMAGE_WEIGHTS if known.contents.present[known.warm, :2].any(axis=0).all() else (0.5,)
    best, best_score = None, -1.0
    if not len(validation.users("cold")):
        weights, grids = (0.5,), {name: (10.0,) for name in grids}
    for weight in weights:
        content = features(known.contents, known.warm, image_weight=weight)
        for values in product(*grids.values()):
            scalars = dict(zip(grids, values, strict=True))
            vectors = make(known, content, **scalars)
            score = _score(validation, "cold", vectors)
            if score > best_score:
                chosen = {**({"image_weight": weight} if len(weights) > 1 else {}), **scalars}
                best, best_score = Method(vectors, chosen), score
    assert best is not None  # noqa: S101 (a score is at least 0)
    return best


def _calibrated(method: Method, known: Known, validation: Protocol) -> Method:
    """The factor on cold items with the best NDCG@20 over warm and cold ones together."""
    users, items = method.vectors
    if not len(validation.users("overall")):
        return method

    def scaled(factor: float) -> Vectors:
        return users, items * np.where(known.warm, 1.0, factor).astype(np.float32)[:, None]

    factor = max(_COLD_FACTORS, key=lambda each: _score(validation, "overall", scaled(each)))
    return Method(scaled(factor), {**method.chosen, "cold_factor": factor})


def _score(validation: Protocol, name: str, vectors: Vectors) -> float:
    judged = validation.judge(name, *vectors)
    return 0.0 if judged is None else float(judged.ndcg.mean())
