"""Backfills: loads of many items behind what is posted, as ``coldstart backfill`` begins them."""

from fastapi import APIRouter

from api.access import GuardedRoute, needs
from api.dependencies import PageLimit, PageOffset, ServiceDep
from api.paths import BackfillId
from api.problems import documented
from api.schemas.backfills import BackfillsView, BackfillView, ProblemsView, ProblemView
from coldstart.access import Scope

router = APIRouter(prefix="/backfills", tags=["backfills"], route_class=GuardedRoute)


@router.get("", summary="List backfills, newest first", responses=documented(503))
@needs(Scope.READ)
async def list_backfills(service: ServiceDep) -> BackfillsView:
    """Those under way and those that ended."""
    found = await service.reads.run(service.runtime.backfills.list_backfills)
    return BackfillsView(backfills=[BackfillView.of(each) for each in found])


@router.get("/{backfill_id:id}/problems", summary="What is wrong with its rows", responses=documented(404, 422, 503))
@needs(Scope.READ)
async def problems(
    backfill_id: BackfillId, service: ServiceDep, limit: PageLimit = 48, offset: PageOffset = 0
) -> ProblemsView:
    """Every row is accepted, or is here."""
    store = service.runtime.backfills
    found = await service.reads.run(store.problems, backfill_id, limit=limit, offset=offset)
    return ProblemsView(problems=[ProblemView.of(each) for each in found])


@router.post("/{backfill_id:id}/pause", summary="Pause a backfill", responses=documented(404, 409, 422, 503))
@needs(Scope.ADMIN)
async def pause(backfill_id: BackfillId, service: ServiceDep) -> BackfillView:
    """Whoever loads it stops within a second; `coldstart backfill --resume` goes on with it."""
    return BackfillView.of(await service.writes.run(service.runtime.backfills.pause, backfill_id))


@router.get("/{backfill_id:id}", summary="How a backfill stands", responses=documented(404, 422, 503))
@needs(Scope.READ)
async def show(backfill_id: BackfillId, service: ServiceDep) -> BackfillView:
    """How far it is, how fast, and until when."""
    return BackfillView.of(await service.reads.run(service.runtime.backfills.get, backfill_id))
