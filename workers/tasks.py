"""The two tasks. Neither takes an argument: a message says only that there may be something to do."""

import logging
import time
from collections.abc import Callable

from celery import Celery
from kombu.exceptions import OperationalError

from workers.app import ENCODE, INDEX, WAKE_EXPIRES_S

_log = logging.getLogger(__name__)

TASK_NAMES = {ENCODE: "coldstart.encode_due", INDEX: "coldstart.apply_due"}
# A third of the soft time limit: what is left is woken again, and other queues get their turn.
DRAIN_S = 30.0


def register(app: Celery, *, encode_due: Callable[[], int], apply_due: Callable[[], int]) -> None:
    """Bind the tasks to the functions that do a batch and say how many items it had."""

    def encode() -> None:
        drain(encode_due)

    def apply() -> None:
        drain(apply_due)

    # Shared, the default, would hand these functions to every other application of the process.
    app.task(name=TASK_NAMES[ENCODE], shared=False)(encode)
    app.task(name=TASK_NAMES[INDEX], shared=False)(apply)


def drain(step: Callable[[], int], *, seconds: float = DRAIN_S, clock: Callable[[], float] = time.monotonic) -> int:
    """Repeat a step until it finds nothing due or the time is up; returns the items handled.

    >>> batches = iter([3, 2, 0])
    >>> drain(lambda: next(batches))
    5
    """
    deadline = clock() + seconds
    handled = 0
    while (found := step()) > 0:
        handled += found
        if clock() >= deadline:
            break
    return handled


def wake(app: Celery, queue: str) -> bool:
    """Send one wake-up call; ``False`` where the broker did not take it, which costs time and never an item."""
    try:
        app.send_task(TASK_NAMES[queue], queue=queue, expires=WAKE_EXPIRES_S, retry=False, ignore_result=True)
    except (OperationalError, OSError) as error:
        _log.warning("wake-up not sent", extra={"queue": queue, "error": repr(error)})
        return False
    return True
