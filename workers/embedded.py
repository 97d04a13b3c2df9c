"""A Celery worker in a thread of the service."""

import logging
import threading
import time
from collections.abc import Sequence

from celery import Celery
from celery.worker import WorkController, state

from coldstart.errors import Unavailable
from workers.tasks import wake

_log = logging.getLogger(__name__)

START_TIMEOUT_S = 30.0


class EmbeddedWorker:
    """Consumes queues in a thread of this process, one task at a time (pool ``solo``).

    Celery keeps the state of *the* worker in a module, so a process can run one of these at a time.

    Parameters
    ----------
    app : Celery
        With its tasks registered.
    queues : sequence of str
        Names of the queues to consume.
    """

    def __init__(self, app: Celery, queues: Sequence[str]) -> None:
        self._app, self._queues = app, tuple(queues)
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="coldstart-worker", daemon=True)

    def start(self, *, wait: bool = True) -> None:
        """Start consuming; with ``wait``, return once the queues are open."""
        state.should_stop = state.should_terminate = None
        self._thread.start()
        deadline = time.monotonic() + START_TIMEOUT_S
        while wait and not self._ready.wait(0.1):
            if self.alive and time.monotonic() < deadline:
                continue
            self.stop()
            raise Unavailable("the worker does not reach its broker", subject=_address(self._app))

    def stop(self, *, timeout_s: float = 10.0) -> bool:
        """End after the task that runs now; ``True`` where it did within the time.

        Setting the module's flag is the one way that neither hangs on a lost broker nor cuts a running task short.
        """
        state.should_stop = 0
        deadline = time.monotonic() + timeout_s
        # The loop looks at the flag between two waits of up to two seconds each; a message ends a wait.
        _ = wake(self._app, self._queues[-1]) and wake(self._app, self._queues[-1])
        self._thread.join(max(0.0, deadline - time.monotonic()))
        if self.alive:
            _log.warning("the worker is left behind in a task that does not end")
        return not self.alive

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def _run(self) -> None:
        self._app.set_current()  # of this thread: where Celery looks up the tasks that messages name
        worker = WorkController(
            app=self._app,
            hostname="coldstart@embedded",
            pool_cls="solo",
            concurrency=1,
            queues=list(self._queues),
            without_gossip=True,
            without_mingle=True,
            without_heartbeat=True,
            ready_callback=lambda _: self._ready.set(),
        )
        worker.start()


def _address(app: Celery) -> str:
    """The broker without its password."""
    return str(app.connection_for_write().as_uri())
