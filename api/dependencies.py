"""What routes are given: the running service, and permits for work that waits."""

from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Query, Request

from api.limits import Permits
from coldstart.recommend.request import MAX_LIMIT
from workers.reading import READ_THREADS
from workers.runtime import Runtime

# Embedded, a query is a millisecond of this process's own work: 8 threads fight over the interpreter, which more than
# doubles the 99th percentile at 32 clients (benchmarks.ttr prints it). Over a network threads mostly wait.
EMBEDDED_THREADS = 2
REMOTE_THREADS = READ_THREADS


@dataclass(frozen=True)
class Service:
    """A runtime and the threads that requests may take, apart for each kind of work: none can starve the others."""

    runtime: Runtime
    lists: Permits
    reads: Permits
    writes: Permits
    deletes: Permits
    sentences: Permits
    reports: Permits
    changes: Permits
    in_flight: set[tuple[str | None, str]] = field(default_factory=set)
    """Callers and keys of requests that are being answered (`api.idempotency`)."""

    @classmethod
    def of(cls, runtime: Runtime) -> "Service":
        """As many threads as the runtime's stores have use for; sentences queue at the one encoder they share."""
        settings = runtime.settings
        embedded = settings.embeds_catalog and settings.qdrant_url is None
        threads = EMBEDDED_THREADS if embedded else REMOTE_THREADS
        return cls(
            runtime,
            lists=Permits(threads, waiting=512),
            reads=Permits(threads, waiting=256),
            writes=Permits(threads, waiting=256),
            deletes=Permits(1, waiting=512),
            sentences=Permits(1, waiting=32),
            reports=Permits(1, waiting=8),
            changes=Permits(2, waiting=8),
        )


async def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


ServiceDep = Annotated[Service, Depends(_service)]
ListLimit = Annotated[int, Query(ge=1, le=MAX_LIMIT, description="Length of the list")]
PageLimit = Annotated[int, Query(ge=1, le=500, description="Items on a page")]
PageOffset = Annotated[int, Query(ge=0, le=10_000_000, description="Items to skip")]
