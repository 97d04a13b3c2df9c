"""Experiments and what their units were shown, in the database beside the events that are counted for them."""

import time
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update

from coldstart.catalog import schema
from coldstart.catalog.identities import Digests, Names
from coldstart.catalog.models import events, experiments, exposures
from coldstart.catalog.statements import chunks
from coldstart.catalog.statements import insert as insert_or
from coldstart.entities import ExternalId
from coldstart.errors import Conflict, NotFound
from coldstart.experiments import lifecycle
from coldstart.experiments.design import Experiment, Status
from coldstart.experiments.exposure import Exposure, Outcome
from coldstart.experiments.metrics import HISTORY_S
from coldstart.experiments.report import Report, report_on
from coldstart.experiments.written import read, write


class ExperimentStore:
    """Experiments of one deployment.

    Parameters
    ----------
    url : str
        As of `SqlItemStore`.
    clock : callable, optional
        The time in Unix seconds.
    """

    def __init__(self, url: str, *, clock: Callable[[], float] = time.time) -> None:
        self._database = schema.open_database(url)
        self._now = clock
        self._digest = Digests.of(self._database)

    def create(self, draft: Experiment) -> Experiment:
        """Keep a draft; `Conflict` where there is an experiment of this id."""
        with self._database.write_alone(experiments) as tx:
            if _found(tx, draft.experiment_id) is not None:
                raise Conflict(
                    "there is an experiment of this id already", subject=draft.experiment_id,
                    remedy="Choose another id, or edit the draft with PUT",
                )  # fmt: skip
            row = {"experiment_id": draft.experiment_id, "status": draft.status, "design": write(draft)}
            tx.execute(insert(experiments).values({**row, "created_at": self._now()}))
        return draft

    def edit(self, edited: Experiment) -> Experiment:
        """Put a draft in the place of the draft of its id; `Conflict` where that runs or has run."""
        return self._change(edited.experiment_id, lambda stored, _: lifecycle.edit(stored, edited))

    def start(self, experiment_id: ExternalId) -> Experiment:
        """Let a draft run; `Conflict` where it cannot beside those that do."""
        return self._change(experiment_id, lambda draft, tx: lifecycle.start(draft, _running(tx), now=self._now()))

    def stop(self, experiment_id: ExternalId) -> Experiment:
        """End a running experiment; `Conflict` where it does not run."""
        return self._change(experiment_id, lambda stored, _: lifecycle.stop(stored, now=self._now()))

    def get(self, experiment_id: ExternalId) -> Experiment:
        """The experiment; `NotFound` where there is none."""
        with self._database.read() as tx:
            return _require(tx, experiment_id)

    def list_experiments(self) -> list[Experiment]:
        """All of them, oldest first."""
        order = select(experiments.c.design).order_by(experiments.c.created_at, experiments.c.experiment_id)
        with self._database.read() as tx:
            return [read(design) for design in tx.scalars(order)]

    def running(self) -> list[Experiment]:
        """Those that run, by layer."""
        with self._database.read() as tx:
            return sorted(_running(tx), key=lambda each: (each.layer, each.experiment_id))

    def log(self, batch: Sequence[Exposure]) -> None:
        """Keep what was shown, but not to units that were erased since; one that was kept before changes nothing."""
        with self._database.write() as tx:
            names = Names.of(tx, {each.unit for each in batch}, self._digest)
            kept = [each for each in batch if not names.is_erased(each.unit, each.at)]
            for part in chunks(sorted(kept, key=lambda each: (each.experiment_id, each.exposure_id))):
                put = insert_or(tx, exposures).on_conflict_do_nothing()
                tx.execute(put, [_row(each) for each in part])

    def exposures(self, experiment_id: ExternalId) -> list[Exposure]:
        """What was logged of an experiment, oldest first."""
        with self._database.read() as tx:
            return _exposures(tx, experiment_id)

    def report(self, experiment_id: ExternalId, *, most: int | None = None) -> Report:
        """The experiment's report as of now.

        Parameters
        ----------
        most : int, optional
            Lists that it may look at, each of which takes a few kilobytes of memory; `Conflict` where there are more.
        """
        with self._database.read() as tx:
            experiment = _require(tx, experiment_id)
            own = exposures.c.experiment_id == experiment_id
            lists = tx.scalar(select(func.count()).select_from(exposures).where(own)) or 0
            if most is not None and lists > most:
                raise Conflict(
                    f"the experiment has {lists:,} lists, more than the {most:,} that a service reports on",
                    subject=experiment_id, remedy=f"Run coldstart experiments report {experiment_id} beside it",
                )  # fmt: skip
            shown, outcomes = _exposures(tx, experiment_id), _outcomes(tx, experiment)
        return report_on(experiment, shown, outcomes, now=self._now())

    def close(self) -> None:
        """Release connections."""
        self._database.close()

    def _change(self, experiment_id: ExternalId, change: Callable[[Experiment, Connection], Experiment]) -> Experiment:
        with self._database.write_alone(experiments) as tx:
            changed = change(_require(tx, experiment_id), tx)
            row = update(experiments).where(experiments.c.experiment_id == experiment_id)
            tx.execute(row.values(status=changed.status, design=write(changed)))
        return changed


def _found(tx: Connection, experiment_id: ExternalId) -> Experiment | None:
    design = tx.scalar(select(experiments.c.design).where(experiments.c.experiment_id == experiment_id))
    return None if design is None else read(design)


def _require(tx: Connection, experiment_id: ExternalId) -> Experiment:
    found = _found(tx, experiment_id)
    if found is None:
        raise NotFound("there is no such experiment", subject=experiment_id, remedy="GET /experiments lists them")
    return found


def _running(tx: Connection) -> list[Experiment]:
    return [
        read(design)
        for design in tx.scalars(select(experiments.c.design).where(experiments.c.status == Status.RUNNING))
    ]


def _exposures(tx: Connection, experiment_id: ExternalId) -> list[Exposure]:
    own = select(exposures).where(exposures.c.experiment_id == experiment_id)
    return [_exposure(row) for row in tx.execute(own.order_by(exposures.c.at, exposures.c.exposure_id))]


def _outcomes(tx: Connection, experiment: Experiment) -> list[Outcome]:
    """Events of the units that took part, from their history on."""
    if experiment.started_at is None:
        return []
    units = select(exposures.c.unit).where(exposures.c.experiment_id == experiment.experiment_id)
    query = select(events.c.user_id, events.c.item_id, events.c.kind, events.c.timestamp).where(
        events.c.user_id.in_(units), events.c.timestamp >= experiment.started_at - HISTORY_S
    )
    if experiment.stopped_at is not None:
        query = query.where(events.c.timestamp <= experiment.stopped_at + experiment.attribution_s)
    return [Outcome(*row) for row in tx.execute(query)]


def _row(exposure: Exposure) -> dict[str, object]:
    return {
        "experiment_id": exposure.experiment_id,
        "exposure_id": exposure.exposure_id,
        "arm": exposure.arm,
        "unit": exposure.unit,
        "at": exposure.at,
        "source": exposure.source,
        "window": exposure.window,
        "watermark": exposure.watermark,
        "degraded": exposure.degraded,
        "places": [list(column) for column in (exposure.items, exposure.cold, exposure.propensities, exposure.teams)],
    }


def _exposure(row: Row[*tuple[Any, ...]]) -> Exposure:
    items, cold, propensities, teams = (tuple(column) for column in row.places)
    return Exposure(
        exposure_id=row.exposure_id, experiment_id=row.experiment_id, arm=row.arm, unit=row.unit, at=row.at,
        items=items, cold=cold, source=row.source, window=row.window, watermark=row.watermark,
        propensities=propensities, teams=teams, degraded=row.degraded,
    )  # fmt: skip
