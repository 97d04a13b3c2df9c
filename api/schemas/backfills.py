"""What the HTTP interface gives of backfills."""

from datetime import datetime
from typing import Self

from pydantic import BaseModel, Field

from api.schemas.answers import moment
from coldstart.catalog.bulk import Backfill, Problem, State


class BackfillView(BaseModel):
    """A backfill as it stands."""

    backfill_id: str
    source: str = Field(description="The file or folder on the machine that loads it")
    digest: str = Field(description="SHA-256 of the source; one that has changed is not gone on with")
    bytes: int
    state: State = Field(description="`interrupted`: whoever loads it has given no sign of life for seconds")
    rows: int
    position: int = Field(description="Rows read so far")
    accepted: int = Field(description="Rows that became a version of their item")
    retrievable: int = Field(description="Of these, how many the index has, or something newer in their place")
    waiting: int
    dead: int = Field(description="Of these, how many could not be encoded (GET /dead-letters)")
    unchanged: int = Field(description="Rows that said what the catalogue knew")
    overtaken: int = Field(description="Rows whose item was posted or deleted since the backfill began, and stays so")
    refused: int = Field(description="Rows that cannot be used (GET /backfills/{backfill_id}/problems)")
    rate: float | None = Field(description="Items a second at most")
    items_per_s: float | None
    eta_s: float | None = Field(description="Seconds until everything is retrievable, at the speed so far")
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None
    error: str | None = Field(description="Why it failed")

    @classmethod
    def of(cls, found: Backfill) -> Self:
        """As the store tells it."""
        source = found.source
        return cls(
            backfill_id=found.backfill_id, source=source.name, digest=source.digest, bytes=source.size,
            state=found.state, rows=source.rows, position=found.position, accepted=found.accepted,
            retrievable=found.retrievable, waiting=found.waiting, dead=found.dead, unchanged=found.unchanged,
            overtaken=found.overtaken, refused=found.refused, rate=found.rate, items_per_s=_rounded(found.items_per_s),
            eta_s=_rounded(found.eta_s), created_at=moment(found.created_at), updated_at=moment(found.updated_at),
            finished_at=None if found.finished_at is None else moment(found.finished_at), error=found.error,
        )  # fmt: skip


class BackfillsView(BaseModel):
    """The last hundred backfills, newest first."""

    backfills: list[BackfillView]


class ProblemView(BaseModel):
    """What is wrong with a row of a source."""

    place: str = Field(description="File and row, as a person counts them")
    item_id: str
    cause: str
    accepted: bool = Field(description="Whether the item came in all the same, without its picture")

    @classmethod
    def of(cls, problem: Problem) -> Self:
        """As the store tells it."""
        return cls(place=problem.place, item_id=problem.item_id, cause=problem.cause, accepted=problem.accepted)


class ProblemsView(BaseModel):
    """What is wrong with rows, in the order of the source."""

    problems: list[ProblemView]


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, 1)
