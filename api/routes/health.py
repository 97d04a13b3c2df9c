"""Whether the service lives, whether it can answer, and its figures."""

from statistics import quantiles

from fastapi import APIRouter, Request, Response

from api.access import GuardedRoute, needs, public
from api.dependencies import ServiceDep
from api.problems import documented
from api.readiness import Readiness
from api.schemas.answers import HealthView, StatusView, TimeToRecommendable
from coldstart.access import Scope
from coldstart.catalog import Status
from coldstart.errors import Unavailable
from workers.runtime import Runtime

router = APIRouter(tags=["operations"], route_class=GuardedRoute)
NEWEST = 200


@router.get("/health/live", summary="Whether the process answers and its worker moves", responses=documented(503))
@public
async def live(service: ServiceDep) -> HealthView:
    """Looks at nothing outside: a database that is away is no reason to restart this process.

    503: the worker inside it hangs, and nothing but a restart helps.
    """
    service.runtime.steps.require_progress()
    return HealthView(status="alive")


@router.get("/health/ready", summary="Whether requests can be answered", responses=documented(503))
@public
async def ready(request: Request, service: ServiceDep) -> HealthView:
    """Only after a real item was encoded and a query answered; then while worker, database and index do their part."""
    readiness: Readiness = request.app.state.readiness
    readiness.require()
    await service.lists.run(_answers, service.runtime)
    return HealthView(status="ready")


@router.get("/status", summary="The service at a glance", responses=documented(503))
@needs(Scope.READ)
async def status(service: ServiceDep) -> StatusView:
    """Items by status, what is served, and the time to recommendable of the newest items."""
    return await service.reads.run(_status, service.runtime)


@router.get("/metrics", summary="Figures for Prometheus", response_class=Response)
@needs(Scope.READ)
async def metrics(service: ServiceDep) -> Response:
    """In Prometheus' text format."""
    return Response(service.runtime.telemetry.exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _answers(runtime: Runtime) -> None:
    if not runtime.worker.alive:
        raise Unavailable(
            "the worker has ended, so nothing new becomes retrievable",
            remedy="See the log for the reason and start the service again: what it accepted is kept",
        )
    runtime.behaviour.list_items(limit=1)
    runtime.index.count()


def _status(runtime: Runtime) -> StatusView:
    newest = runtime.store.list_items(limit=NEWEST, status=Status.RETRIEVABLE)
    # Items that came in with their embeddings waited for one another, not for an encoder: they were never claimed.
    times = [
        (each.retrievable_at - each.accepted_at) * 1000
        for each in newest
        if each.retrievable_at is not None and each.claimed_at is not None
    ]
    cuts = quantiles(times, n=20, method="inclusive") if len(times) > 1 else times * 19
    return StatusView(
        counts=runtime.store.counts(),
        adapter_version=runtime.adapter.version,
        backbone=runtime.adapter.backbone.kind,
        time_to_recommendable=TimeToRecommendable(
            items=len(times),
            p50_ms=round(cuts[9], 2) if cuts else None,
            p95_ms=round(cuts[18], 2) if cuts else None,
        ),
    )
