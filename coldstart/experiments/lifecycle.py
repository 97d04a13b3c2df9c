"""From draft to running to stopped, one way only: what was compared must be what the report says was compared."""

from collections.abc import Iterable
from dataclasses import replace

from coldstart.errors import Conflict
from coldstart.experiments.assignment import claim_buckets
from coldstart.experiments.design import Experiment, Kind, Status


def edit(stored: Experiment, edited: Experiment) -> Experiment:
    """The edited draft; `Conflict` where the stored one runs or has run."""
    if stored.status is not Status.DRAFT:
        raise Conflict(
            f"the experiment is {stored.status} and cannot be edited: its units were assigned by what it says",
            subject=stored.experiment_id, remedy="Stop it, and make another experiment of what should be different",
        )  # fmt: skip
    return edited


def start(draft: Experiment, running: Iterable[Experiment], *, now: float) -> Experiment:
    """The experiment as it runs, on buckets of its layer that no running one has; `Conflict` where it cannot.

    Parameters
    ----------
    running : iterable of Experiment
        All that run, of every layer: of two layers a unit meets both, so that they must not touch the same parts.
    """
    if draft.status is not Status.DRAFT:
        raise Conflict(
            f"the experiment is {draft.status} already", subject=draft.experiment_id,
            remedy="Make another one: a second run would mix what units met in the first into its figures",
        )  # fmt: skip
    running = list(running)
    _require_independence(draft, running)
    neighbours = [each for each in running if each.layer == draft.layer and each.status is Status.RUNNING]
    buckets = claim_buckets(neighbours, draft.share)
    return replace(draft, status=Status.RUNNING, buckets=buckets, started_at=now)


def stop(running: Experiment, *, now: float) -> Experiment:
    """The experiment at its end, its buckets free for others; `Conflict` where it does not run."""
    if running.status is not Status.RUNNING:
        raise Conflict(f"the experiment is {running.status}, not running", subject=running.experiment_id)
    return replace(running, status=Status.STOPPED, stopped_at=now)


def _require_independence(draft: Experiment, running: Iterable[Experiment]) -> None:
    for other in (each for each in running if each.layer != draft.layer):
        if both := sorted(draft.touches & other.touches):
            what = f"its arms change {', '.join(both)}, as do those of {other.experiment_id} in the layer {other.layer}"
        elif draft.kind is other.kind is Kind.INTERLEAVING:
            what = f"lists are interleaved by {other.experiment_id} in the layer {other.layer} already"
        else:
            continue
        raise Conflict(what, subject=draft.experiment_id, remedy=f"Put it into the layer {other.layer}, or wait")
