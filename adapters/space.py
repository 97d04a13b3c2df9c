"""The served space: one inner product in which cold items, warm items and users of every kind meet.

A served vector is ``[collaborative block (d) | content block (p)]``. The first lives in the frozen backbone's own
space; the second is the content, whitened so that a user's ridge profile is the plain sum of the clicked items' blocks:
with W = E (L + lambda)^-1/2 from the eigenvectors E and values L of the warm items' Gram matrix, y = W'f and
B_u = sum of y over the user's items, ``B_u . y`` equals the ridge regression's ``x' (F'F + lambda I)^-1 sum f``.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapters.config import AdapterConfig
from adapters.content import Centering, Contents
from adapters.folding import PENALTY, Folding, Folds
from adapters.forward import Parameters, adapt, gates, neighbour_mean
from adapters.neighbours import Anchors
from adapters.studied import Part, Studied, in_parts
from coldstart.backbones import FrozenBackbone
from coldstart.backbones.reranking import RankWeights
from coldstart.users.folding import known_users, mean_direction, ridge, unclicked, worth
from coldstart.vectors import Mask, Matrix, Rows, Vector

UNTRAINED = ("modalities", "centred", "own_items", "warm_items", "priors")
"""What an adapter works out once, and neither its parameters nor its scalars take part in."""
_UNSCALED = (*UNTRAINED, "warm_content", "own_blocks")
"""The same, of its scalars alone."""


@dataclass(frozen=True, slots=True)
class Scales:
    """The scalars that are fitted on validation; the defaults are what CiteULike-a's validation part chose."""

    cold: float = 1.8  # on every cold item, against warm ones
    cold_content: float = 1.0  # on the content block of cold items
    warm_content: float = 0.7  # on the content block of warm items
    warm_neighbours: float = 0.15  # of v_hat added to a warm item's frozen vector
    strength: float = 0.0  # exponent of the popularity expected from content
    cold_spread: float = 0.7  # exponents by which a vector's spread over users is evened out
    warm_spread: float = 0.5
    cold_ranker: float = 0.0  # NeuMF's say in the order of retrieved cold items; 1 is as much as the served scores'
    warm_ranker: float = 0.0  # the same in the order of warm items
    half: float = 2.0  # clicks of a new item that weigh as much as its content


@dataclass(frozen=True)
class Statistics:
    """Second moments of users and items, by which the two blocks are brought to one scale.

    Parameters
    ----------
    whitening : float32 [dt + px, p]
        W.
    users, items : float32 [d, d]
        C_U = U'U / users; C_K, the same of the warm items' v_hat.
    profiles, contents : float32 [p, p]
        C_B of the users' content profiles; C_Y of the warm items' content blocks.
    mean_spread : float32 [2]
        Mean over warm items of each block's spread.
    strength : float32 [dt + px + 1]
        Ridge weights from fused content to standardised log popularity; the last is the intercept.
    """

    whitening: Matrix
    users: Matrix
    items: Matrix
    profiles: Matrix
    contents: Matrix
    mean_spread: Vector
    strength: Vector


@dataclass(frozen=True)
class Blocks:
    """What n items are before scaling: v_hat [n, d], y [n, p], gates [n, 2], expected strength [n]."""

    collaborative: Matrix
    content: Matrix
    gate: Matrix
    strength: Vector

    def take(self, rows: Rows) -> "Blocks":
        """Those of the items at these rows, in this order."""
        return Blocks(self.collaborative[rows], self.content[rows], self.gate[rows], self.strength[rows])


def spread(vectors: Matrix, moment: Matrix) -> Vector:
    """Root mean square of the inner products with whatever ``moment`` was measured on, [n].

    >>> spread(np.array([[3.0, 0.0]], dtype=np.float32), np.eye(2, dtype=np.float32)).tolist()
    [3.0]
    """
    squared = np.einsum("nd,nd->n", vectors @ moment, vectors)
    return np.asarray(np.sqrt(np.maximum(squared, 0.0)), dtype=np.float32)


def fuse(text: Matrix, image: Matrix, gate: Matrix) -> Matrix:
    """f [n, dt + px] = [sqrt(g_t) t, sqrt(g_x) x]: its inner products are gated sums of cosines."""
    root = np.sqrt(gate)
    return np.hstack([root[:, :1] * text, root[:, 1:] * image]).astype(np.float32)


def safe_divide(vectors: Matrix, by: NDArray[np.float32]) -> Matrix:
    """Rows divided by a scalar each; rows with a zero divisor become zeros."""
    return np.asarray(vectors * np.where(by > 0, 1.0 / np.where(by > 0, by, 1.0), 0.0)[:, None], dtype=np.float32)


def warm_rows(contents: Contents, hidden: Rows) -> Rows:
    """Rows [any] of the items that have contents and are not hidden."""
    usable: Mask = np.asarray(contents.present.any(axis=1))
    usable[hidden] = False
    return np.flatnonzero(usable)


@dataclass(frozen=True)
class Adapter:
    """A frozen backbone, the contents of its items, and the few numbers that join them.

    Parameters
    ----------
    backbone : FrozenBackbone
    contents : Contents
        Raw embeddings of the backbone's items, in its row order.
    hidden : int64 [any]
        Backbone rows that are treated as unknown: never neighbours, not in any profile (for tuning).
    """

    backbone: FrozenBackbone
    contents: Contents
    config: AdapterConfig
    centering: Centering
    anchors: Anchors
    parameters: Parameters
    statistics: Statistics
    scales: Scales = field(default_factory=Scales)
    hidden: Rows = field(default_factory=lambda: np.empty(0, np.int64))
    folding: Folding = field(default_factory=Folding)

    @property
    def dim(self) -> int:
        """D = d + p."""
        return self.backbone.dim + int(self.statistics.whitening.shape[1])

    @property
    def trained_parameters(self) -> int:
        """How many numbers gradient descent may move."""
        return int(sum(np.size(array) for name, array in self.parameters.items() if name != "norm"))

    @property
    def ranker(self) -> RankWeights:
        """What validation granted NeuMF in the order of retrieved items."""
        return RankWeights(cold=self.scales.cold_ranker, warm=self.scales.warm_ranker)

    def with_scales(self, **changes: float) -> "Adapter":
        """The same adapter with other scalars; what does not depend on them and is known is not worked out again."""
        return self.changed(_UNSCALED, scales=replace(self.scales, **changes))

    def changed(self, kept: Collection[str], **changes: Any) -> "Adapter":
        """The same adapter with other fields; of what was worked out, those by these names are kept."""
        changed = replace(self, **changes)
        changed.__dict__.update({name: self.__dict__[name] for name in kept if name in self.__dict__})
        return changed

    def blocks(self, contents: Contents | Studied, own_rows: Rows | None = None) -> Blocks:
        """Adapt n items; ``own_rows`` [n] are their backbone rows (-1: none), which are kept from being neighbours."""
        given = contents.parts if isinstance(contents, Studied) else in_parts(contents, own_rows)
        parts = [self._blocks(part) for part in given]
        return Blocks(
            *(np.concatenate([getattr(part, name) for part in parts]) for name in Blocks.__dataclass_fields__)
        )

    @cached_property
    def own_blocks(self) -> Blocks:
        """Those of the backbone's items, none of which is its own neighbour."""
        return self.blocks(self.own_items)

    @cached_property
    def own_items(self) -> Studied:
        """The backbone's items."""
        return Studied(self.contents, np.arange(len(self.contents)))

    @cached_property
    def warm_items(self) -> Studied:
        """The backbone's items that have contents and are not hidden."""
        rows = warm_rows(self.contents, self.hidden)
        return Studied(self.contents.take(rows), rows)

    @cached_property
    def centred(self) -> tuple[Matrix, Matrix, Mask]:
        """t, x of the backbone's items and which of them can be read, as `Centering.apply` has them."""
        return self.centering.apply(self.contents)

    @cached_property
    def modalities(self) -> Mask:
        """Which modalities any warm item has [2]: nothing was learned about the others, so they are masked out."""
        return np.asarray(self.contents.present.any(axis=0))

    def _blocks(self, part: Part) -> Blocks:
        text, image, present = part.read(self.centering, self.modalities)
        _, rows, similarity = self.near(part)
        vectors = self.backbone.item_vectors[rows]
        v_hat, gate = adapt(
            self.parameters, text, image, present, similarity, vectors, temperature=self.config.temperature
        )
        v_hat = v_hat * present.any(axis=1, keepdims=True)
        fused = fuse(text, image, gate)
        strength = fused @ self.statistics.strength[:-1] + self.statistics.strength[-1]
        return Blocks(
            v_hat.astype(np.float32), fused @ self.statistics.whitening, gate.astype(np.float32),
            np.clip(strength, -2.5, 2.5).astype(np.float32),
        )  # fmt: skip

    def borrow(self, table: Matrix, contents: Contents) -> Matrix:
        """Rows for n items in another frozen table of the backbone's items [items, m], such as a tower's, [n, m].

        The neighbour branch alone: the rows of an item's neighbours, averaged by the weights that their vectors have
        in v_hat.
        """
        borrowed = []
        for part in in_parts(contents):
            *_, present = part.read(self.centering, self.modalities)
            gate, rows, similarity = self.near(part)
            mean = neighbour_mean(self.parameters, gate, similarity, table[rows], self.config.temperature)
            borrowed.append(mean * present.any(axis=1, keepdims=True))
        return np.asarray(np.concatenate(borrowed), dtype=np.float32)

    def near(self, part: Part) -> tuple[Matrix, Rows, Matrix]:
        """Gates [n, 2], backbone rows [n, k] of the neighbours, and their corrected cosines [n, k, 2]."""
        text, image, present = part.read(self.centering, self.modalities)
        gate = np.asarray(gates(self.parameters, text, image, present), dtype=np.float32)
        places, similarity = part.near(self.anchors, text, image, gate, k=self.config.neighbours)
        return gate, self.anchors.rows[places], similarity

    @cached_property
    def warm_content(self) -> Matrix:
        """y of the backbone's items [items, p], zeros for hidden ones."""
        text, image, present = self.centred
        gate = gates(self.parameters, text, image, present)
        content = fuse(text, image, gate) @ self.statistics.whitening
        content[self.hidden] = 0.0
        return np.asarray(content, dtype=np.float32)

    def cold_vectors(self, blocks: Blocks) -> Matrix:
        """Served vectors [n, D] of items without clicks."""
        s = self.scales
        collaborative = self._even(blocks.collaborative, self.statistics.users, 0, s.cold_spread)
        content = s.cold_content * self._even(blocks.content, self.statistics.profiles, 1, s.cold_spread)
        return np.asarray(self.cold_factor(blocks)[:, None] * np.hstack([collaborative, content]), dtype=np.float32)

    def cold_factor(self, blocks: Blocks) -> Vector:
        """What multiplies a cold item's vector [n]: the calibration against warm items, and its expected strength."""
        return np.asarray(self.scales.cold * np.exp(self.scales.strength * blocks.strength), dtype=np.float32)

    def warm_vectors(self, rows: Rows, blocks: Blocks) -> Matrix:
        """Served vectors [n, D] of the backbone's items at ``rows``: the frozen vector first, content beside it."""
        s = self.scales
        collaborative = self.backbone.item_vectors[rows] + s.warm_neighbours * blocks.collaborative
        content = s.warm_content * self._even(blocks.content, self.statistics.profiles, 1, s.warm_spread)
        return np.asarray(np.hstack([collaborative, content]), dtype=np.float32)

    def user_vectors(self, rows: Rows) -> Matrix:
        """Query vectors [n, D] of the backbone's users at ``rows``."""
        profiles = np.asarray(self.backbone.clicks[rows] @ self.warm_content, dtype=np.float32)
        return self.query(self.backbone.user_vectors[rows], profiles)

    @cached_property
    def priors(self) -> tuple[Matrix, Matrix]:
        """What is taken for granted of a new user [d, d]: likeness to known ones; no liking for what is not clicked."""
        items = self.backbone.item_vectors
        return known_users(self.backbone.user_vectors, items), unclicked(items, penalty=PENALTY)

    def fold_in(self, clicked: Matrix, weights: Vector | None = None) -> Vector:
        """A query [D] from the served vectors [k, D] of k >= 1 clicked items, warm and cold alike.

        A click of weight 2 of the [k] > 0 counts as two; all are 1 by default.

        The collaborative block blends two ridge fold-ins. The one whose prior is what known users are like is best for
        few clicks; the other, which holds against the user all that they did not click, takes over as clicks grow in
        number. A cold item's block is taken as it is served: it stands for the same taste as that of a warm one, and
        is on the same scale since cold items were calibrated against warm ones. The content block is the mean direction
        of the items' contents.
        """
        return np.asarray(self.join(self.folds([clicked], [weights]))[0], dtype=np.float32)

    def folds(self, histories: Sequence[Matrix], weights: Sequence[Vector | None] | None = None) -> Folds:
        """The parts of `fold_in` for n users, from the served vectors [k, D] of what each clicked, and weights [k]."""
        d, confidence = self.backbone.dim, self.folding.confidence
        likeness, contrast = self.priors
        # Weights of 1 are none: the same result to the bit, at the price of the shorter way.
        told = [None if w is None or (w == 1.0).all() else w for w in weights or [None] * len(histories)]
        weighted = list(zip(histories, told, strict=True))
        return Folds(
            self._even_query(np.stack([ridge(c[:, :d], likeness, confidence=1.0, weights=w) for c, w in weighted])),
            self._even_query(
                np.stack([ridge(c[:, :d], contrast, confidence=confidence, weights=w) for c, w in weighted])
            ),
            np.stack([mean_direction(c[:, d:], w) for c, w in weighted]),
            np.array([len(c) if w is None else worth(w) for c, w in weighted]),
        )

    def join(self, folds: Folds) -> Matrix:
        """Queries [n, D] from the parts of `fold_in`."""
        share = self.folding.contrast_share(folds.clicks)[:, None]
        queries = self.query((1 - share) * folds.likeness + share * folds.contrast, folds.content)
        queries[:, self.backbone.dim :] *= self.folding.content
        return queries

    def _even_query(self, collaborative: Matrix) -> Matrix:
        return safe_divide(collaborative, spread(collaborative, self.statistics.items))

    def text_queries(self, texts: Matrix) -> Matrix:
        """Queries [n, D] from sentences' embeddings [n, dt]: each the fold-in of a cold item without a picture."""
        image = np.zeros((len(texts), self.contents.image.shape[1]), dtype=np.float32)
        present = np.tile([True, False], (len(texts), 1))
        items = self.cold_vectors(self.blocks(Contents(texts, image, present)))
        return self.join(self.folds([item[None] for item in items]))

    def query(self, collaborative: Matrix, profiles: Matrix) -> Matrix:
        """Query vectors [n, D]: each block over its own spread across items, so that the two weigh alike."""
        return np.hstack(
            [
                self._even_query(collaborative),
                safe_divide(profiles, spread(profiles, self.statistics.contents)),
            ]
        )

    def _even(self, vectors: Matrix, moment: Matrix, block: int, exponent: float) -> Matrix:
        """Vectors over a power of their spread, the mean spread of warm items being 1."""
        mean = float(self.statistics.mean_spread[block])
        relative = spread(vectors, moment) / (mean if mean > 0 else 1.0)
        return safe_divide(vectors, relative**exponent)
