"""Where a user stands in the served space: known from the backbone, folded in from clicks, or new."""

from collections.abc import Callable, Sequence
from typing import Protocol

from coldstart.entities import ExternalId
from coldstart.vectors import Mask, Matrix, Vector

Ranker = Callable[[Vector, Sequence[ExternalId], Matrix, Mask], Vector]
"""From candidates' scores [k], ids [k], served vectors [k, D] and whether they are cold [k] to their new scores [k].

Of warm candidates the vectors are not looked at: whoever ranks knows these items.
"""


class UserSpace(Protocol):
    """The user side of an adapter: query vectors [D] whose inner product with served item vectors is the score."""

    def user_vector(self, user_id: ExternalId) -> Vector | None:
        """The frozen backbone's user, placed in the served space; ``None`` for a user it has never seen."""
        ...

    def seen(self, user_id: ExternalId) -> Sequence[ExternalId]:
        """Items the user met in training: not to be recommended again."""
        ...

    def fold_in(self, item_vectors: Matrix, weights: Vector | None = None) -> Vector:
        """A query from the served vectors [k, D] of k >= 1 clicked items; weights [k] > 0 are all 1 by default."""
        ...

    def blend(self, known: Vector, folded: Vector, clicks: float) -> Vector:
        """A known user's query moved by recent events, given as their fold-in, that weigh as much as so many clicks."""
        ...

    def query_from_text(self, text_embedding: Vector) -> Vector:
        """A query [D] from the embedding of a preferences sentence, treated as a cold item the user would like."""
        ...

    def without_adapter(self, query: Vector) -> Vector:
        """The query [D] with nothing left of it but the frozen backbone's share."""
        ...

    def ranker(self, user_id: ExternalId) -> Ranker | None:
        """What orders the user's candidates once more; ``None`` where the inner product has the last word."""
        ...
