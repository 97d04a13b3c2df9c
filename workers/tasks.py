"""The two tasks. Neither takes an argument: a message says only that there may be something to do."""

import logging
import time
from collections.abc import Callable

from celery import Celery
from kombu.exceptions import OperationalError

from workers.app import ENCODE, INDEX, WAKE_EXPIRES_S

_log = logging.getLogger(__name__)

TASK_NAMES = {ENCODE: "coldstart.encode_due", INDEX: "coldstart.apply_due"}
# Then the other queue gets its turn: a backlog of the one must delay neither a fresh item nor a delete, nor the end of
# the process, for longer than this and one batch.
TURN_S = 0.1


def register(app: Celery, *, encode_due: Callable[[], int], apply_due: Callable[[], int]) -> None:
    """Bind the tasks to the functions that do a batch and say how many items it had."""

    def bind(queue: str, step: Callable[[], int]) -> None:
        def task() -> None:
            if not drain(step):
                wake(app, queue)

        # Shared, the default, would hand the function to every other application of the process.
        app.task(name=TASK_NAMES[queue], shared=False)(task)

    bind(ENCODE, encode_due)
    bind(INDEX, apply_due)


def drain(step: Callable[[], int], *, seconds: float = TURN_S, clock: Callable[[], float] = time.monotonic) -> bool:
    """Repeat a step until it finds nothing due, or the time is up: ``False``, since more may be due then.

    >>> batches = iter([3, 2, 0])
    >>> drain(lambda: next(batches), seconds=60)
    True
    """
    deadline = clock() + seconds
    while step() > 0:
        if clock() >= deadline:
            return False
    return True


def wake(app: Celery, queue: str) -> bool:
    """Send one wake-up call; ``False`` where the broker did not take it, which costs time and never an item."""
    try:
        app.send_task(TASK_NAMES[queue], queue=queue, expires=WAKE_EXPIRES_S, retry=False, ignore_result=True)
    except (OperationalError, OSError) as error:
        _log.warning("wake-up not sent", extra={"queue": queue, "error": repr(error)})
        return False
    return True
