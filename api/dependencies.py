"""What routes are given: the running service, and permits for work that waits."""

from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Path, Query, Request

from api.limits import Permits
from api.schemas import Id
from coldstart.recommend.request import MAX_LIMIT
from workers.runtime import Runtime


@dataclass(frozen=True)
class Service:
    """A runtime and the threads that requests may take, apart for each kind of work: none can starve the others.

    Writes queue at the database's one writer, and sentences at one encoder: more threads would only wait there.
    """

    runtime: Runtime
    reads: Permits = field(default_factory=lambda: Permits(8, waiting=512))
    writes: Permits = field(default_factory=lambda: Permits(4, waiting=256))
    sentences: Permits = field(default_factory=lambda: Permits(1, waiting=32))


async def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


ServiceDep = Annotated[Service, Depends(_service)]
ItemId = Annotated[Id, Path(description="The item's id, percent-encoded", examples=["sku-17"])]
UserId = Annotated[Id, Path(description="The user's id, percent-encoded", examples=["u-7"])]
ListLimit = Annotated[int, Query(ge=1, le=MAX_LIMIT, description="Length of the list")]
PageLimit = Annotated[int, Query(ge=1, le=500, description="Items on a page")]
PageOffset = Annotated[int, Query(ge=0, le=10_000_000, description="Items to skip")]
