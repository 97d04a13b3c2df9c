"""The process behind ``coldstart worker``."""

from celery.apps.worker import Worker

from coldstart.settings import Settings
from coldstart.telemetry import configure_logging
from workers.runtime import open_worker


def run_worker(settings: Settings) -> None:
    """Ingest until a signal ends the process; the task that runs is finished first.

    One item batch at a time (pool ``solo``): a process is one encoder's worth of processor, and more processes scale.
    Models are loaded by the first task, in the thread that uses them.
    """
    configure_logging(settings.log_level)
    with open_worker(settings) as (app, queues):
        app.set_current()
        worker = Worker(
            app=app, pool_cls="solo", concurrency=1, queues=list(queues), quiet=True, loglevel=settings.log_level,
            without_gossip=True, without_mingle=True, without_heartbeat=True,
        )  # fmt: skip
        worker.start()
