"""Experiments: comparisons of whole pipelines, from a draft to a report."""

from fastapi import APIRouter

from api.access import GuardedRoute, needs
from api.dependencies import ServiceDep
from api.paths import ExperimentId
from api.problems import documented
from api.schemas.experiments import ExperimentBody, ExperimentsView, ExperimentView, NewExperimentBody
from coldstart.access import Scope
from coldstart.experiments.report import Report

MAX_REPORTED = 200_000
"""Lists that a report of the service looks at, in some hundred megabytes; the command line knows no such limit."""

router = APIRouter(prefix="/experiments", tags=["experiments"], route_class=GuardedRoute)


@router.post("", status_code=201, summary="Draft an experiment", responses=documented(409, 413, 415, 422, 503))
@needs(Scope.ADMIN)
async def create(body: NewExperimentBody, service: ServiceDep) -> ExperimentView:
    """A draft changes nothing until it is started."""
    draft = body.experiment(body.experiment_id)
    return ExperimentView.of(await service.writes.run(service.runtime.experiments.create, draft))


@router.get("", summary="List experiments, oldest first", responses=documented(503))
@needs(Scope.READ)
async def list_experiments(service: ServiceDep) -> ExperimentsView:
    """Drafts, running and stopped ones."""
    found = await service.reads.run(service.runtime.experiments.list_experiments)
    return ExperimentsView(experiments=[ExperimentView.of(each) for each in found])


@router.get("/{experiment_id:id}/report", summary="What it has shown so far", responses=documented(404, 409, 422, 503))
@needs(Scope.READ)
async def report(experiment_id: ExperimentId, service: ServiceDep) -> Report:
    """May be read at any time: its intervals and p-values named always valid hold however often one looks."""
    await service.writes.run(service.runtime.arms.refresh)  # what this process has shown is part of it
    return await service.reports.run(service.runtime.experiments.report, experiment_id, most=MAX_REPORTED)


@router.get("/{experiment_id:id}", summary="Show an experiment", responses=documented(404, 422, 503))
@needs(Scope.READ)
async def show(experiment_id: ExperimentId, service: ServiceDep) -> ExperimentView:
    """Its design and its state."""
    return ExperimentView.of(await service.reads.run(service.runtime.experiments.get, experiment_id))


@router.put("/{experiment_id:id}", summary="Edit a draft", responses=documented(404, 409, 413, 415, 422, 503))
@needs(Scope.ADMIN)
async def edit(experiment_id: ExperimentId, body: ExperimentBody, service: ServiceDep) -> ExperimentView:
    """All of it is replaced. What runs or has run is refused: its units were assigned by what it says."""
    edited = body.experiment(experiment_id)
    return ExperimentView.of(await service.writes.run(service.runtime.experiments.edit, edited))


@router.post("/{experiment_id:id}/start", summary="Start an experiment", responses=documented(404, 409, 422, 503))
@needs(Scope.ADMIN)
async def start(experiment_id: ExperimentId, service: ServiceDep) -> ExperimentView:
    """From now on nothing of it can be changed. Other processes of the service know within a second."""
    return ExperimentView.of(await service.writes.run(service.runtime.start_experiment, experiment_id))


@router.post("/{experiment_id:id}/stop", summary="Stop an experiment", responses=documented(404, 409, 422, 503))
@needs(Scope.ADMIN)
async def stop(experiment_id: ExperimentId, service: ServiceDep) -> ExperimentView:
    """For good; its report stays, and counts events for as long as they can be attributed."""
    return ExperimentView.of(await service.writes.run(service.runtime.stop_experiment, experiment_id))
