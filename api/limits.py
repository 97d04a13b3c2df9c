"""What bounds a request before any of it is believed, and how much of the process it may take."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from anyio import CapacityLimiter, to_thread
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import TOO_LARGE_REMEDY, http_problem, problem_response
from coldstart.errors import Unavailable

P = ParamSpec("P")
R = TypeVar("R")


class BodyCap:
    """Refuses a body over a number of bytes: at once where its length is declared, else where the count passes it."""

    def __init__(self, app: ASGIApp, *, max_bytes: int) -> None:
        self._app, self._max_bytes = app, max_bytes
        self._detail = f"the body is over {max_bytes} bytes"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > self._max_bytes:
            problem = http_problem(413, self._detail, TOO_LARGE_REMEDY)
            await problem_response(problem, {"Connection": "close"})(scope, receive, send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._max_bytes:
                raise HTTPException(413, self._detail, {"Connection": "close"})
            return message

        await self._app(scope, counted, send)


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
