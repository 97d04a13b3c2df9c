"""Kills, cuts and restarts while a catalogue posts, changes and deletes items: whether every promise is kept.

``python -m benchmarks.faults`` runs a service that owns the embedded index, two workers, PostgreSQL and Redis, each a
process of its own, with a proxy before either server. While four threads post, one fault after another is injected:

- the service or a worker is killed with SIGKILL, and started again armed: it kills itself at a point in the middle of
  accepting, claiming, encoding or indexing (`benchmarks.armed` lists them), as a worker's children do each time;
- a worker's child is killed;
- the broker is emptied, restarted, its connections are reset, or nothing comes through to it for a second;
- the database is restarted as after a crash, its connections are reset, or nothing comes through to it for a second.

Who posts sends again until there is an answer, and writes down what was answered. When everything has come to its end
the ledger is compared with the catalogue and the index (`benchmarks.ledger`); then the index is deleted, and compared
with the one that the service rebuilds. Ends with one JSON line; a seed replays the order of faults and posts, though
not the instants. A kill takes processes away, not the machine: what a power cut does is not shown here.
"""

import hashlib
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import redis as redis_client
from rich.progress import Progress
from sqlalchemy import func, select

from adapters.artifact import Artifact, load_artifact
from benchmarks import command, processes
from benchmarks.armed import INDEX_POINTS, SERVICE_POINTS, TRAPS, WORKER_POINTS
from benchmarks.crash import opened_index
from benchmarks.ledger import Ledger
from benchmarks.proxy import Proxy, proxied
from coldstart.catalog import open_item_store
from coldstart.catalog.engine import Database
from coldstart.catalog.models import outbox
from coldstart.catalog.statements import chunks
from coldstart.index import VectorIndex
from coldstart.settings import Settings

QUICK = {
    "child_kill": 10, "broker_flush": 8, "broker_reset": 8, "database_reset": 10, "broker_blackhole": 2,
    "database_blackhole": 2, "broker_restart": 2, "database_restart": 3, "worker_kill": 3, "service_kill": 4,
}  # fmt: skip
POSTERS, WORKERS = 4, 2
BLACKHOLE_S = 1.0
SETTLE_S = 300.0


@dataclass(frozen=True)
class Figures:
    """The invariant's row, and what it held under."""

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


class Site:
    """The processes of a deployment, each of which may be hurt and is then put up again.

    Parameters
    ----------
    flags : sequence of str
        Of service and workers alike.
    folder : Path
        For logs.
    """

    def __init__(
        self,
        flags: Sequence[str],
        folder: Path,
        *,
        database: processes.PostgreSQL,
        broker: processes.Redis,
        database_proxy: Proxy,
        broker_proxy: Proxy,
        rng: random.Random,
    ) -> None:
        self._flags, self._folder, self._rng = [*flags], folder, rng
        self._database, self._broker = database, broker
        self._database_proxy, self._broker_proxy = database_proxy, broker_proxy
        self._starts = 0
        self._logs: list[Path] = []
        self.port = processes.free_port()
        self.sprung = 0
        self.service = self._serve(armed=False)
        self.workers = [self._work(armed=True) for _ in range(WORKERS)]

    def inject(self, fault: str) -> None:
        """Do one of the faults of `QUICK`, and put up again what has ended meanwhile."""
        self.revive()
        match fault:
            case "service_kill":
                self.service.kill()
                self.service = self._serve(armed=True)
            case "worker_kill":
                place = self._rng.randrange(WORKERS)
                self.workers[place].kill()
                self.workers[place] = self._work(armed=True)
            case "child_kill":
                for child in self._rng.choice(self.workers).children()[:1]:
                    with suppress(ProcessLookupError):
                        os.kill(child, signal.SIGKILL)
            case "broker_flush":
                with redis_client.Redis(port=self._broker.port) as client:
                    client.flushall()
            case "broker_restart":
                self._broker.stop()
                self._broker.start()
            case "database_restart":
                self._database.stop()
                self._database.start()
            case "broker_reset":
                self._broker_proxy.reset()
            case "database_reset":
                self._database_proxy.reset()
            case "broker_blackhole":
                _blackhole(self._broker_proxy)
            case "database_blackhole":
                _blackhole(self._database_proxy)
            case other:
                raise ValueError(f"{other!r} is no fault")

    def revive(self) -> None:
        """Start again what has killed itself."""
        if not self.service.alive:
            self.sprung += 1
            self.service.kill()  # it is dead; its client is not closed yet
            self.service = self._serve(armed=True)
        for worker in self.workers:
            if not worker.alive:
                raise RuntimeError(f"a worker ended by itself:\n{worker.output[-3000:]}")

    def left(self) -> int:
        """See `owed`."""
        return owed(Settings(database_url=self._database.url))

    def start_service(self) -> None:
        """Put up a service that ended in order."""
        self.service = self._serve(armed=False)

    def child_deaths(self) -> int:
        """How many children of workers died, by the logs."""
        return sum(log.read_text(errors="replace").count("exited with 'signal 9") for log in self._logs)

    def disarm(self) -> None:
        """Kill whatever may still be armed, and start it without traps."""
        self.service.kill()
        self.service = self._serve(armed=False)
        for place, worker in enumerate(self.workers):
            worker.kill()
            self.workers[place] = self._work(armed=False)

    def stop(self) -> None:
        """End all processes in order."""
        for process in (*self.workers, self.service):
            if process.alive:
                process.stop()

    def kill(self) -> None:
        """End all processes at once."""
        for process in (*self.workers, self.service):
            process.kill()

    def _serve(self, *, armed: bool) -> processes.Service:
        flags = [*self._flags, "--port", str(self.port)]
        traps = self._traps((*SERVICE_POINTS, *INDEX_POINTS)) if armed else None
        while True:
            try:
                return processes.Service(flags, self._log("service"), traps)
            except RuntimeError:
                if traps is None:
                    raise
                self.sprung += 1  # sprung while it started, by what its predecessor had left to do
                traps = None

    def _work(self, *, armed: bool) -> processes.Process:
        log = self._log("worker")
        self._logs.append(log)
        traps = self._traps(WORKER_POINTS) if armed else None
        return processes.Process(["worker", "--log-level", "WARNING", *self._flags], log, traps)

    def _traps(self, points: Sequence[str]) -> Mapping[str, str]:
        return {TRAPS: f"{self._rng.choice(points)}@{self._rng.randint(3, 12)}"}

    def _log(self, name: str) -> Path:
        self._starts += 1
        return self._folder / f"{self._starts:04d}-{name}.log"


def owed(settings: Settings) -> int:
    """Rows of the outbox that have not come to their end, due or not."""
    with closing(Database(settings.catalog_url)) as database, database.read() as tx:
        return tx.execute(select(func.count()).where(outbox.c.due_at.is_not(None))).scalar_one()


def _blackhole(proxy: Proxy) -> None:
    proxy.blackhole()
    time.sleep(BLACKHOLE_S)
    proxy.restore()


def run(
    adapter: Path,
    folder: Path,
    *,
    items: int,
    plan: Mapping[str, int],
    seed: int,
    flags: Sequence[str] = (),
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Figures:
    """Inject the planned faults, in an order drawn by the seed, while so many items are posted."""
    started, rng = time.perf_counter(), random.Random(seed)
    faults = [fault for fault, times in plan.items() for _ in range(times)]
    rng.shuffle(faults)
    artifact = load_artifact(adapter)
    settings = Settings(data_dir=folder / "state")
    with ExitStack() as stack:
        database = stack.enter_context(processes.postgresql_server())
        broker = stack.enter_context(processes.redis_server())
        database_proxy = stack.enter_context(proxied(database.socket))
        broker_proxy = stack.enter_context(proxied(broker.port))
        every = [
            "--data-dir", str(settings.data_dir), "--adapter", str(adapter.resolve()), "--no-embedded-worker",
            "--database-url", f"postgresql://postgres@127.0.0.1:{database_proxy.port}/postgres",
            "--broker-url", f"redis://127.0.0.1:{broker_proxy.port}/0",
            "--lease-seconds", "5", "--relay-seconds", "0.2", "--max-attempts", "50", *flags,
        ]  # fmt: skip
        site = Site(
            every, folder, database=database, broker=broker, database_proxy=database_proxy, broker_proxy=broker_proxy,
            rng=rng,
        )  # fmt: skip
        stack.callback(site.kill)
        known = len(artifact.adapter.backbone.items)
        site.service.wait_until(lambda: site.left() == 0, seconds=SETTLE_S, what="the first load")

        ledger = Ledger(f"http://127.0.0.1:{site.port}")
        pool = stack.enter_context(ThreadPoolExecutor(POSTERS, thread_name_prefix="poster"))
        stack.callback(ledger.end)
        posters = [pool.submit(ledger.post, n, items // POSTERS, random.Random(f"{seed}-{n}")) for n in range(POSTERS)]
        for done, fault in enumerate(faults, 1):
            ledger.limit = items * done // len(faults)
            site.inject(fault)
            _wait(lambda: len(ledger.entries) >= ledger.limit, site, posters, what="the posts between two faults")
            on_progress(done, len(faults))
        ledger.limit = items + POSTERS
        _wait(lambda: all(poster.done() for poster in posters), site, posters, what="the last posts")
        site.disarm()
        site.service.wait_until(lambda: site.left() == 0, seconds=SETTLE_S, what="an end for every item")
        site.stop()
        with closing(open_item_store(database.url)) as store, opened_index(settings, artifact) as index:
            row = ledger.check(store, index, known=known)
            before = _digest(index, ledger.entries)
        rebuilt = _rebuilt(site, settings, artifact, ledger, live=row.indexed + known)
        return Figures(
            faults=len(faults) - plan.get("child_kill", 0) + site.sprung + site.child_deaths(),
            **{name: value for name, value in asdict(row).items() if name != "indexed"},
            rebuilt_index_equal=rebuilt == before, answers=ledger.answers, unanswered=ledger.unanswered, seed=seed,
            seconds=round(time.perf_counter() - started, 1),
        )  # fmt: skip


def _wait(condition: Callable[[], bool], site: Site, posters: Sequence[Future[None]], *, what: str) -> None:
    deadline = time.monotonic() + SETTLE_S
    while not condition():
        for poster in posters:
            if poster.done():
                poster.result()
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what} did not come about within {SETTLE_S:.0f} s")
        site.revive()
        time.sleep(0.02)


def _digest(index: VectorIndex, item_ids: Iterable[str]) -> str:
    """SHA-256 over the id, version and vector of each live point among these."""
    digest = hashlib.sha256()
    for part in chunks(sorted(item_ids)):
        points = index.fetch(part)
        for item_id in sorted(points):
            point = points[item_id]
            digest.update(f"{item_id} {point.version} ".encode() + point.vector.tobytes())
    return digest.hexdigest()


def _rebuilt(site: Site, settings: Settings, artifact: Artifact, ledger: Ledger, *, live: int) -> str:
    """The digest of the index that the service makes where there is none."""
    shutil.rmtree(settings.index_dir)
    site.start_service()
    site.service.wait_until(
        lambda: site.left() == 0 and site.service.counts()["retrievable"] >= live, seconds=SETTLE_S, what="a new index"
    )
    site.stop()
    with opened_index(settings, artifact) as index:
        return _digest(index, ledger.entries)


def main() -> None:
    """Run and print."""
    parser = command.parser(__doc__, quick="about a minute: 400 items, some 50 faults")
    command.add_adapter(parser)
    parser.add_argument("--items", type=int, default=20_000, help="items to post (20,000)")
    parser.add_argument("--times", type=int, default=40, help="how many times the faults of --quick are injected (40)")
    parser.add_argument("--seed", type=int, default=0, help="of the order of faults and posts (0)")
    options = parser.parse_args()
    processes.end_on_sigterm()
    _, adapter = command.served(options.work, adapter=options.adapter)
    items, times = (400, 1) if options.quick else (options.items, options.times)
    with (
        tempfile.TemporaryDirectory(prefix="coldstart-state-") as folder,
        Progress(disable=not sys.stderr.isatty()) as bars,
    ):
        task = bars.add_task("faults")
        figures = run(
            adapter, Path(folder), items=items, seed=options.seed,
            plan={fault: number * times for fault, number in QUICK.items()},
            on_progress=lambda done, total: bars.update(task, completed=done, total=total),
        )  # fmt: skip
    command.tell(figures)
    if figures.lost or figures.stale or figures.resurrected or figures.duplicate_effects:
        sys.exit(1)


if __name__ == "__main__":
    main()
