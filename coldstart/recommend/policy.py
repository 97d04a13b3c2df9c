"""How a list is put together, once it is known what the reader likes."""

from dataclasses import dataclass

from coldstart.errors import InvalidInput
from coldstart.index import Filter


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What a shop chooses of its lists, and what the arms of an experiment may differ in.

    Attributes
    ----------
    adapter : bool
        Without it the list is the backbone's alone: warm items by the collaborative block of their vectors.
    ranker : bool
        Whether NeuMF orders what was retrieved, where validation found that better.
    cold_share : float
        Share of a list's places kept for new items that have not been shown often enough yet (`floor`).
    diversity : float
        0 ranks by score alone, 1 by difference from what stands above alone (`diversity.mmr`).
    explore : float
        Temperature at which the order is drawn by chance, in deviations of the candidates' scores; 0 draws nothing.

    Examples
    --------
    >>> Policy(diversity=0.3, explore=0.1)
    Traceback (most recent call last):
    coldstart.errors.InvalidInput: explore: cannot go with diversity: no propensity could be told. Choose one of them
    """

    adapter: bool = True
    ranker: bool = True
    cold_share: float = 0.1
    diversity: float = 0.0
    explore: float = 0.0

    def __post_init__(self) -> None:
        for name, most in (("cold_share", 1.0), ("diversity", 1.0), ("explore", 10.0)):
            if not 0.0 <= (value := getattr(self, name)) <= most:
                raise InvalidInput(f"cannot be {value}", subject=name, remedy=f"Choose 0 to {most:g}")
        if self.explore and self.diversity:
            raise InvalidInput(
                "cannot go with diversity: no propensity could be told", subject="explore", remedy="Choose one of them"
            )


@dataclass(frozen=True, slots=True)
class Boost:
    """Items that fulfil ``where`` are scored ``factor`` times as high; below 1, lower.

    >>> Boost({"attributes.brand": "Own"}, 0)
    Traceback (most recent call last):
    coldstart.errors.InvalidInput: boosts: a factor cannot be 0. Choose 0.1 to 10
    """

    where: Filter
    factor: float

    def __post_init__(self) -> None:
        if not 0.1 <= self.factor <= 10:
            raise InvalidInput(f"a factor cannot be {self.factor}", subject="boosts", remedy="Choose 0.1 to 10")

    def of(self, score: float) -> float:
        """The boosted score; also a negative one rises by a factor above 1.

        >>> Boost({}, 2.0).of(3.0), Boost({}, 2.0).of(-3.0)
        (6.0, -1.5)
        """
        return score * self.factor if score >= 0 else score / self.factor
