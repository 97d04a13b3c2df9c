"""What bounds a request before any of it is believed, and how much of the process it may take."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from anyio import CapacityLimiter, to_thread
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import BUSY_REMEDY, TOO_LARGE_REMEDY, http_problem, problem_response
from coldstart.errors import Unavailable

P = ParamSpec("P")
R = TypeVar("R")
_CROWDED = "other requests' bodies take all the memory that there is for bodies"
_LATER = {"Retry-After": "1", "Connection": "close"}


IN_FLIGHT = 16
"""As many of the largest bodies are held at once. 200 that waited for their ends took 2.1 GB (benchmarks.hostile)."""
ALWAYS = 65_536
"""Bytes of a body that there is always room for: whoever holds large ones up must not keep an item from being sent."""


class BodyCap:
    """Refuses what would take too much memory: at once where a length is declared, else where the count passes it.

    A body over a number of bytes is answered 413. One that does not fit beside the bodies of other requests, which are
    held till these are answered, is answered 503: there will be room.

    Parameters
    ----------
    max_bytes : int
        Of one body.
    in_flight : int
        Times that, of all bodies, not counting the first `ALWAYS` bytes of each.
    """

    def __init__(self, app: ASGIApp, *, max_bytes: int, in_flight: int = IN_FLIGHT) -> None:
        self._app, self._max_bytes, self._room = app, max_bytes, in_flight * max_bytes
        self._held = 0
        self._detail = f"the body is over {max_bytes} bytes"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        length = int(declared) if declared.isdigit() else 0
        if length > self._max_bytes:
            problem = http_problem(413, self._detail, TOO_LARGE_REMEDY)
            await problem_response(problem, {"Connection": "close"})(scope, receive, send)
            return
        if not self._fits(length - ALWAYS):
            await problem_response(http_problem(503, _CROWDED, BUSY_REMEDY), _LATER)(scope, receive, send)
            return
        received = held = 0

        async def counted() -> Message:
            nonlocal received, held
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._max_bytes:
                raise HTTPException(413, self._detail, {"Connection": "close"})
            more = max(0, received - ALWAYS) - held
            if not self._fits(more):
                raise HTTPException(503, _CROWDED, _LATER)
            held += more
            self._held += more
            return message

        try:
            await self._app(scope, counted, send)
        finally:
            self._held -= held

    def _fits(self, more: int) -> bool:
        return more <= 0 or self._held + more <= self._room


class Permits:
    """Runs blocking work in threads, so many at once; others wait, and when too many wait they are told to come back.

    With 503, not 429: this process is busy now, and another one on the same database may have a thread to spare. 429
    (`workers.backlog`) is what every process would answer.

    Parameters
    ----------
    at_once : int
        Threads.
    waiting : int
        Calls beyond those that may wait for one.
    """

    def __init__(self, at_once: int, *, waiting: int) -> None:
        self._limiter = CapacityLimiter(at_once)
        self._waiting = waiting

    async def run(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """The result of the work; `Unavailable` where too many wait."""
        if self._limiter.statistics().tasks_waiting >= self._waiting:
            raise Unavailable("too many requests wait already", remedy="Try again after the time in Retry-After")
        return await to_thread.run_sync(lambda: work(*args, **kwargs), limiter=self._limiter)
