"""How long requests take, by route."""

from functools import lru_cache
from time import perf_counter

from prometheus_client import Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0, 5.0)


def request_seconds() -> Histogram:
    """A histogram that is in no registry yet."""
    return Histogram(
        "coldstart_request_seconds", "Time of a request until its answer is sent", ["method", "route", "status"],
        buckets=_BUCKETS, registry=None,
    )  # fmt: skip


class RequestTiming:
    """Observes every request; the route is the pattern, never the address, whose ids would be endless labels."""

    def __init__(self, app: ASGIApp, *, seconds: Histogram) -> None:
        self._app = app
        # Looked up, a histogram of three labels takes several times as long as counting in it.
        self._of = lru_cache(1024)(lambda method, route, status: seconds.labels(method, route, status))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, status = perf_counter(), 500

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            route = getattr(scope.get("route"), "path", "none")
            self._of(scope["method"], route, status).observe(perf_counter() - start)
