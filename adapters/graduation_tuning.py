"""Fits on validation how many clicks weigh as much as an item's content."""

import numpy as np

from adapters.calibration import best
from adapters.cohort import Cohort
from adapters.graduation import Lengths, graduate
from adapters.space import Adapter
from adapters.validation import Judge
from coldstart.vectors import Rows

STEPS = (1, 3, 10, 30)
"""Clicks after which lists are judged."""
FEWEST = 20
"""Items without which a cohort says nothing."""
_HALVES = (0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0)
_MINIMUM_GAIN = 1e-3
_USERS = 750
"""Users sampled for each number of clicks."""


def calibrate_half(adapter: Adapter, judge: Judge, *, seed: int) -> Adapter:
    """The adapter with the half-weight whose lists after 1, 3, 10 and 30 clicks have the best NDCG@20 in sum.

    Lists are of new and warm items together, or of the new ones alone where no warm clicks are held out. For each
    number of clicks the items are all that have one more: what is fitted is to hold for new items at large, not for
    those that were to be popular. Warm items that were hidden to be treated as cold are no use here, since their clicks
    are in the users' frozen vectors; the scalar then stays as it is.
    """
    validation = judge.validation
    if len(validation.hidden):
        return adapter
    cohorts = [Cohort.draw(validation.cold_truth, depth=n, least=1, seed=seed) for n in STEPS]
    cohorts = [cohort for cohort in cohorts if len(cohort) >= FEWEST]
    if not cohorts:
        return adapter
    blocks, lengths = adapter.blocks(judge.cold_items), Lengths.of(adapter)
    users = adapter.user_vectors(np.arange(len(adapter.backbone.users)))
    warm = judge.beside_warm
    rows = np.arange(len(adapter.backbone.items))
    warm_items = None if warm is None else adapter.warm_vectors(rows, adapter.own_blocks)
    samples = [_sample(cohort.users(warm), seed=seed) for cohort in cohorts]
    if not all(len(sample) for sample in samples):
        return adapter

    def score(half: float) -> float:
        total, changed = 0.0, adapter.with_scales(half=half)
        for cohort, among in zip(cohorts, samples, strict=True):
            items = graduate(changed, lengths, blocks.take(cohort.items), cohort.revealed(cohort.depth))
            if warm is None or warm_items is None:
                judged = cohort.alone(users, items, among=among)
            else:
                judged = cohort.beside(users, items, warm, warm_items, among=among)
            total += float(judged.ndcg.mean())
        return total

    return adapter.with_scales(half=best(_HALVES, score, start=adapter.scales.half, gain=_MINIMUM_GAIN))


def _sample(users: Rows, *, seed: int) -> Rows:
    return np.sort(np.random.default_rng(seed).permutation(users)[:_USERS])
