"""The scalars by which a new user becomes a query."""

from dataclasses import dataclass

PENALTY = 0.3
"""Of `coldstart.users.folding.unclicked`: .01 to .4 are alike on CiteULike-a."""


@dataclass(frozen=True, slots=True)
class Folding:
    """Fitted on validation; the defaults are about what CiteULike-a's validation part chose."""

    confidence: float = 10.0  # of a click, against each item that was not clicked
    patience: float = 10.0  # clicks at which what was not clicked weighs as much as what known users are like
    content: float = 1.0  # of the content block, against the collaborative one

    def contrast_share(self, clicks: int) -> float:
        """Weight of the fold-in against what was not clicked, after 1 click or more.

        >>> [Folding(patience=10).contrast_share(clicks) for clicks in (10, 90)]
        [0.5, 0.9]
        """
        return clicks / (clicks + self.patience)
