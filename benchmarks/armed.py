"""``coldstart`` with traps set in it: ``python -m benchmarks.armed serve ...`` dies where it is told to.

The traps are wrapped around the product's own functions in this process; the product knows nothing of them.
``COLDSTART_TEST_TRAPS`` lists them as ``POINT@N``: at the Nth time that the process passes the point, it kills itself.

``COLDSTART_TEST_POISON`` lets the encoder do what an item's title asks for: ``kill``, ``segfault``, ``hang`` (in native
code, deaf to everything but SIGKILL), ``exhaust`` (memory without end) or ``choke`` (an exception).
"""

import ctypes
import functools
import os
import signal
import threading
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeVar

from sqlalchemy import Engine, event

P = ParamSpec("P")
R = TypeVar("R")

TRAPS = "COLDSTART_TEST_TRAPS"
POISON = "COLDSTART_TEST_POISON"
SERVICE_POINTS = ("accept.before_commit", "accept.after_commit", "accept.after_wake", "relay.after_send")
INDEX_POINTS = ("index.after_claim", "index.after_upsert", "index.before_done")
WORKER_POINTS = ("worker.after_claim", "worker.after_encode", "worker.before_store", "worker.after_store")
POINTS = (*SERVICE_POINTS, *INDEX_POINTS, *WORKER_POINTS)
POISONS = ("kill", "segfault", "hang", "exhaust", "choke")


class Trap:
    """Counts how often a point is passed, and kills the process once."""

    def __init__(self, at: int) -> None:
        self._left = at
        self._lock = threading.Lock()

    def spring(self) -> None:
        """Pass the point."""
        with self._lock:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


def parse(traps: str) -> dict[str, Trap]:
    """``worker.after_claim@3,...`` as traps by point."""
    parsed = {}
    for trap in filter(None, traps.split(",")):
        point, _, at = trap.partition("@")
        if point not in POINTS:
            raise ValueError(f"{point!r} is no point: there are {', '.join(POINTS)}")
        parsed[point] = Trap(int(at))
    return parsed


def arm(traps: dict[str, Trap]) -> None:
    """Wrap the functions around which there is a trap."""
    from coldstart.catalog import Stage
    from coldstart.catalog.store import SqlItemStore
    from coldstart.index.edge import EdgeIndex
    from workers import ingestion
    from workers.encoding import BatchEncoder
    from workers.runtime import Runtime

    def spring(point: str) -> None:
        if point in traps:
            traps[point].spring()

    accepting = threading.local()

    @event.listens_for(Engine, "commit")
    def before_commit(_: object) -> None:
        if getattr(accepting, "now", False):
            spring("accept.before_commit")

    def accept(original: Callable[P, R]) -> Callable[P, R]:
        def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
            accepting.now = True
            try:
                answer = original(*args, **kwargs)
            finally:
                accepting.now = False
            spring("accept.after_commit")
            return answer

        return wrapped

    def claim(original: Callable[..., Sequence[Any]]) -> Callable[..., Sequence[Any]]:
        def wrapped(store: SqlItemStore, stage: Stage, **options: Any) -> Sequence[Any]:
            claims = original(store, stage, **options)
            if claims:
                spring("worker.after_claim" if stage is Stage.ENCODE else "index.after_claim")
            return claims

        return wrapped

    _wrap(SqlItemStore, "accept", accept)
    _wrap(SqlItemStore, "claim", claim)
    _wrap(SqlItemStore, "encoded", _between(spring, "worker.before_store", "worker.after_store"))
    _wrap(SqlItemStore, "done", _between(spring, "index.before_done", None))
    _wrap(EdgeIndex, "upsert", _between(spring, None, "index.after_upsert"))
    _wrap(BatchEncoder, "encode", _between(spring, None, "worker.after_encode"))
    _wrap(Runtime, "wake", _between(spring, None, "accept.after_wake"))
    _wrap(ingestion, "wake", _between(spring, None, "relay.after_send"))


def poison() -> None:
    """Wrap the encoder so that it does what titles ask for."""
    from workers.encoding import BatchEncoder, Content

    def encode(original: Callable[..., R]) -> Callable[..., R]:
        def wrapped(encoder: BatchEncoder, contents: Sequence[Content]) -> R:
            for content in contents:
                _obey(content.claim.record.item.title)
            return original(encoder, contents)

        return wrapped

    _wrap(BatchEncoder, "encode", encode)


def _obey(title: str) -> None:
    match title.removeprefix("poison: "):
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "segfault":
            ctypes.string_at(0)
        case "hang":
            signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals) - {signal.SIGKILL})
            ctypes.CDLL(None).pause()
        case "exhaust":
            hoard = []
            while True:
                hoard.append(bytearray(50_000_000))
        case "choke":
            raise RuntimeError("the tokeniser choked")


def _between(spring: Callable[[str], None], before: str | None, after: str | None) -> Callable[..., Any]:
    def around(original: Callable[P, R]) -> Callable[P, R]:
        def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
            if before is not None:
                spring(before)
            answer = original(*args, **kwargs)
            if after is not None:
                spring(after)
            return answer

        return wrapped

    return around


def _wrap(owner: object, name: str, around: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    original = getattr(owner, name)
    setattr(owner, name, functools.wraps(original)(around(original)))


def main() -> None:
    """Arm, then be ``coldstart``."""
    arm(parse(os.environ.get(TRAPS, "")))
    if POISON in os.environ:
        poison()
    from api.cli import app

    app()


if __name__ == "__main__":
    main()
