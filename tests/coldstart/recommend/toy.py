"""A shop of two tastes on two axes: tea is (1, 0), coffee (0, 1). Whose vector points where is plain to see."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from coldstart.catalog import Draft, Embeddings, Encoded, ItemStore, Stage
from coldstart.entities import Event, ExternalId, Item
from coldstart.index import Point, VectorIndex
from coldstart.recommend import RecommendationList, Recommender
from coldstart.recommend.floor import Floor
from coldstart.recommend.newcomers import Quota
from coldstart.telemetry import Telemetry
from coldstart.users import Ranker
from coldstart.users.folding import mean_direction
from coldstart.vectors import Matrix, Vector

TEA, COFFEE = np.eye(2, dtype=np.float32)

ITEMS: Mapping[ExternalId, tuple[Vector, bool, dict[str, Any]]] = {
    "assam": (3 * TEA, False, {"shelf": "a"}),
    "darjeeling": (2 * TEA, False, {"shelf": "b"}),
    "new-tea": (1.5 * TEA, True, {"shelf": "a"}),
    "ristretto": (3 * COFFEE, False, {"shelf": "a"}),
    "lungo": (2 * COFFEE, False, {"shelf": "b"}),
    "new-coffee": (1.5 * COFFEE, True, {"shelf": "b"}),
}
CLICKS = {"assam": 10, "lungo": 7, "darjeeling": 4, "ristretto": 1}


class ToyUsers:
    """Ann drinks tea and has had assam."""

    def user_vector(self, user_id: ExternalId) -> Vector | None:
        return TEA if user_id == "ann" else None

    def seen(self, user_id: ExternalId) -> Sequence[ExternalId]:
        return ["assam"] if user_id == "ann" else []

    def fold_in(self, item_vectors: Matrix, weights: Vector | None = None) -> Vector:
        return mean_direction(item_vectors, weights)

    def blend(self, known: Vector, folded: Vector, clicks: float) -> Vector:
        return np.asarray(known + clicks * folded, dtype=np.float32)

    def query_from_text(self, text_embedding: Vector) -> Vector:
        return text_embedding

    def without_adapter(self, query: Vector) -> Vector:
        return np.asarray(query * TEA, dtype=np.float32)

    def ranker(self, user_id: ExternalId) -> Ranker | None:
        return None


def embed(sentence: str) -> Vector:
    """What a text encoder would see in a sentence of this shop."""
    return np.array(["tea" in sentence, "coffee" in sentence], dtype=np.float32)


def stock(store: ItemStore, index: VectorIndex) -> None:
    """Make every item of the shop retrievable, the order of acceptance that of `ITEMS`."""
    for item_id, (vector, cold, attributes) in ITEMS.items():
        draft = Draft(Item(item_id, item_id.title(), attributes=attributes))
        encoded = Encoded(item_id, 0, Embeddings(None, None), vector, {"text": 1.0, "image": 0.0}, cold, "toy")
        store.accept_encoded([(draft, encoded)])
    claims = store.claim(Stage.INDEX, limit=100, lease_s=60, max_attempts=5)
    index.upsert(
        [
            Point(
                claim.record.item.item_id, claim.record.version, claim.vector,
                {"cold": claim.record.cold, "attributes": dict(claim.record.item.attributes)},
            )
            for claim in claims
            if claim.vector is not None
        ]
    )  # fmt: skip
    store.done({claim.record.item.item_id: claim.record.version for claim in claims})


def make(store: ItemStore, index: VectorIndex, **changes: object) -> Recommender:
    """The shop's recommender. Its floor owes nothing before it is refreshed."""
    parts = {
        "index": index, "users": ToyUsers(), "store": store, "encode_preferences": embed,
        "trained_clicks": CLICKS, "adapter_version": "toy", "telemetry": Telemetry(),
        "floor": Floor(store, index, Quota()),
    }  # fmt: skip
    return Recommender(**(parts | changes))  # type: ignore[arg-type]


def ids(answer: RecommendationList) -> list[ExternalId]:
    """Of the rows."""
    return [row.item_id for row in answer.rows]


def click(store: ItemStore, user_id: ExternalId, *item_ids: ExternalId, now: Callable[[], float]) -> None:
    """Report clicks, the last item last and now."""
    start = now() - len(item_ids)
    store.record_events(
        [Event(f"{user_id}-{item_id}-{n}", user_id, item_id, start + n) for n, item_id in enumerate(item_ids, 1)]
    )
