"""Adapter versions: taken in, placed beside what is served, promoted, rolled back."""

from typing import Annotated

from fastapi import APIRouter, Path

from api.access import GuardedRoute, needs
from api.dependencies import ServiceDep
from api.problems import documented
from api.schemas.adapters import AdapterCardView, AdaptersView, AdapterView, NewAdapterBody
from coldstart.access import Scope

router = APIRouter(prefix="/adapters", tags=["adapters"], route_class=GuardedRoute)
Version = Annotated[str, Path(pattern=r"^[0-9a-f]{1,32}$", description="As the list shows it")]


@router.get("", summary="List adapter versions, oldest first", responses=documented(503))
@needs(Scope.READ)
async def list_adapters(service: ServiceDep) -> AdaptersView:
    """Which one is served, which is the way back, and how far others are."""
    found = await service.reads.run(service.runtime.adapters.list_adapters)
    return AdaptersView(adapters=[AdapterView.of(each) for each in found])


@router.post("", status_code=202, summary="Take in an adapter", responses=documented(404, 409, 413, 415, 422, 503))
@needs(Scope.ADMIN)
async def register(body: NewAdapterBody, service: ServiceDep) -> AdapterView:
    """Its folder lies in `DATA_DIR/artifacts`. Every item is then placed in its space from what is stored, in the
    background, and it is checked; nothing is encoded again, and nothing that is served changes. Follow it at
    `GET /adapters/{version}`.

    409: it was trained on another backbone or on other encoders than what is served, or another is under way.
    """
    folder = service.runtime.settings.data_dir / "artifacts" / body.folder
    return AdapterView.of(await service.changes.run(service.runtime.register, folder))


@router.get("/{version}", summary="Show an adapter version", responses=documented(404, 422, 503))
@needs(Scope.READ)
async def show(version: Version, service: ServiceDep) -> AdapterCardView:
    """Where it stands, and its card."""
    return AdapterCardView.of(await service.reads.run(service.runtime.adapters.get, version))


@router.post("/{version}/promote", summary="Serve an adapter version", responses=documented(404, 409, 422, 503))
@needs(Scope.ADMIN)
async def promote(version: Version, service: ServiceDep) -> AdapterView:
    """From now on lists are made by it; other processes of the service follow within a second. Each list is by one
    version from beginning to end, and names it. What was served is kept for the way back.

    409: it is not `ready`, or another change is under way.
    """
    return AdapterView.of(await service.changes.run(service.runtime.lifecycle.promote, version))


@router.post("/rollback", summary="Serve what was served before", responses=documented(409, 503))
@needs(Scope.ADMIN)
async def rollback(service: ServiceDep) -> AdapterView:
    """At once: it has every item that was taken in since. What was served is `ready` then, to be promoted again."""
    return AdapterView.of(await service.changes.run(service.runtime.lifecycle.rollback))


@router.delete("/{version}", summary="Retire an adapter version", responses=documented(404, 409, 422, 503))
@needs(Scope.ADMIN)
async def retire(version: Version, service: ServiceDep) -> AdapterView:
    """Its collection is dropped, and its folder is left where it is. 409: it is the live one."""
    return AdapterView.of(await service.changes.run(service.runtime.lifecycle.retire, version))
