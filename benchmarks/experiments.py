"""Whether verdicts can be trusted, over many seeds: A/A tests, broken splits, delayed feeds, and interleaving's gain.

Shoppers differ in how often they come and how readily they click, and come several times (`coldstart.experiments.
simulation`); their arms are what the service would assign. Nothing is served: this is about the statistics. Ends with
one JSON line.
"""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from benchmarks import command
from coldstart.experiments.analysis import ALPHA, compare
from coldstart.experiments.design import Arm, Experiment, Metric
from coldstart.experiments.lifecycle import start
from coldstart.experiments.metrics import UnitFigures
from coldstart.experiments.power import compare_designs
from coldstart.experiments.report import report_on
from coldstart.experiments.sequential import p_after_each
from coldstart.experiments.simulation import PLACES, Shoppers, Trouble, simulate_log, simulate_units
from coldstart.experiments.verdict import Decision

SHOPPERS = 1_000
DAYS = 14
BEGIN = 1_700_000_000.0


@dataclass(frozen=True)
class Figures:
    """What is printed. Rates are parts of the seeds.

    Attributes
    ----------
    aa_sequential_rejection_rate : float
        Of an A/A test that is looked at after every shopper, and ends at the first p-value below .05.
    aa_daily_rejection_rate : float
        The same, looked at every day while shoppers come back and their figures still grow.
    aa_peeked_rejection_rate : float
        The same days, by the p-value that is made for one look: what looking costs without the sequence.
    aa_unclustered_rejection_rate : float
        One look by a test that takes the places of lists for independent: what the delta method is for.
    aa_refused_rate : float
        Sound A/A logs whose report refuses a verdict, by accident.
    srm_caught, parity_caught : float
        Logs of 3,000 shoppers of whom an arm loses a quarter of its own, and logs in which an arm's features are 60 s
        late, whose report refuses.
    interleaving_ratio : float
        How many times fewer impressions interleaving needs than A/B for the same decision at the same power.
    """

    seeds: int
    aa_rejection_rate: float
    aa_sequential_rejection_rate: float
    aa_daily_rejection_rate: float
    aa_peeked_rejection_rate: float
    aa_unclustered_rejection_rate: float
    aa_variance_reduction: float
    logs: int
    aa_refused_rate: float
    srm_caught: float
    parity_caught: float
    interleaving_ratio: float
    ab_impressions: int
    interleaving_impressions: int
    ab_power: float
    interleaving_power: float


def main() -> None:
    """Run and print."""
    options = command.parser(__doc__, quick="fewer logs and shoppers; A/A stays at 1,000 seeds").parse_args()
    seeds, logs = 1_000, 10 if options.quick else 200
    looks = np.array([aa(seed) for seed in range(seeds)])
    refused = partial(refused_rate, logs=logs)
    designs = compare_designs(shoppers=10_000 if options.quick else 40_000, samples=200 if options.quick else 1_000)
    fixed, sequential, daily, peeked, unclustered, explained = (round(float(rate), 4) for rate in looks.mean(axis=0))
    command.tell(
        Figures(
            seeds, fixed, sequential, daily, peeked, unclustered, explained, logs,
            aa_refused_rate=refused(Trouble(), reason=""),
            srm_caught=refused(Trouble(lost={"new": 0.25}), reason="sample ratio", shoppers=3_000),
            parity_caught=refused(Trouble(delay_s={"new": 60.0}), reason="older"),
            interleaving_ratio=round(designs.ratio, 2), ab_impressions=designs.ab_impressions,
            interleaving_impressions=designs.interleaving_impressions,
            ab_power=designs.ab_power, interleaving_power=designs.interleaving_power,
        )
    )  # fmt: skip


def aa(seed: int) -> tuple[float, ...]:
    """Of an A/A test: whether each way of looking at it rejects, and the part of the variance that history explains."""
    rng = np.random.default_rng(seed)
    experiment = aa_experiment(f"aa-{seed}")
    shoppers = Shoppers.draw(SHOPPERS, rng)
    found = simulate_units(experiment, shoppers, rng)
    whole = compare(found.of_arm(0), found.of_arm(1), expected_units=SHOPPERS)
    always = p_after_each(found, expected_units=SHOPPERS)
    daily = [compare(day.of_arm(0), day.of_arm(1), expected_units=SHOPPERS) for day in _days(found, rng)]
    return (
        whole.p_fixed < ALPHA,
        bool((always < ALPHA).any()),
        any(day.p_always < ALPHA for day in daily),
        any(day.p_fixed < ALPHA for day in daily),
        _unclustered(found) < ALPHA,
        whole.variance_reduction,
    )


def aa_experiment(salt: str) -> Experiment:
    """Two arms that are the same, running."""
    arms = (Arm("old", 0.5), Arm("new", 0.5))
    draft = Experiment(experiment_id=salt, salt=salt, arms=arms, primary=Metric.parse("click_through"))
    return start(draft, [], now=BEGIN)


def refused_rate(trouble: Trouble, *, reason: str, logs: int, shoppers: int = 2_000) -> float:
    """The part of so many logs of which no verdict is given, for this reason."""
    caught = 0
    for seed in range(logs):
        rng = np.random.default_rng(seed)
        experiment = replace(aa_experiment(f"log-{seed}"), expected_units=shoppers)
        exposures, outcomes = simulate_log(experiment, Shoppers.draw(shoppers, rng), rng, trouble=trouble)
        verdict = report_on(experiment, exposures, outcomes, now=BEGIN + 8 * 86_400).verdict
        caught += verdict.decision is Decision.REFUSED and reason in verdict.sentence
    return caught / logs


def _days(found: UnitFigures, rng: np.random.Generator) -> list[UnitFigures]:
    """What is known at the end of each day: shoppers begin on some day, and come back until the last."""
    begin = rng.uniform(0, DAYS, size=len(found.arm))
    when = rng.random((len(begin), int(found.numerator.max(initial=1))))  # each click, as a part of the shopper's time
    when[np.arange(when.shape[1])[None] >= found.numerator[:, None]] = np.inf
    known = []
    for day in range(1, DAYS + 1):
        here = begin < day
        part = (day - begin) / (DAYS - begin)
        shown = np.maximum(np.ceil(found.denominator * part / PLACES) * PLACES, PLACES)
        clicks = (when < (shown / found.denominator)[:, None]).sum(axis=1).astype(np.float64)
        known.append(UnitFigures(found.arm[here], begin[here], clicks[here], shown[here], found.history[here]))
    return known


def _unclustered(found: UnitFigures) -> float:
    """The p-value of a test that takes each place of each list for a unit of its own."""
    from scipy.stats import chi2_contingency

    clicks, shown = (
        np.array([each[found.arm == arm].sum() for arm in (0, 1)]) for each in (found.numerator, found.denominator)
    )
    return float(chi2_contingency(np.array([clicks, shown - clicks]), correction=False).pvalue)


if __name__ == "__main__":
    main()
