"""What a backfill is: a source of many items that comes in behind whatever is posted, and can be stopped and resumed.

It says what items were when it began. What was posted or deleted since is newer, and stays; what the catalogue holds
already as the source has it is not encoded again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from coldstart.catalog import Draft

LEASE_S = 5.0
"""After so long without a sign of life a backfill's owner is taken for dead."""
PRIORITY = -1
"""Of what comes in with a backfill: it waits for what is posted."""


class State(StrEnum):
    """How a backfill stands; interrupted is one whose owner died, and which another may take over."""

    RUNNING = "running"
    PAUSED = "paused"
    INTERRUPTED = "interrupted"
    FAILED = "failed"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Source:
    """What is loaded: where it was read from, the SHA-256 of it, bytes, and rows, also such as cannot be used."""

    name: str
    digest: str
    size: int
    rows: int


@dataclass(frozen=True, slots=True)
class Problem:
    """A row that was refused, or ``accepted`` without its picture: its number from 0, and its place for a person."""

    row: int
    place: str
    item_id: str
    cause: str
    accepted: bool = False


@dataclass(frozen=True, slots=True)
class Chunk:
    """Consecutive rows of a source from ``start`` to below ``end``: drafts, and what is wrong with the others."""

    start: int
    end: int
    drafts: Sequence[Draft]
    problems: Sequence[Problem] = ()


@dataclass(frozen=True, slots=True)
class Backfill:
    """A backfill as it stands. Times are Unix seconds.

    Parameters
    ----------
    position : int
        Rows read so far: the sum of the four after it, and of empty rows.
    accepted, unchanged, overtaken, refused : int
        Rows that became a version; that said what was there; whose item was posted or deleted since the backfill began;
        and that cannot be used.
    waiting, dead : int
        Of the accepted, those not retrievable yet, and those given up.
    rate : float, optional
        Items a second that it may accept at most.
    busy_s : float
        For how long somebody worked at it; 0 where nobody stayed until its items were encoded.
    error : str, optional
        Why it failed.
    """

    backfill_id: str
    source: Source
    state: State
    owner: str
    position: int
    accepted: int
    unchanged: int
    overtaken: int
    refused: int
    waiting: int
    dead: int
    rate: float | None
    created_at: float
    updated_at: float
    busy_s: float
    finished_at: float | None = None
    error: str | None = None

    @property
    def retrievable(self) -> int:
        """Accepted versions that reached the index, or were replaced by what was posted since."""
        return self.accepted - self.waiting - self.dead

    @property
    def items_per_s(self) -> float | None:
        """Rows done with, those that have yet to be encoded left out; ``None`` where nobody can say."""
        done = self.position - self.waiting
        return done / self.busy_s if self.busy_s > 0 and done > 0 else None

    @property
    def eta_s(self) -> float | None:
        """Seconds until every row is done with, at the speed so far; ``None`` where nobody can say."""
        left = self.source.rows - self.position + self.waiting
        if left == 0:
            return 0.0
        return left / self.items_per_s if self.items_per_s and self.state is State.RUNNING else None
