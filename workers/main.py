"""The process behind ``coldstart worker``."""

import resource
from typing import Any

from celery.apps.worker import Worker
from celery.concurrency.prefork import TaskPool
from celery.signals import worker_process_init

from coldstart.settings import Settings
from coldstart.telemetry import configure_logging
from workers.ingestion import make_worker


class Pool(TaskPool):  # type: ignore[misc]  # celery has no types here
    """Replaces a child that died while the broker was not there yet, as it does later."""

    def did_start_ok(self) -> bool:
        """Asked when the broker is first reached; ``False`` would end the worker."""
        return True


def run_worker(settings: Settings) -> None:
    """Ingest until a signal ends the process; the tasks that run are finished first.

    It only watches: the work is done in child processes (pool ``prefork``), each one encoder's worth of processor. One
    that dies of an item, hangs in it or takes too much memory is replaced, and the item is tried again alone.
    """
    configure_logging(settings.log_level)
    app, queues = make_worker(settings)

    def cap_memory(**_: Any) -> None:
        most = 2 * settings.worker_memory_mb * 1_000_000
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))

    worker_process_init.connect(cap_memory, weak=False)
    app.set_current()
    worker = Worker(
        app=app, pool_cls=Pool, concurrency=settings.worker_processes, queues=list(queues), quiet=True,
        loglevel=settings.log_level, without_gossip=True, without_mingle=True, without_heartbeat=True,
    )  # fmt: skip
    worker.start()
