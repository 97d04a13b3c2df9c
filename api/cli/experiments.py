"""``coldstart experiments``: experiments of a deployment, on its database."""

import json
from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.options import Json, moment, with_settings
from coldstart.settings import Settings

if TYPE_CHECKING:
    from coldstart.catalog.experiments import ExperimentStore
    from coldstart.experiments.design import Experiment
    from coldstart.experiments.report import Report

experiments = typer.Typer(help="List, show, start, stop and report on experiments.", no_args_is_help=True)
Id = Annotated[str, typer.Argument(metavar="ID", help="The experiment's id, as the list shows it")]


@experiments.command("list")
@with_settings("data_dir", "database_url")
def list_experiments(settings: Settings, as_json: Json = False) -> None:
    """List the experiments, oldest first."""
    from coldstart.experiments.written import write

    with closing(_store(settings)) as store:
        found = store.list_experiments()
    if as_json:
        print(json.dumps([write(each) for each in found]))
    for each in [] if as_json else found:
        print(_line(each))


@experiments.command()
@with_settings("data_dir", "database_url")
def show(settings: Settings, experiment_id: Id, as_json: Json = False) -> None:
    """Show an experiment's design and state."""
    with closing(_store(settings)) as store:
        _print(store.get(experiment_id), as_json=as_json)


@experiments.command()
@with_settings("data_dir", "database_url")
def start(settings: Settings, experiment_id: Id, as_json: Json = False) -> None:
    """Start an experiment: a running service knows within a second, and nothing of it can be changed any more."""
    with closing(_store(settings)) as store:
        _print(store.start(experiment_id), as_json=as_json)


@experiments.command()
@with_settings("data_dir", "database_url")
def stop(settings: Settings, experiment_id: Id, as_json: Json = False) -> None:
    """Stop an experiment, for good."""
    with closing(_store(settings)) as store:
        _print(store.stop(experiment_id), as_json=as_json)


@experiments.command()
@with_settings("data_dir", "database_url")
def report(settings: Settings, experiment_id: Id, as_json: Json = False) -> None:
    """Tell what an experiment has shown so far, in figures and in one sentence."""
    with closing(_store(settings)) as store:
        found = store.report(experiment_id)
    if as_json:
        print(json.dumps(found.to_dict()))
    else:
        _tell(found)


def _store(settings: Settings) -> "ExperimentStore":
    from coldstart.catalog.experiments import ExperimentStore

    return ExperimentStore(settings.catalog_url)


def _print(experiment: "Experiment", *, as_json: bool) -> None:
    from coldstart.experiments.written import write

    if as_json:
        print(json.dumps(write(experiment)))
        return
    print(_line(experiment))
    for arm in experiment.arms:
        changes = ", ".join(f"{part} {value}" for part, value in arm.pipeline.changes.items())
        print(f"  {arm.weight:>6.1%}  {arm.name}: {changes or 'as the service is set'}")
    for guardrail in experiment.guardrails:
        print(f"  must not lose {guardrail.margin:.1%} of {guardrail.metric}")


def _tell(found: "Report") -> None:
    units = ", ".join(f"{arm} {n:,}" for arm, n in zip(found.arms, found.split.units, strict=True))
    print(f"{found.experiment_id} by {found.metric}: {found.lists:,} lists; {units} (split p = {found.split.p:.2g})")
    for inputs in found.parity.inputs:
        lags = f"lag p50 {inputs.lag_p50_s:.3f} s, p95 {inputs.lag_p95_s:.3f} s"
        print(f"  {inputs.arm}: {lags}, degraded {inputs.degraded:.1%}")
    for each in found.comparisons:
        print(f"  {each.arm}: {each.lift.treatment:.5g} beside {each.lift.control:.5g}, always-valid p = {each.p:.2g}")
        for rail in each.guardrails:
            print(f"    {rail.metric} loses at most {rail.margin:.1%}: {rail.state}")
    print(found.verdict.sentence)


def _line(experiment: "Experiment") -> str:
    times = "".join(
        f"  {word} {moment(at)}"
        for word, at in (("started", experiment.started_at), ("stopped", experiment.stopped_at))
        if at is not None
    )
    what = f"{experiment.share:.0%} of {experiment.layer}"
    return f"{experiment.experiment_id}  {experiment.status:<7}  {experiment.kind}  {what}  {experiment.primary}{times}"
