"""A deployment whose every part may be hurt: the service, its workers, their database, their broker, their adapter."""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

from sqlalchemy import func, select

from benchmarks import processes
from benchmarks.armed import INDEX_POINTS, SERVICE_POINTS, TRAPS, WORKER_POINTS
from benchmarks.hostile.saving import LONGEST_S, Saver, saver
from benchmarks.proxy import Proxy, proxied
from benchmarks.rabbitmq import RabbitMQ, rabbitmq_server
from coldstart.catalog.engine import Database
from coldstart.catalog.models import outbox
from coldstart.settings import Settings

WORKERS = 2
BLACKHOLE_S = 1.0
# Longer than a worker's child takes to load its models on a machine that is busy with everything else: it would be
# interrupted at three quarters of its lease, and begin again. What it holds when it is killed waits as long.
LEASE_S = 20.0
SOONEST, LATEST = 3, 100
"""Times that a point is passed before its trap is sprung."""
Broker = processes.Redis | RabbitMQ


class Deployment:
    """The processes of a deployment, each of which may be hurt and is then put up again. Made by `deployed`.

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
        saver: Saver,
        database: processes.PostgreSQL,
        broker: Broker,
        database_proxy: Proxy,
        broker_proxy: Proxy,
        rng: random.Random,
    ) -> None:
        self._flags, self._folder, self._saver, self._rng = [*flags], folder, saver, rng
        self._database, self._broker = database, broker
        self._database_proxy, self._broker_proxy = database_proxy, broker_proxy
        self._starts, self._sprung = 0, 0
        self._injected: Counter[str] = Counter()
        self._logs: list[Path] = []
        self.port = processes.free_port()
        self.database_url = database.url
        self.adapter_version = saver.versions[-1]
        self.service = self._serve(armed=False)
        self.workers = self._staff(armed=True)

    def inject(self, fault: str) -> None:
        """Do one of the faults below, and put up again what has ended meanwhile."""
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
            case "broker_empty":
                self._broker.clear()
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
            case "artifact_kill":
                # It raises where what lies there then is neither the old nor the new. What is served is left as it
                # lies, be it beside its place, where the save was between its two renames.
                if self._saver.kill(self._rng) != self.adapter_version:
                    self._saver.save(self.adapter_version)
            case "adapter_swap":
                self._swap()
            case other:
                raise ValueError(f"{other!r} is no fault")
        self._injected[fault] += 1

    def faults(self) -> dict[str, int]:
        """How many of each kind there were. Children of workers count by their deaths, whoever killed them."""
        children = sum(log.read_text(errors="replace").count("exited with 'signal 9") for log in self._logs)
        named = {fault: times for fault, times in sorted(self._injected.items()) if fault != "child_kill"}
        return {**named, "service_trap": self._sprung, "worker_child": children}

    def revive(self) -> None:
        """Start again what has killed itself."""
        if not self.service.alive:
            self._sprung += 1
            self.service.kill()  # it is dead; its client is not closed yet
            self.service = self._serve(armed=True)
        for worker in self.workers:
            if not worker.alive:
                raise RuntimeError(f"a worker ended by itself:\n{worker.output[-3000:]}")

    def left(self) -> int:
        """See `owed`."""
        return owed(Settings(database_url=self.database_url))

    def start_service(self) -> None:
        """Put up a service that ended in order."""
        self.service = self._serve(armed=False)

    def disarm(self) -> None:
        """Kill whatever may still be armed, and start it without traps."""
        self.kill()
        self.service, self.workers = self._serve(armed=False), self._staff(armed=False)

    def stop(self) -> None:
        """End all processes in order."""
        for process in (*self.workers, self.service):
            if process.alive:
                process.stop()

    def kill(self) -> None:
        """End all processes at once."""
        for process in (*self.workers, self.service):
            process.kill()

    def _swap(self) -> None:
        """End everyone, and start them on the other version, as a killed save has left it."""
        self.stop()
        patience_s = LONGEST_S
        while (version := self._saver.kill(self._rng, within_s=patience_s)) == self.adapter_version:
            patience_s *= 2  # a save takes longer here and now
        self.adapter_version = version
        self.service, self.workers = self._serve(armed=True), self._staff(armed=True)

    def _serve(self, *, armed: bool) -> processes.Service:
        flags = [*self._flags, "--port", str(self.port)]
        traps = self._traps((*SERVICE_POINTS, *INDEX_POINTS)) if armed else None
        while True:
            try:
                return processes.Service(flags, self._log("service"), traps)
            except RuntimeError:
                if traps is None:
                    raise
                self._sprung += 1  # while it started, by what its predecessor had left to do
                traps = None

    def _staff(self, *, armed: bool) -> list[processes.Process]:
        return [self._work(armed=armed) for _ in range(WORKERS)]

    def _work(self, *, armed: bool) -> processes.Process:
        log = self._log("worker")
        self._logs.append(log)
        traps = self._traps(WORKER_POINTS) if armed else None
        return processes.Process(["worker", "--log-level", "WARNING", *self._flags], log, traps)

    def _traps(self, points: Sequence[str]) -> Mapping[str, str]:
        # Most are sprung soon, some late: who dies at every start does nothing else.
        return {TRAPS: f"{self._rng.choice(points)}@{int(SOONEST * (LATEST / SOONEST) ** self._rng.random())}"}

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


@contextmanager
def deployed(
    adapter: Path, folder: Path, settings: Settings, *, rabbitmq: bool, rng: random.Random, flags: Sequence[str] = ()
) -> Iterator[Deployment]:
    """A deployment with servers of its own, on a copy of the adapter; whatever still runs in the end is killed."""
    with ExitStack() as stack:
        saving = stack.enter_context(saver(adapter, folder / "artifacts" / "adapter"))
        database = stack.enter_context(processes.postgresql_server())
        broker: Broker = (
            stack.enter_context(rabbitmq_server()) if rabbitmq else stack.enter_context(processes.redis_server())
        )
        database_proxy = stack.enter_context(proxied(database.socket))
        broker_proxy = stack.enter_context(proxied(broker.port))
        every = [
            "--data-dir", str(settings.data_dir), "--adapter", str(folder / "artifacts" / "adapter"),
            "--database-url", f"postgresql://postgres@127.0.0.1:{database_proxy.port}/postgres",
            "--broker-url", broker.url(broker_proxy.port), "--no-embedded-worker",
            "--lease-seconds", str(LEASE_S), "--relay-seconds", "0.2", "--max-attempts", "50", *flags,
        ]  # fmt: skip
        made = Deployment(
            every, folder, saver=saving, database=database, broker=broker, database_proxy=database_proxy,
            broker_proxy=broker_proxy, rng=rng,
        )  # fmt: skip
        stack.callback(made.kill)
        yield made
