"""A data set's shop in one process and in simulated time: the product's own catalogue, index and recommender, no HTTP.

Warm items are there from the beginning, cold ones arrive when told to. Users click what they are known to have clicked
in the parts that training did not see, and now and then something else.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from adapters.encoding import Encoders
from adapters.serving import ServedAdapter
from coldstart.catalog import Draft
from coldstart.catalog.store import SqlItemStore
from coldstart.dataset import Dataset
from coldstart.encoders.fetch import Fetcher
from coldstart.entities import Event, ExternalId
from coldstart.evaluation.metrics import recall_ndcg
from coldstart.evaluation.protocols import Protocol
from coldstart.index import VectorIndex
from coldstart.index.edge_store import EdgeIndexStore
from coldstart.recommend import RecommendationList, Recommender
from coldstart.recommend.floor import Floor
from coldstart.recommend.newcomers import Quota
from coldstart.settings import Settings
from coldstart.splits import Split
from coldstart.telemetry import Telemetry
from coldstart.vectors import Rows
from workers.encoding import BatchEncoder, serve
from workers.ingest import Ingestor
from workers.models import models_of
from workers.pictures import PictureReader
from workers.seeding import seed

K = 20


class Clock:
    """Unix seconds that pass only when told to."""

    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True)
class Taste:
    """How users click: ``truth`` csr [users, items] holds what each likes.

    A place is looked at with chance 1 / log2(place + 1), as NDCG has it; what is looked at and liked is clicked with
    chance ``liked``, anything else with chance ``noise``.
    """

    truth: csr_matrix
    liked: float = 0.6
    noise: float = 0.01

    def chances(self, user: int, items: Rows) -> np.ndarray:
        """Of a click on each of the listed items [k]; rows below 0 stand for items that nobody likes."""
        start, stop = self.truth.indptr[user : user + 2]
        likes = np.isin(items, self.truth.indices[start:stop])
        looks = 1.0 / np.log2(np.arange(len(items)) + 2)
        return np.asarray(looks * np.where(likes, self.liked, self.noise))


class ReplayedShop:
    """The shop of one adapter; opened by `replayed`.

    Parameters
    ----------
    users : int64 [n]
        Rows of those who come: the backbone knows them, and both warm and cold clicks of theirs are held out.
    """

    def __init__(
        self, dataset: Dataset, adapter: ServedAdapter, store: SqlItemStore, index: VectorIndex, *, quota: Quota,
        clock: Clock, taste: Taste, users: Rows,
    ) -> None:  # fmt: skip
        self.dataset, self.adapter, self.store, self.clock = dataset, adapter, store, clock
        self.taste, self.users, self._index, self._events = taste, users, index, 0
        self.floor = Floor(store, index, quota, clock=clock)
        self.recommender = self.recommender_of(store)
        pictures = PictureReader(Fetcher(), max_bytes=1, max_pixels=1)
        self._ingestor = Ingestor(
            store=store, index=index, encoder=BatchEncoder(adapter, models_of(adapter, Settings()), pictures),
            telemetry=Telemetry(), batch=256, lease_s=600, max_attempts=1, clock=clock,
        )  # fmt: skip

    def recommender_of(self, behaviour: Any) -> Recommender:
        """A recommender on the shop's index and floor that hears of users from elsewhere (a `Behaviour`)."""
        return Recommender(
            index=self._index, users=self.adapter, store=behaviour, encode_preferences=_no_sentences,
            trained_clicks=self.adapter.clicks_by_item, adapter_version=self.adapter.version, telemetry=Telemetry(),
            floor=self.floor, clock=self.clock,
        )  # fmt: skip

    def open_doors(self) -> None:
        """Bring in what the backbone knows."""
        warm = self.dataset.items.ids.rows(self.adapter.backbone.items.ids)
        seed(self.store, self.adapter, self.dataset.take_items(warm))
        self._work_off()

    def arrive(self, rows: Rows) -> None:
        """These items of the data set are accepted, encoded and retrievable now."""
        items = self.dataset.take_items(rows)
        contents = self._encoders.embed(items).contents
        told = [items.items.item(row) for row in range(len(rows))]
        encoded = serve(self.adapter, told, contents.text, contents.image, contents.present)
        self.store.accept_encoded([(Draft(item), each) for item, each in zip(told, encoded, strict=True)])
        self._work_off()

    def rows(self, answer: RecommendationList) -> Rows:
        """The data set's rows of a list's items."""
        return self.dataset.items.ids.rows([row.item_id for row in answer.rows])

    def report(self, user: int, item_id: ExternalId) -> None:
        """The user clicks the item."""
        self._events += 1
        event = Event(f"replayed-{self._events}", self.user_id(user), item_id, self.clock())
        self.store.record_events([event])

    def user_id(self, user: int) -> ExternalId:
        """A user's id by row."""
        return self.dataset.users.ids[user]

    @cached_property
    def _encoders(self) -> Encoders:
        return Encoders.open(text_model=self.adapter.text_model, image_model=self.adapter.image_model)

    def _work_off(self) -> None:
        while self._ingestor.apply_due():
            pass
        self.floor.refresh()


@contextmanager
def replayed(
    dataset: Dataset, split: Split, adapter_folder: Path, folder: Path, *, quota: Quota
) -> Iterator[ReplayedShop]:
    """The shop in a folder of its own, its warm items in it."""
    adapter, clock = ServedAdapter.load(adapter_folder), Clock()
    protocol = Protocol.of(split, len(dataset.users), len(dataset.items))
    users = np.intersect1d(protocol.users("overall"), dataset.users.rows(adapter.backbone.users.ids))
    taste = Taste(csr_matrix(protocol.warm_test + protocol.cold_test))
    with (
        closing(SqlItemStore(f"sqlite:///{folder / 'catalog.sqlite3'}", clock=clock)) as store,
        closing(EdgeIndexStore(folder / "index")) as indexes,
    ):
        index = indexes.create("replayed", adapter.dim)
        shop = ReplayedShop(dataset, adapter, store, index, quota=quota, clock=clock, taste=taste, users=users)
        shop.open_doors()
        yield shop


def ndcg(ranked: Sequence[Rows], users: Sequence[int], truth: csr_matrix) -> float:
    """Mean NDCG@20 of lists [n] for users [n]."""
    table = np.full((len(ranked), K), -1, dtype=np.int64)
    for place, rows in enumerate(ranked):
        table[place, : min(K, len(rows))] = rows[:K]
    return float(recall_ndcg(table, truth[np.asarray(users)])[1].mean())


def _no_sentences(_: str) -> np.ndarray:
    raise NotImplementedError("nobody writes sentences here")
