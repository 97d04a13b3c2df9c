"""A backfill beside a service, killed and resumed: its speed, what it loses, and what it costs whoever posts meanwhile.

``python -m benchmarks.backfill [--quick]`` serves 2,000 warm items, measures the time to recommendable of posted items
on the idle service, then loads 20,000 items (--quick: 600) with a text of 60 words and a 224 px JPEG each from a
parquet file, kills the load with SIGKILL and resumes it, and posts items all the while. Every row is looked for at the
end, at its version. Ends with one JSON line.
"""

import tempfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np

from benchmarks import bulk, command, processes, ttr
from coldstart.catalog import Status, open_item_store
from coldstart.settings import Settings

WARM = 2000
PAUSE_S = 0.2


@dataclass(frozen=True)
class Figures:
    """``lost``: rows that are not retrievable at the end; ``twice``: those that became more than one version."""

    items: int
    seconds: float
    items_per_s: float
    kills: int
    lost: int
    twice: int
    posted: int
    idle_ttr_p95_ms: float
    backfill_ttr_p95_ms: float
    ttr_ratio: float


def main() -> None:
    """Run and print."""
    arguments = command.parser(__doc__, quick="fewer items and kills").parse_args()
    rows, kills, posts = (600, 2, 60) if arguments.quick else (20_000, 10, 300)
    with tempfile.TemporaryDirectory(prefix="coldstart-benchmark-") as name:
        folder = Path(name)
        ttr.build(folder, WARM)
        rng, source = np.random.default_rng(3), folder / "bulk"
        bulk.write_source(source, (ttr.item(rng) for _ in range(rows)))
        with ttr.serving(folder, WARM) as service:
            command.tell(measure(service, folder, source, rows=rows, kills=kills, posts=posts))


def measure(service: processes.Service, folder: Path, source: Path, *, rows: int, kills: int, posts: int) -> Figures:
    """The figures of one service and one source."""
    rng = np.random.default_rng(1)
    ttr.post(service.client, rng, 5, "warm-up")
    _, idle_ms = ttr.post(service.client, rng, posts, "idle")
    state = folder / "state"
    started = perf_counter()
    with ttr.posting(service.url, pause_s=PAUSE_S) as busy_ms:
        load_with_kills(source, state, rows=rows, kills=kills)
    seconds = perf_counter() - started
    with closing(open_item_store(Settings(data_dir=state).catalog_url)) as store:
        records = store.get_many([f"bulk-{n}" for n in range(rows)])
    there = [record for record in records.values() if record.status is Status.RETRIEVABLE]
    idle, busy = (float(np.percentile(times, 95)) for times in (idle_ms, busy_ms))
    return Figures(
        items=rows, seconds=round(seconds, 1), items_per_s=round(rows / seconds, 1), kills=kills,
        lost=rows - len(there), twice=sum(record.version != 1 for record in records.values()),
        posted=len(busy_ms), idle_ttr_p95_ms=round(idle, 1), backfill_ttr_p95_ms=round(busy, 1),
        ttr_ratio=round(busy / idle, 2),
    )  # fmt: skip


def load_with_kills(source: Path, state: Path, *, rows: int, kills: int) -> None:
    """Load it all, killed so often at even distances and resumed at once each time."""
    for n in range(kills + 1):
        with bulk.loading(source, state, resume=n > 0) as process:
            bulk.wait_for_rows(process, state, rows * (n + 1) // (kills + 1))


if __name__ == "__main__":
    main()
