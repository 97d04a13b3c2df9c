"""How many CPU-seconds training takes: to where published code is after 120 of them, and to the end.

``python -m benchmarks.train [CITEULIKE ML1M]`` trains torch-geometric's LightGCN on the warm clicks of CiteULike-a's
split ``aldi`` and Cornac's NeuMF on MovieLens 1M without two clicks of each user, 120 CPU-seconds each, and then this
code to the same Recall@20 (of all warm items) and HR@10 (of 100 candidates): first at the settings of the reference,
then with one change after another. All of it runs on one thread, and judging is not counted.

Last, backbones are trained to the end as ``coldstart train backbone`` does it: what is chosen on validation clicks, and
how long that takes, is part of it. Beside them stands ALS whose weights are searched in the same way; and an adapter is
trained on the LightGCN. Ends with one JSON line.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean
from typing import Any, TypeVar

import torch
from threadpoolctl import threadpool_limits

from benchmarks import command
from benchmarks.train import finals, references, steps
from benchmarks.train.course import Course
from benchmarks.train.finals import Final
from benchmarks.train.tasks import LeaveOneOut, Ranking, leave_one_out, read_ranking
from coldstart.backbones.als_tuning import scaled_weights
from coldstart.backbones.config import ALSConfig, LightGCNConfig, NeuMFConfig

DATA = Path(__file__).parents[3] / "shared" / "data"
BUDGET_S, QUICK_BUDGET_S = 120.0, 4.0
QUICK_EVERY = 4  # of how many users of MovieLens one is taken
_QUICK_CITEULIKE = ALSConfig(d=64, alpha=100.0, regularisation=30.0)
_QUICK_ML1M = ALSConfig(d=64, alpha=5.0, regularisation=10.0)
"""Near what the full run chooses on validation."""
_QUICK: Mapping[str, Any] = {"epochs": 1}

Task = TypeVar("Task")
Config = TypeVar("Config")


@dataclass(frozen=True)
class Figures:
    """What the line of JSON says; seconds are CPU-seconds of one thread, scores means over seeds.

    A speed-up is that of a model as wide as the reference's, and beside it that of the default width.
    """

    lightgcn_speedup: float
    neumf_speedup: float
    lightgcn_recall20: float
    als_recall20: float
    neumf_hr10: float
    als_hr10: float
    lightgcn_default_speedup: float
    neumf_default_speedup: float
    reference_recall20: float
    reference_hr10: float
    lightgcn_s: float
    als_s: float
    neumf_s: float
    adapter_s: float


def main() -> None:
    """Run and print."""
    parser = command.parser(
        __doc__,
        quick=f"{QUICK_BUDGET_S:g} CPU-seconds for references, one epoch to the end, weights of ALS given, "
        "every fourth user of MovieLens",
    )
    parser.add_argument("citeulike", nargs="?", type=Path, default=DATA / "citeulike-a", help="data set folder")
    parser.add_argument("ml1m", nargs="?", type=Path, default=DATA / "ml1m-mm", help="data set folder")
    parser.add_argument("--split", default="aldi", help="published split of the first (aldi)")
    parser.add_argument("--seeds", type=int, default=1, help="how often backbones are trained to the end (1)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    budget, first = (QUICK_BUDGET_S, -2) if options.quick else (BUDGET_S, 0)
    with threadpool_limits(1):
        ranking = read_ranking(options.citeulike, options.split)
        *lightgcn_speedups, reference_recall = compared(
            ranking, budget, references.geometric_lightgcn, "torch-geometric", steps.run_lightgcn,
            steps.LIGHTGCN[first:], "Recall@20",
        )  # fmt: skip
        lightgcn, als, adapter_s = recalls(ranking, seeds=options.seeds, quick=options.quick)
        hits = leave_one_out(options.ml1m, every=QUICK_EVERY if options.quick else 1)
        *neumf_speedups, reference_hits = compared(
            hits, budget, references.cornac_neumf, "Cornac", steps.run_neumf, steps.NEUMF[first:], "HR@10",
        )  # fmt: skip
        neumf, hits_als = hit_rates(hits, seeds=options.seeds, quick=options.quick)
    command.tell(
        Figures(
            lightgcn_speedups[0], neumf_speedups[0], lightgcn.score, als.score, neumf.score, hits_als.score,
            lightgcn_speedups[1], neumf_speedups[1], reference_recall, reference_hits,
            lightgcn.seconds, als.seconds, neumf.seconds, round(adapter_s, 1),
        )
    )  # fmt: skip


def compared(
    task: Task,
    budget: float,
    reference: Callable[[Task, Course], None],
    name: str,
    run: Callable[[Task, Config, Course], None],
    rows: Sequence[tuple[str, Config]],
    measure: str,
) -> tuple[float, float, float]:
    """How many times fewer CPU-seconds the last two steps take to the reference's best score, and that score."""
    course = Course(budget=budget)
    reference(task, course)
    target, took = course.best, course.seconds
    print(f"{'to the ' + measure + ' of the first row':<40}{'CPU-s':>8}{measure:>11}{'times faster':>14}")
    print(f"{name:<40}{took:>8.1f}{target:>11.4f}{1:>14.1f}", flush=True)
    speedups: list[float] = []
    for step, config in rows:
        course = Course(budget=budget, target=target)
        run(task, config, course)
        seconds = course.reached(target)
        speedups.append(0.0 if seconds is None else round(took / seconds, 1))
        told = "not reached" if seconds is None else f"{speedups[-1]:.1f}"
        print(f"{step:<40}{course.points[-1].seconds:>8.1f}{course.points[-1].score:>11.4f}{told:>14}", flush=True)
    return speedups[-2], speedups[-1], round(target, 4)


def recalls(task: Ranking, *, seeds: int, quick: bool) -> tuple[Final, Final, float]:
    """LightGCN and ALS to the end, and the CPU-seconds of an adapter on the last LightGCN.

    The LightGCN is the one that starts from ALS with weights scaled to the data: no time goes to a search for them.
    """
    searched = _QUICK_CITEULIKE if quick else ALSConfig()
    alpha, regularisation = scaled_weights(task.train, searched)
    scaled = replace(searched, alpha=alpha, regularisation=regularisation)
    print(f"{'to the end':<40}{'CPU-s':>8}{'Recall@20':>11}")
    als = averaged("tuned ALS", [finals.train_als(task, searched, seed=seed) for seed in range(seeds)])
    finished, starts = [], {"LightGCN from scaled ALS": scaled}
    if not quick:
        starts["LightGCN from tuned ALS"] = searched
    for name, start in starts.items():
        config = LightGCNConfig(d=start.d, als=start, **(_QUICK if quick else {}))
        made = [finals.train_lightgcn(task, config, seed=seed) for seed in range(seeds)]
        finished.append(averaged(name, [final for final, _ in made]))
    adapter = finals.adapter_seconds(task, made[-1][1], quick=quick)
    print(f"{'an adapter on it':<40}{adapter:>8.1f}", flush=True)
    return finished[0], als, adapter


def hit_rates(task: LeaveOneOut, *, seeds: int, quick: bool) -> tuple[Final, Final]:
    """NeuMF and ALS of the same width to the end."""
    start = _QUICK_ML1M if quick else ALSConfig(d=NeuMFConfig().d)
    config = NeuMFConfig(d=start.d, als=start, **(_QUICK if quick else {}))
    print(f"{'to the end':<40}{'CPU-s':>8}{'HR@10':>11}")
    als = averaged("tuned ALS", [finals.train_als_for_hits(task, start, seed=seed) for seed in range(seeds)])
    return averaged("NeuMF from it", [finals.train_neumf(task, config, seed=seed) for seed in range(seeds)]), als


def averaged(name: str, runs: Sequence[Final]) -> Final:
    """Their mean, and a line that tells it."""
    row = Final(round(mean(r.seconds for r in runs), 1), round(mean(r.score for r in runs), 4))
    print(f"{name:<40}{row.seconds:>8.1f}{row.score:>11.4f}", flush=True)
    return row


if __name__ == "__main__":
    main()
