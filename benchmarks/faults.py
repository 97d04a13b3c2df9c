"""Kills, cuts and restarts while a catalogue posts, changes and deletes items: whether every promise is kept.

``python -m benchmarks.faults`` runs a service that owns the embedded index, two workers, PostgreSQL and a broker, Redis
or RabbitMQ, each a process of its own, with a proxy before either server. While four threads post, one fault after
another is injected:

- the service or a worker is killed with SIGKILL, and started again armed: it kills itself at a point in the middle of
  accepting, claiming, encoding or indexing (`benchmarks.armed` lists them), as a worker's children do each time;
- a worker's child is killed;
- the broker is emptied, restarted, its connections are reset, or nothing comes through to it for a second;
- the database is restarted as after a crash, its connections are reset, or nothing comes through to it for a second;
- a process that saves another adapter over the one that is served is killed amid it;
- service and workers end, and start on another adapter that a killed process has left: everything is placed anew.

Who posts sends again until there is an answer, and writes down what was answered. When everything has come to its end
the ledger is compared with the catalogue and the index (`benchmarks.ledger`); then the index is deleted, and compared
with the one that the service rebuilds. Ends with one JSON line; a seed replays the order of faults and posts, though
not the instants. A kill takes processes away, not the machine: what a power cut does is not shown here.
"""

import random
import shutil
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from pathlib import Path

from adapters.artifact import Artifact, load_artifact
from benchmarks import command, processes
from benchmarks.crash import opened_index
from benchmarks.deployment import Deployment, deployed
from benchmarks.ledger import Ledger
from coldstart.catalog import open_item_store
from coldstart.catalog.statements import chunks
from coldstart.index import Point, VectorIndex
from coldstart.settings import Settings
from workers.reconcile import same

QUICK = {
    "child_kill": 10, "broker_empty": 8, "broker_reset": 8, "database_reset": 10, "broker_blackhole": 2,
    "database_blackhole": 2, "broker_restart": 2, "database_restart": 3, "worker_kill": 3, "service_kill": 4,
    "artifact_kill": 4, "adapter_swap": 1,
}  # fmt: skip
SWAPS = 10
"""At most: each has everything placed anew that was accepted so far."""
POSTERS = 4
SETTLE_S = 900.0  # what was accepted is encoded in a hundredth of a second, again after a swap


@dataclass(frozen=True)
class Figures:
    """The invariant's row, what it held under, and how long it took."""

    faults: int
    accepted: int
    lost: int
    stale: int
    resurrected: int
    duplicate_effects: int
    rebuilt_index_equal: bool
    deleted: int
    dead: int
    answers: int
    unanswered: int
    seed: int
    seconds: float
    by_kind: dict[str, int]


def plan(times: int) -> dict[str, int]:
    """The faults of `QUICK` so often, but few swaps."""
    return {fault: min(number * times, SWAPS) if fault == "adapter_swap" else number * times
            for fault, number in QUICK.items()}  # fmt: skip


def run(
    adapter: Path,
    folder: Path,
    *,
    items: int,
    planned: Mapping[str, int],
    seed: int,
    rabbitmq: bool = False,
    flags: Sequence[str] = (),
    on_progress: Callable[[str, int, int, int], None] = lambda fault, done, total, accepted: None,
) -> Figures:
    """Inject the planned faults, in an order drawn by the seed, while so many items are posted."""
    started, rng = time.perf_counter(), random.Random(seed)
    faults = [fault for fault, times in planned.items() for _ in range(times)]
    rng.shuffle(faults)
    settings = Settings(data_dir=folder / "state", adapter=folder / "artifacts" / "adapter")
    with ExitStack() as stack:
        site = stack.enter_context(deployed(adapter, folder, settings, rabbitmq=rabbitmq, rng=rng, flags=flags))
        known = len(load_artifact(adapter).adapter.backbone.items)
        site.service.wait_until(lambda: site.left() == 0, seconds=SETTLE_S, what="the first load")

        ledger = Ledger(f"http://127.0.0.1:{site.port}")
        pool = stack.enter_context(ThreadPoolExecutor(POSTERS, thread_name_prefix="poster"))
        stack.callback(ledger.end)
        posters = [pool.submit(ledger.post, n, items // POSTERS, random.Random(f"{seed}-{n}")) for n in range(POSTERS)]
        for done, fault in enumerate(faults, 1):
            ledger.limit = items * done // len(faults)
            site.inject(fault)
            _wait(lambda: len(ledger.entries) >= ledger.limit, site, posters, what="the posts between two faults")
            on_progress(fault, done, len(faults), len(ledger.entries))
        ledger.limit = items + POSTERS
        _wait(lambda: all(poster.done() for poster in posters), site, posters, what="the last posts")
        site.disarm()
        site.service.wait_until(lambda: site.left() == 0, seconds=SETTLE_S, what="an end for every item")
        site.stop()
        artifact = load_artifact(settings.adapter_dir)
        with closing(open_item_store(site.database_url)) as store, opened_index(settings, artifact) as index:
            row = ledger.check(store, index, known=known, adapter_version=site.adapter_version)
            before = _points(index, ledger.entries)
        rebuilt = _rebuilt(site, settings, artifact, ledger, live=row.indexed + known)
        by_kind = site.faults()
        return Figures(
            faults=sum(by_kind.values()),
            **{name: value for name, value in asdict(row).items() if name != "indexed"},
            rebuilt_index_equal=_equal(before, rebuilt), answers=ledger.answers, unanswered=ledger.unanswered,
            seed=seed, seconds=round(time.perf_counter() - started, 1), by_kind=by_kind,
        )  # fmt: skip


def _wait(condition: Callable[[], bool], site: Deployment, posters: Sequence[Future[None]], *, what: str) -> None:
    deadline = time.monotonic() + SETTLE_S
    while not condition():
        for poster in posters:
            if poster.done():
                poster.result()
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what} did not come about within {SETTLE_S:.0f} s")
        site.revive()
        time.sleep(0.02)


def _points(index: VectorIndex, item_ids: Iterable[str]) -> dict[str, Point]:
    """The live points among these."""
    return {item_id: point for part in chunks(sorted(item_ids)) for item_id, point in index.fetch(part).items()}


def _equal(points: Mapping[str, Point], others: Mapping[str, Point]) -> bool:
    """Whether these are the same items at the same versions with the same vectors.

    Not to the last bit: an index that was left for another adapter's and came back keeps the vectors that it has, while
    the catalogue, from which it is rebuilt, has those of the second encoding, in other batches.
    """
    return points.keys() == others.keys() and all(
        point.version == others[item_id].version and same(point.vector, others[item_id].vector)
        for item_id, point in points.items()
    )


def _rebuilt(
    site: Deployment, settings: Settings, artifact: Artifact, ledger: Ledger, *, live: int
) -> dict[str, Point]:
    """The points of the index that the service makes where there is none."""
    shutil.rmtree(settings.index_dir)
    site.start_service()
    site.service.wait_until(
        lambda: site.left() == 0 and site.service.counts()["retrievable"] >= live, seconds=SETTLE_S, what="a new index"
    )
    site.stop()
    with opened_index(settings, artifact) as index:
        return _points(index, ledger.entries)


class Log:
    """Says on standard error how far it is and, in the end, what took how long."""

    def __init__(self) -> None:
        self._started = self._last = time.perf_counter()
        self._taken: defaultdict[str, list[float]] = defaultdict(list)

    def __call__(self, fault: str, done: int, total: int, accepted: int) -> None:
        """Note a fault that is over; a line now and then."""
        now = time.perf_counter()
        self._taken[fault].append(now - self._last)
        self._last = now
        if done % max(1, total // 40) == 0:
            print(f"{now - self._started:7.0f} s  {done:,} of {total:,} injected, {accepted:,} items", file=sys.stderr)

    def tell(self) -> None:
        """A line for each fault that was injected."""
        for fault, taken in sorted(self._taken.items(), key=lambda pair: -sum(pair[1])):
            print(f"{fault:<20}{len(taken):>6,} times{sum(taken):>9.1f} s", file=sys.stderr)


def main() -> None:
    """Run and print."""
    parser = command.parser(__doc__, quick="about a minute: 400 items, at least 50 faults")
    command.add_adapter(parser)
    parser.add_argument("--items", type=int, default=20_000, help="items to post (20,000)")
    parser.add_argument("--times", type=int, default=34, help="how many times the faults of --quick are injected (34)")
    parser.add_argument("--broker", choices=["redis", "rabbitmq"], default="redis", help="(redis)")
    parser.add_argument("--seed", type=int, default=0, help="of the order of faults and posts (0)")
    options = parser.parse_args()
    processes.end_on_sigterm()
    _, adapter = command.served(options.work, adapter=options.adapter)
    items, times = (400, 1) if options.quick else (options.items, options.times)
    log = Log()
    with tempfile.TemporaryDirectory(prefix="coldstart-state-") as folder:
        figures = run(
            adapter, Path(folder), items=items, planned=plan(times), seed=options.seed,
            rabbitmq=options.broker == "rabbitmq", on_progress=log,
        )  # fmt: skip
    log.tell()
    command.tell(figures)
    broken = figures.lost + figures.stale + figures.resurrected + figures.duplicate_effects
    if broken or not figures.rebuilt_index_equal:
        sys.exit(1)


if __name__ == "__main__":
    main()
