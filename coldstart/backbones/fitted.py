"""What training a backbone of any kind results in, before it is frozen with its ids."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from coldstart.backbones.config import Config
from coldstart.vectors import Matrix


@dataclass(frozen=True)
class Fitted:
    """Vectors [users, d] and [items, d] whose inner product is the score.

    Parameters
    ----------
    config : config of the kind
        With everything that validation chose filled in: weights, and epochs up to the best one. Training all clicks by
        it, without validation, repeats what was chosen.
    record : mapping
        Scores and epochs, for the reader; JSON values.
    extra : mapping of arrays
        Further tensors of the kind.
    details : mapping
        What is needed to read the extra tensors; JSON values.
    """

    user_vectors: Matrix
    item_vectors: Matrix
    config: Config
    record: Mapping[str, Any] = field(default_factory=dict)
    extra: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
