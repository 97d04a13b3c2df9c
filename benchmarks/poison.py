"""Items that kill, crash, hang, exhaust or choke the process that encodes them: whether they harm any other.

``python -m benchmarks.poison`` runs a service, a worker of two processes, PostgreSQL and Redis, each a process of its
own, and posts 2,000 items with a text, 20 of which do to their encoder what their titles say (`benchmarks.armed`). In
the end each of the 20 has to be a dead letter after at most 5 tries, and every other item retrievable, without anyone
having started anything again. Ends with one JSON line.
"""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import command, processes
from benchmarks.armed import POISON, POISONS
from coldstart.catalog import Status

MAX_ATTEMPTS = 5
BATCH = 500
SETTLE_S = 1200.0


@dataclass(frozen=True)
class Figures:
    """What became of the items; ``harmed`` are good ones that are not retrievable."""

    items: int
    poisonous: int
    dead_letters: int
    most_tries: int
    retrievable: int
    harmed: int
    worker_alive: bool
    seconds: float


def main() -> None:
    """Run and print."""
    parser = command.parser(__doc__, quick="200 items, 5 of them poison")
    command.add_adapter(parser)
    parser.add_argument("--items", type=int, default=2000, help="items to post (2000)")
    parser.add_argument("--poisonous", type=int, default=20, help="how many of them are poison (20)")
    options = parser.parse_args()
    processes.end_on_sigterm()
    _, adapter = command.served(options.work, adapter=options.adapter)
    items, poisonous = (200, 5) if options.quick else (options.items, options.poisonous)
    with (
        tempfile.TemporaryDirectory(prefix="coldstart-state-") as folder,
        processes.postgresql() as database_url,
        processes.redis() as broker_url,
    ):
        flags = ["--database-url", database_url, "--broker-url", broker_url, "--worker-processes", "2"]
        figures = run(adapter, Path(folder), items=items, poisonous=poisonous, flags=flags)
    command.tell(figures)


def run(adapter: Path, folder: Path, *, items: int, poisonous: int, flags: Sequence[str]) -> Figures:
    """Post the items to a service and a worker on the folder, and wait until each has come to its end.

    ``flags`` of both name a database and a broker that they share.
    """
    started = time.perf_counter()
    arguments = [
        "--data-dir", str(folder / "state"), "--adapter", str(adapter.resolve()), "--no-embedded-worker",
        "--lease-seconds", "5", "--relay-seconds", "0.2", "--max-attempts", str(MAX_ATTEMPTS),
        "--worker-memory-mb", "500", *flags,
    ]  # fmt: skip
    every = items // poisonous
    poison_ids = {f"poison-{n}": POISONS[n // every % len(POISONS)] for n in range(0, every * poisonous, every)}
    posts = [
        {"item_id": f"poison-{n}", "title": f"poison: {poison_ids[f'poison-{n}']}"}
        if f"poison-{n}" in poison_ids
        else {"item_id": f"good-{n}", "title": f"Good item number {n}"}
        for n in range(items)
    ]
    with (
        processes.service(arguments, folder / "service.log") as service,
        processes.worker(arguments, folder / "worker.log", {POISON: "1"}) as worker,
    ):
        known = service.counts()["retrievable"]
        for start in range(0, items, BATCH):
            answer = service.client.post("/items/batch", json={"items": posts[start : start + BATCH]})
            assert answer.raise_for_status().json()["refused"] == 0
        worker.wait_until(
            lambda: service.counts()["dead"] + service.counts()["retrievable"] >= known + items,
            seconds=SETTLE_S, what="an end for every item",
        )  # fmt: skip
        records = [service.client.get(f"/items/{post['item_id']}").raise_for_status().json() for post in posts]
        alive = worker.alive
    dead = [record for record in records if record["status"] == Status.DEAD]
    retrievable = [record for record in records if record["status"] == Status.RETRIEVABLE]
    return Figures(
        items=items,
        poisonous=poisonous,
        dead_letters=sum(record["item_id"] in poison_ids for record in dead),
        most_tries=max((record["attempts"] for record in dead), default=0),
        retrievable=len(retrievable),
        harmed=items - poisonous - sum(record["item_id"] not in poison_ids for record in retrievable),
        worker_alive=alive,
        seconds=round(time.perf_counter() - started, 1),
    )


if __name__ == "__main__":
    main()
