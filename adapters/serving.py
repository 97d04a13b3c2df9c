"""An adapter at work: external ids in, served vectors out. Needs numpy alone."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix, diags

from adapters.artifact import Artifact, load_artifact
from adapters.content import Contents
from adapters.graduation import Lengths, click_weight, count, graduate
from adapters.ranking import item_embeddings
from coldstart.backbones.ranker import NeuMFRanker
from coldstart.backbones.reranking import RankWeights, rerank
from coldstart.entities import Attributes, ExternalId
from coldstart.terms import count_terms
from coldstart.users import Ranker
from coldstart.vectors import Mask, Matrix, Rows, Vector

_BLEND_HALF = 10
"""Recent clicks that weigh as much as a known user's whole history; to be fitted where event streams are evaluated."""

_AT_HAND = 10_000
"""Known users whose queries and training items are kept: some 2 kB each."""

TAIL = 2.0**-10
"""Scale of what a served vector carries for the ranker: too small for any cosine or search graph to notice, and exact.
"""


@dataclass(frozen=True)
class ServedItems:
    """What the index serves of b items: vectors float32 [b, D], gates float32 [b, 2], cold bool [b]."""

    vectors: Matrix
    gates: Matrix
    cold: Mask


@dataclass(frozen=True)
class GraduatedItems:
    """Where clicks move b items: vectors float32 [b, D], clicks that moved each int64 [b], weights float32 [b]."""

    vectors: Matrix
    clicks: Rows
    weights: Vector


class ServedAdapter:
    """The item side (`serve`) and the user side (`coldstart.users.UserSpace`) of one adapter version.

    Where validation granted NeuMF's perceptron a say, served vectors end in each item's embedding in it, to which
    queries are zero: rows, index and ranker cannot disagree on an item's version.
    """

    def __init__(self, artifact: Artifact) -> None:
        self.artifact = artifact
        self.adapter = artifact.adapter
        self.backbone = artifact.adapter.backbone
        self.version = artifact.version
        granted = artifact.adapter.ranker != RankWeights()
        self.tower = NeuMFRanker.from_backbone(self.backbone) if granted else None
        self._tail = 0 if self.tower is None else self.tower.items.shape[1]
        self.dim = artifact.adapter.dim + self._tail
        self.text_model, self.text_fingerprint = artifact.text.model, artifact.text.fingerprint
        self.image_model, self.image_fingerprint = artifact.image.model, artifact.image.fingerprint
        self.text_dim = self.adapter.contents.text.shape[1]
        self.image_dim = self.adapter.contents.image.shape[1]
        self._known = lru_cache(_AT_HAND)(self._look)  # frozen: what a user's row says never changes

    @classmethod
    def load(cls, folder: Path, *, backbone: Path | None = None) -> "ServedAdapter":
        """Read an adapter and its backbone; see `adapters.artifact.load_artifact` for what is refused."""
        return cls(load_artifact(folder, backbone=backbone))

    def serve(
        self,
        item_ids: Sequence[ExternalId],
        text: Matrix,
        image: Matrix,
        present: Mask,
        attributes: Sequence[Attributes] | None = None,
    ) -> ServedItems:
        """Place b items in the served space.

        Parameters
        ----------
        text, image : float32 [b, dt], [b, dx]
            Embeddings of the encoders that the adapter was trained with; zeros where missing.
        present : bool [b, 2]
        attributes : sequence of mappings [b], optional
            Declared columns. Of an item that comes without, those count that the adapter was trained with.
        """
        own_rows = self.backbone.items.rows(item_ids)
        contents = self._contents(own_rows, text, image, present, attributes or [{}] * len(item_ids))
        blocks = self.adapter.blocks(contents, own_rows)
        cold = own_rows < 0
        vectors = self.adapter.cold_vectors(blocks)
        if not cold.all():
            warm = self.adapter.warm_vectors(np.maximum(own_rows, 0), blocks)
            vectors = np.where(cold[:, None], vectors, warm)
        return ServedItems(self._with_tail(vectors, contents, own_rows), blocks.gate, cold)

    def graduated(
        self,
        text: Matrix,
        image: Matrix,
        present: Mask,
        attributes: Sequence[Attributes],
        users: Sequence[Sequence[ExternalId]],
    ) -> GraduatedItems:
        """Move b cold items from where `serve` put them to where those who clicked them are; see `graduate`.

        Parameters
        ----------
        text, image, present, attributes
            As `serve` took them.
        users : sequence of sequences [b]
            Who clicked each. Users that the backbone does not know have no vector, and so no say.
        """
        own_rows = np.full(len(users), -1, dtype=np.int64)
        contents = self._contents(own_rows, text, image, present, attributes)
        known = [np.unique(rows[rows >= 0]) for rows in map(self.backbone.users.rows, users)]
        indptr = np.concatenate([[0], np.cumsum([len(rows) for rows in known])])
        columns = np.concatenate([np.empty(0, dtype=np.int64), *known])
        ones = np.ones(len(columns), dtype=np.float32)
        clicks = csr_matrix((ones, columns, indptr), shape=(len(users), len(self.backbone.users)))
        vectors = graduate(self.adapter, self._lengths, self.adapter.blocks(contents, own_rows), clicks)
        n = count(clicks)
        vectors = self._with_tail(vectors, contents, own_rows)
        return GraduatedItems(vectors, n, click_weight(n, self.adapter.scales.half))

    @cached_property
    def _lengths(self) -> Lengths:
        return Lengths.of(self.adapter)

    def _contents(
        self, own_rows: Rows, text: Matrix, image: Matrix, present: Mask, attributes: Sequence[Attributes]
    ) -> Contents:
        terms = count_terms(attributes)
        remembered = (np.diff(terms.indptr) == 0) & (own_rows >= 0)
        if remembered.any():
            terms = terms + diags(remembered.astype(np.float32)) @ self.adapter.contents.terms[own_rows]
        written = present[:, 0] | (np.diff(terms.tocsr().indptr) > 0)
        return Contents(text, image, np.stack([written, present[:, 1]], axis=1), terms.tocsr())

    def _with_tail(self, vectors: Matrix, contents: Contents, own_rows: Rows) -> Matrix:
        """Served vectors [b, D], with what they carry for the ranker."""
        if self.tower is not None:
            embeddings = item_embeddings(self.adapter, self.tower, contents, own_rows)
            vectors = np.hstack([vectors, TAIL * embeddings])
        return vectors.astype(np.float32)

    def remembered(self, item_ids: Sequence[ExternalId]) -> tuple[Matrix, Matrix, Mask]:
        """What the adapter was trained with of b items: embeddings [b, dt], [b, dx], and which are there [b, 2]."""
        rows = self.backbone.items.rows(item_ids)
        kept, known = self.adapter.contents.take(rows), (rows >= 0)[:, None]
        return np.where(known, kept.text, 0), np.where(known, kept.image, 0), kept.present & known

    def content(self) -> Iterator[tuple[ExternalId, Vector | None, Vector | None]]:
        """Id, text and image embedding of each item the backbone knows, ``None`` for what is missing."""
        contents = self.adapter.contents
        for row, item_id in enumerate(self.backbone.items.ids):
            has_text, has_image = contents.present[row]
            yield item_id, contents.text[row] if has_text else None, contents.image[row] if has_image else None

    def user_vector(self, user_id: ExternalId) -> Vector | None:
        """The frozen backbone's user in the served space [D], read-only; ``None`` where it is unknown."""
        return self._known(user_id)[0] if user_id in self.backbone.users else None

    def seen(self, user_id: ExternalId) -> Sequence[ExternalId]:
        """What the user met in training."""
        return self._known(user_id)[1] if user_id in self.backbone.users else ()

    def _look(self, user_id: ExternalId) -> tuple[Vector, tuple[ExternalId, ...]]:
        row, clicks = self.backbone.users.row(user_id), self.backbone.clicks
        query = self._query(self.adapter.user_vectors(np.array([row])))
        query.flags.writeable = False
        met = clicks.indices[clicks.indptr[row] : clicks.indptr[row + 1]].tolist()
        return query, tuple(self.backbone.items.ids[item] for item in met)

    def fold_in(self, item_vectors: Matrix, weights: Vector | None = None) -> Vector:
        """A query [D] from the served vectors [k, D] of clicked items; see `adapters.space.Adapter.fold_in`."""
        return self._query(self.adapter.fold_in(item_vectors[:, : self.adapter.dim], weights)[None])

    def blend(self, known: Vector, folded: Vector, clicks: float) -> Vector:
        """A known user's query [D] moved towards the fold-in of recent events that weigh as much as so many clicks."""
        weight = clicks / (clicks + _BLEND_HALF)
        return np.asarray((1 - weight) * known + weight * folded, dtype=np.float32)

    def query_from_text(self, text_embedding: Vector) -> Vector:
        """A query [D] from a sentence's embedding [dt]: the fold-in of a cold item with that text and no picture."""
        return self._query(self.adapter.text_queries(text_embedding[None]))

    def without_adapter(self, query: Vector) -> Vector:
        """The query [D] with zeros but for the collaborative block."""
        alone = np.zeros_like(query)
        alone[: self.backbone.dim] = query[: self.backbone.dim]
        return alone

    def ranker(self, user_id: ExternalId) -> Ranker | None:
        """NeuMF's order of what was retrieved for a user of the backbone, where validation granted it a say."""
        row = int(self.backbone.users.rows([user_id])[0])
        ranker = self.tower
        if ranker is None or row < 0:
            return None
        user = ranker.users[row : row + 1]

        def again(scores: Vector, item_ids: Sequence[ExternalId], vectors: Matrix, cold: Mask) -> Vector:
            embeddings = ranker.items[self.backbone.items.rows(item_ids)]
            embeddings[cold] = vectors[cold, -self._tail :] / TAIL
            logits = ranker.perceptron(user, embeddings)
            return np.asarray(rerank(scores[None], logits[None], cold[None], self.adapter.ranker)[0])

        return again

    def _query(self, vectors: Matrix) -> Vector:
        """The query [D] of one user's served blocks [1, d + p]."""
        return np.asarray(np.pad(vectors[0], (0, self._tail)), dtype=np.float32)

    @cached_property
    def clicks_by_item(self) -> dict[ExternalId, int]:
        """How often each item was met in training."""
        counts = np.asarray(self.backbone.clicks.sum(axis=0)).ravel().astype(int).tolist()
        return dict(zip(self.backbone.items.ids, counts, strict=True))
