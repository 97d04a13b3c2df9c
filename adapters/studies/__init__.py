"""What an evaluation measures beside its three lists, a module each."""

from adapters.studies.stage import Finding, Stage, Study, TrainBackbone
from coldstart.errors import InvalidInput

__all__ = ["STUDIES", "Finding", "Stage", "Study", "TrainBackbone", "open_study", "parse_studies"]

STUDIES: tuple[str, ...] = ("cold-users", "graduation", "ranking", "ablations")
"""Names of all studies, in the order in which they are told."""


def open_study(name: str) -> Study:
    """The study of a name."""
    match name:
        case "cold-users":
            from adapters.studies.cold_users import ColdUsers

            return ColdUsers()
        case "graduation":
            from adapters.studies.graduation import Graduation

            return Graduation()
        case "ranking":
            from adapters.studies.ranking import Ranking

            return Ranking()
        case "ablations":
            from adapters.studies.ablations import Ablations

            return Ablations()
    raise InvalidInput(f"{name!r} is no study", subject="--studies", remedy=f"Choose among {_choices()}")


def parse_studies(value: str) -> tuple[Study, ...]:
    """``all``, ``none``, or some names, as studies.

    >>> parse_studies("none")
    ()
    """
    match value.strip():
        case "all":
            names = STUDIES
        case "none":
            names = ()
        case some:
            names = tuple(part.strip() for part in some.split(",") if part.strip())
    return tuple(open_study(name) for name in dict.fromkeys(names))


def _choices() -> str:
    return ", ".join(("all", "none", *STUDIES))
