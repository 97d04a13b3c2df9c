"""The scalars by which a new user becomes a query."""

from dataclasses import dataclass

RIDGE = 0.3
"""Of `coldstart.users.folding.unclicked`: .01 to .4 are alike on CiteULike-a."""


@dataclass(frozen=True, slots=True)
class Folding:
    """Fitted on validation; the defaults are what CiteULike-a's validation part chose."""

    confidence: float = 10.0  # of a click, against every item that was not clicked, in the ridge fold-in
    patience: float = 10.0  # clicks at which the ridge fold-in weighs as much as the mean direction
    content: float = 1.0  # of the content block, against the collaborative one

    def ridge_share(self, clicks: int) -> float:
        """Weight of the ridge fold-in after this many clicks, 1 or more.

        >>> [Folding(patience=10).ridge_share(clicks) for clicks in (10, 90)]
        [0.5, 0.9]
        """
        return clicks / (clicks + self.patience)
