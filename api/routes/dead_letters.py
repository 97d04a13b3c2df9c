"""Dead letters: items that could not be made retrievable, each with its reason."""

from fastapi import APIRouter

from api.access import GuardedRoute, needs
from api.dependencies import PageLimit, PageOffset, ServiceDep
from api.paths import ItemId
from api.problems import documented
from api.schemas.answers import AcceptedView, ItemsView, ItemView
from coldstart.access import Scope
from coldstart.catalog import Status

router = APIRouter(prefix="/dead-letters", tags=["dead letters"], route_class=GuardedRoute)


@router.get("", summary="List dead letters, last accepted first", responses=documented(422, 503))
@needs(Scope.READ)
async def list_dead(service: ServiceDep, limit: PageLimit = 48, offset: PageOffset = 0) -> ItemsView:
    """`error` says why an item was given up."""
    records = await service.reads.run(service.runtime.store.list_items, limit=limit, offset=offset, status=Status.DEAD)
    return ItemsView(items=[ItemView.of(record) for record in records])


@router.post("/{item_id:id}/retry", status_code=202, summary="Try an item again", responses=documented(404, 422, 503))
@needs(Scope.ADMIN)
async def retry(item_id: ItemId, service: ServiceDep) -> AcceptedView:
    """The item gets a fresh set of attempts."""
    accepted = await service.writes.run(service.runtime.store.retry_dead, item_id)
    service.runtime.wake()
    service.runtime.wake_index()  # it goes on where it died
    return AcceptedView.of(accepted)
