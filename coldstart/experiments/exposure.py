"""What a unit was shown, by which arm and from what; and what it did then."""

from dataclasses import dataclass

from coldstart.entities import ExternalId
from coldstart.errors import InvalidInput

INTERLEAVED = "interleaved"
"""The arm of a list that both arms drafted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """One list that was shown, as logged when it was made. Times are Unix seconds.

    Attributes
    ----------
    unit : ExternalId
        The user or, of an anonymous one, the session: what the arm was assigned to.
    items : tuple of ExternalId
        Best first.
    cold : tuple of bool
        Of each item.
    propensities : tuple of float
        With what probability each item was shown where it was; empty where nothing was left to chance.
    teams : tuple of str
        Of an interleaved list, the arm that drafted each item, "" where both had it there; empty otherwise.
    source : str
        The event log from which the list was made.
    window : str
        How much of it was read, in words: arms that say the same read the same.
    watermark : float
        The time up to which its events had been applied.
    degraded : bool
        Whether a part of the pipeline could not be used.
    """

    exposure_id: ExternalId
    experiment_id: ExternalId
    arm: str
    unit: ExternalId
    at: float
    items: tuple[ExternalId, ...]
    cold: tuple[bool, ...]
    source: str
    window: str
    watermark: float
    propensities: tuple[float, ...] = ()
    teams: tuple[str, ...] = ()
    degraded: bool = False

    def __post_init__(self) -> None:
        places = len(self.items)
        for name, column in (("propensities", self.propensities), ("teams", self.teams)):
            if len(column) not in (0, places):
                raise self._wrong(f"{len(column)} {name} for {places} items")
        if len(self.cold) != places:
            raise self._wrong(f"{len(self.cold)} marks of cold items for {places} items")
        if not all(0 < share <= 1 for share in self.propensities):
            raise self._wrong("a propensity is not above 0 and at most 1")

    @property
    def lag_s(self) -> float:
        """How old what the list was made from was; a watermark ahead of the list's own clock is no lag."""
        return max(0.0, self.at - self.watermark)

    def _wrong(self, what: str) -> InvalidInput:
        return InvalidInput(what, subject=self.exposure_id, remedy="Log one of each for each item shown")


@dataclass(frozen=True, slots=True)
class Outcome:
    """A unit met an item, as the event log has it; ``timestamp`` in Unix seconds."""

    unit: ExternalId
    item: ExternalId
    kind: str
    timestamp: float
