"""Which units meet which arm: two hashes of the unit's id and nothing else, so that every process agrees for ever.

    point(salt, unit) = first 53 bits of SHA-256(salt, NUL, unit) / 2^53, uniform on [0, 1)

The first point, salted by the layer, is the unit's bucket: it takes part where the experiment has claimed that bucket.
Experiments of one layer claim different buckets, and layers are salted differently, so that they are independent (Tang,
Agarwal, O'Brien, Meyer 2010, "Overlapping Experiment Infrastructure: More, Better, Faster Experimentation"). The second
point, salted by the experiment, chooses the arm: units that were together in an earlier experiment on the same buckets
are mixed anew, and do not carry its effect into one arm (Kohavi, Tang, Xu 2020, "Trustworthy Online Controlled
Experiments", chapters 4 and 23).
"""

import hashlib
import math
from bisect import bisect_right
from collections.abc import Iterable
from itertools import accumulate

from coldstart.entities import ExternalId
from coldstart.errors import Conflict
from coldstart.experiments.design import BUCKETS, Arm, Buckets, Experiment, Status

_BITS = 53  # all that a float holds, so that the division is exact on every platform


def point(salt: str, unit: ExternalId) -> float:
    """Where the hash puts the unit between 0 and 1, below 1.

    >>> point("salt", "unit")
    0.9264938009903187
    """
    digest = hashlib.sha256(f"{salt}\0{unit}".encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> (64 - _BITS)) / (1 << _BITS)


def bucket(layer: str, unit: ExternalId) -> int:
    """The unit's bucket in a layer, 0 to 9,999."""
    return int(point(f"layer\0{layer}", unit) * BUCKETS)


def takes_part(experiment: Experiment, unit: ExternalId) -> bool:
    """Whether the unit's bucket is one of those that the experiment has claimed."""
    own = bucket(experiment.layer, unit)
    return any(claimed.start <= own < claimed.stop for claimed in experiment.buckets)


def arm_of(experiment: Experiment, unit: ExternalId) -> Arm:
    """The arm of a unit that takes part."""
    bounds = list(accumulate(experiment.weights))
    place = bisect_right(bounds, point(f"arm\0{experiment.salt}", unit))
    return experiment.arms[min(place, len(bounds) - 1)]  # the weights may sum to a little less than 1


def assign(experiment: Experiment, unit: ExternalId) -> Arm | None:
    """The unit's arm; ``None`` where the experiment does not run or the unit takes no part in it."""
    if experiment.status is not Status.RUNNING or not takes_part(experiment, unit):
        return None
    return arm_of(experiment, unit)


def claim_buckets(running: Iterable[Experiment], share: float) -> tuple[Buckets, ...]:
    """The lowest free buckets of a layer that make up the share.

    Parameters
    ----------
    running : iterable of Experiment
        Those of the same layer that run.

    Raises
    ------
    Conflict
        Where fewer are free.
    """
    wanted = math.floor(share * BUCKETS + 0.5)
    names: list[str] = []
    taken: list[Buckets] = []
    for experiment in running:
        names.append(experiment.experiment_id)
        taken.extend(experiment.buckets)
    claimed, start = [], 0
    for held in [*sorted(taken), Buckets(BUCKETS, BUCKETS)]:
        if wanted and held.start > start:
            claimed.append(Buckets(start, min(held.start, start + wanted)))
            wanted -= len(claimed[-1])
        start = max(start, held.stop)
    if wanted:
        free = sum(map(len, claimed))
        raise Conflict(
            f"{share:.2%} of the layer's traffic are wanted and {free / BUCKETS:.2%} are free",
            remedy=f"Take a smaller share or another layer, or stop one of {', '.join(names)}",
        )
    return tuple(claimed)
