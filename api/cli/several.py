"""Several service processes on one address: uvicorn starts them, replaces those that die, and ends them together."""

import logging
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Timer

from fastapi import FastAPI
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors.multiprocess import Multiprocess

from api.app import create_app
from api.cli.serve import announce, loading
from api.draining import config_of
from coldstart.dataset import read_dataset
from coldstart.errors import InvalidInput, Unavailable
from coldstart.folder import alone
from coldstart.settings import Settings
from coldstart.telemetry import METRICS_DIR, configure_logging
from workers.app import is_in_process
from workers.runtime import Runtime, open_runtime

_log = logging.getLogger(__name__)
HANGS_S = 60
"""A process that says nothing for so long is replaced: at its start it is busy importing for some seconds."""


def require_shared(settings: Settings) -> None:
    """Raise `InvalidInput` where something that several processes need is of one process alone."""
    wanted = {
        "qdrant_url": (settings.qdrant_url is None, "the embedded index has one owner",
                       "Name a Qdrant server with --qdrant-url"),
        "database_url": (settings.embeds_catalog, "a SQLite file takes one writer at a time",
                         "Name a PostgreSQL database with --database-url"),
        "broker_url": (is_in_process(settings.broker_url), "memory:// is a broker within one process",
                       "Name a broker with --broker-url redis://... or amqp://..."),
        "rate_limit": (settings.rate_limit is not None and settings.rates_url is None,
                       "each process would count requests by itself", "Name a Redis with --redis-url"),
    }  # fmt: skip
    for name, (missing, why, remedy) in wanted.items():
        if missing:
            raise InvalidInput(
                f"{settings.processes} processes cannot serve together: {why}", subject=name,
                remedy=f"{remedy}, or serve with --processes 1",
            )  # fmt: skip


def run_together(settings: Settings, listener: socket.socket, data: Path | None) -> None:
    """Serve on the socket in ``settings.processes`` processes until a signal; `Unavailable` where one cannot start.

    SIGHUP replaces them one after the other, SIGTTIN and SIGTTOU add one and end one.
    """
    configure_logging(settings.log_level)
    if data is not None:
        read_dataset(data)  # said here, once, where it cannot be read
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="coldstart-metrics-") as folder:
        os.environ[METRICS_DIR] = folder
        config = config_of(
            partial(application, settings, data), factory=True, workers=settings.processes,
            timeout_worker_healthcheck=HANGS_S,
        )  # fmt: skip
        supervisor = _Supervisor(config, [listener])
        supervisor.drain_s = settings.drain_seconds
        announce(listener)
        supervisor.run()
    if any(process.exitcode == STARTUP_FAILURE for process in supervisor.processes):
        raise Unavailable("a process could not start", subject="serve", remedy="See the reason in the log above")


def application(settings: Settings, data: Path | None) -> FastAPI:
    """One process' application; called by uvicorn within it."""
    configure_logging(settings.log_level)
    app = create_app(settings, opening=lambda: _opened(settings, data))
    signal.signal(signal.SIGUSR1, lambda *_: app.state.readiness.drain())
    return app


@contextmanager
def _opened(settings: Settings, data: Path | None) -> Iterator[Runtime]:
    with ExitStack() as stack:
        with alone(settings.data_dir):  # what a start puts right is put right by one after the other
            runtime = stack.enter_context(open_runtime(settings))
        if runtime.duty.mine():
            stack.enter_context(loading(runtime, None if data is None else read_dataset(data)))
        yield runtime


class _Supervisor(Multiprocess):
    """Lets the processes be not ready for a while before it ends them, as `api.draining.Server` does alone.

    Beside that it notices at once when one dies.
    """

    drain_s = 0.0
    _draining = False

    def keep_subprocess_alive(self) -> None:
        """Called twice a second; the death of one that is just being asked how it is ends the wait for its answer."""
        for process in self.processes:
            process.child_conn.close()  # the copy here, which would keep the connection open
        super().keep_subprocess_alive()

    def handle_term(self) -> None:
        """Called after SIGTERM; a second one ends them at once."""
        if self._draining or not self.drain_s:
            super().handle_term()
            return
        self._draining = True
        _log.warning("draining", extra={"seconds": self.drain_s})
        for process in self.processes:
            if process.pid is not None:
                with suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGUSR1)
        timer = Timer(self.drain_s, self.should_exit.set)
        timer.daemon = True
        timer.start()
