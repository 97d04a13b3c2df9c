"""Items a second through the whole of ingestion, beside what its encoders alone reach in one process.

``python -m benchmarks.ingest [--quick]`` times the floor (`benchmarks.encoders_alone`), then posts 1,500 items
(--quick: 200), each of a text of 60 words and a 224 px JPEG, to a service in one process: its rate is that of the items
that become retrievable once all are accepted. Then the same to a service on PostgreSQL and Redis, with one worker
process and with two: accepted before the workers start, timed while all of them are at it. One thread a process. Ends
with one JSON line.
"""

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import command, encoders_alone, processes, ttr
from coldstart.catalog import ItemRecord, open_item_store
from coldstart.settings import Settings

CATALOGUE = 2000
BATCH = 50
PATIENCE_S = 600.0


@dataclass(frozen=True)
class Figures:
    """Items a second; the workers' are ``None`` where PostgreSQL or Redis is not installed."""

    items: int
    encoder_items_per_s: float
    items_per_s: float
    share_of_encoder: float
    one_worker_items_per_s: float | None
    two_workers_items_per_s: float | None
    two_workers_ratio: float | None


def main() -> None:
    """Run and print."""
    options = command.parser(__doc__, quick="200 items").parse_args()
    processes.end_on_sigterm()
    with tempfile.TemporaryDirectory(prefix="coldstart-ingest-") as folder:
        command.tell(run(Path(folder), items=200 if options.quick else 1500))


def run(folder: Path, *, items: int) -> Figures:
    """Everything in one run, one after the other."""
    ttr.build(folder, CATALOGUE)
    rng = np.random.default_rng(0)
    bodies = [{"item_id": f"new-{n}", **ttr.item(rng)} for n in range(items)]
    encoder = 1000 / float(np.mean(encoders_alone.timed(folder / "adapter", bodies[: items // 2])))
    together = _in_one_process(folder, bodies)
    one: float | None = None
    two: float | None = None
    try:
        one, two = _with_workers(folder, bodies, workers=1), _with_workers(folder, bodies, workers=2)
    except processes.NotInstalled as missing:
        print(f"no workers of their own: {missing}")
    return Figures(
        items=items,
        encoder_items_per_s=round(encoder, 1),
        items_per_s=round(together, 1),
        share_of_encoder=round(together / encoder, 3),
        one_worker_items_per_s=None if one is None else round(one, 1),
        two_workers_items_per_s=None if two is None else round(two, 1),
        two_workers_ratio=None if one is None or two is None else round(two / one, 2),
    )


def _in_one_process(folder: Path, bodies: Sequence[dict[str, Any]]) -> float:
    with ttr.serving(folder, CATALOGUE) as service:
        _post(service, bodies)
        _wait(service, len(bodies))
    done = _retrievable_at(Settings(data_dir=folder / "state"), bodies)
    accepted = max(record.accepted_at for record in done)
    return _rate([at for record in done if (at := record.retrievable_at or 0.0) > accepted])


def _with_workers(folder: Path, bodies: Sequence[dict[str, Any]], *, workers: int) -> float:
    name = f"workers-{workers}"
    with ExitStack() as stack:
        database, broker = stack.enter_context(processes.postgresql(sync=True)), stack.enter_context(processes.redis())
        flags = [
            "--data-dir", str(folder / name), "--adapter", str(folder / "adapter"), "--no-embedded-worker",
            "--database-url", database, "--broker-url", broker,
        ]  # fmt: skip
        service = stack.enter_context(
            processes.service([*flags, "--data", str(folder / "data")], folder / f"{name}.log")
        )
        _wait(service, 0)
        _post(service, bodies)
        for number in range(workers):
            stack.enter_context(processes.worker(flags, folder / f"{name}-{number}.log"))
        _wait(service, len(bodies))
        done = _retrievable_at(Settings(data_dir=folder / name, database_url=database), bodies)
        # Workers do not begin together: what counts is from when all of them are at it.
        begun = sorted(record.encoded_at or 0.0 for record in done)[len(done) // 4]
        return _rate([at for record in done if (at := record.retrievable_at or 0.0) > begun])


def _post(service: processes.Service, bodies: Sequence[dict[str, Any]]) -> None:
    for start in range(0, len(bodies), BATCH):
        some = bodies[start : start + BATCH]
        answer = service.client.post("/items/batch", json={"items": some}).raise_for_status().json()
        assert answer["accepted"] == len(some), answer


def _wait(service: processes.Service, items: int) -> None:
    whole = CATALOGUE + items
    service.wait_until(lambda: service.counts()["retrievable"] == whole, seconds=PATIENCE_S, what="all items")


def _retrievable_at(settings: Settings, bodies: Sequence[dict[str, Any]]) -> list[ItemRecord]:
    with closing(open_item_store(settings.catalog_url)) as store:
        return list(store.get_many([body["item_id"] for body in bodies]).values())


def _rate(times: Sequence[float]) -> float:
    """Items a second between the first and the last of these times."""
    return (len(times) - 1) / (max(times) - min(times))


if __name__ == "__main__":
    main()
