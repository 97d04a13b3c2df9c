"""A data set's shop in one process and in simulated time: the product's own catalogue, index and recommender, no HTTP.

Warm items are there from the beginning, cold ones arrive when told to. Users click what they are known to have clicked
in the parts that training did not see, and now and then something else.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix

from adapters.encoding import Encoders
from adapters.serving import ServedAdapter
from coldstart.catalog import Draft
from coldstart.catalog.store import SqlItemStore
from coldstart.dataset import Dataset
from coldstart.encoders.fetch import Fetcher
from coldstart.entities import Event, ExternalId
from coldstart.evaluation.protocols import Protocol
from coldstart.index.edge import EdgeIndexStore
from coldstart.recommend import RecommendationList, Recommender, Request
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
    """The shop of one adapter; opened by `replayed`."""

    def __init__(
        self, dataset: Dataset, adapter: ServedAdapter, store: SqlItemStore, floor: Floor, recommender: Recommender,
        ingestor: Ingestor, clock: Clock, taste: Taste, users: Rows,
    ) -> None:  # fmt: skip
        self.dataset, self.adapter, self.store, self.floor, self.clock = dataset, adapter, store, floor, clock
        self.recommender, self._ingestor, self.taste, self.users = recommender, ingestor, taste, users
        self._events = 0

    def arrive(self, rows: Rows) -> None:
        """These items of the data set are accepted, encoded and retrievable now."""
        items = self.dataset.take_items(rows)
        contents = Encoders.open(text_model=self.adapter.text_model, image_model=self.adapter.image_model).embed(items)
        told = [items.items.item(row) for row in range(len(rows))]
        parts = contents.contents
        encoded = serve(self.adapter, told, parts.text, parts.image, parts.present)
        drafts = [Draft(item) for item in told]
        self.store.accept_encoded(list(zip(drafts, encoded, strict=True)))
        self._work_off()

    def open_doors(self) -> None:
        """Bring in what the backbone knows."""
        seed(
            self.store,
            self.adapter,
            self.dataset.take_items(self.dataset.items.ids.rows(self.adapter.backbone.items.ids)),
        )
        self._work_off()

    def ask(self, user: int, request: Request) -> RecommendationList:
        """The list of a user at this moment."""
        return self.recommender.recommend(request)

    def rows(self, answer: RecommendationList) -> Rows:
        """The data set's rows of a list's items."""
        return self.dataset.items.ids.rows([row.item_id for row in answer.rows])

    def clicked(self, user: int, answer: RecommendationList, rng: np.random.Generator) -> list[Event]:
        """What the user clicks of a list; reported."""
        chances = self.taste.chances(user, self.rows(answer))
        places = np.flatnonzero(rng.random(len(chances)) < chances)
        events = [self._event(self.user_id(user), answer.rows[place].item_id) for place in places]
        if events:
            self.store.record_events(events)
        return events

    def user_id(self, user: int) -> ExternalId:
        """A user's id by row."""
        return self.dataset.users.ids[user]

    def _event(self, user_id: ExternalId, item_id: ExternalId) -> Event:
        self._events += 1
        return Event(f"replayed-{self._events}", user_id, item_id, self.clock())

    def _work_off(self) -> None:
        while self._ingestor.apply_due():
            pass
        self.floor.refresh()


@contextmanager
def replayed(
    dataset: Dataset, split: Split, adapter_folder: Path, folder: Path, *, quota: Quota
) -> Iterator[ReplayedShop]:
    """The shop in a folder of its own, its warm items in it; users are those with cold and warm held-out clicks."""
    adapter, clock, settings = ServedAdapter.load(adapter_folder), Clock(), Settings(data_dir=folder)
    protocol = Protocol.of(split, len(dataset.users), len(dataset.items))
    known = np.flatnonzero(dataset.users.rows(adapter.backbone.users.ids) >= 0)
    users = np.intersect1d(
        protocol.users("overall"), dataset.users.rows([adapter.backbone.users.ids[row] for row in known])
    )
    with (
        closing(SqlItemStore(f"sqlite:///{folder / 'catalog.sqlite3'}", clock=clock)) as store,
        closing(EdgeIndexStore(folder / "index")) as indexes,
    ):
        index = indexes.create("replayed", adapter.dim)
        telemetry = Telemetry()
        encoder = BatchEncoder(
            adapter, models_of(adapter, settings), PictureReader(Fetcher(), max_bytes=1, max_pixels=1)
        )
        ingestor = Ingestor(
            store=store, index=index, encoder=encoder, telemetry=telemetry, batch=256, lease_s=600, max_attempts=1,
            clock=clock,
        )  # fmt: skip
        floor = Floor(store, index, quota, clock=clock)
        recommender = Recommender(
            index=index, users=adapter, store=store, encode_preferences=_no_sentences,
            trained_clicks=adapter.clicks_by_item, adapter_version=adapter.version, telemetry=telemetry, floor=floor,
            clock=clock,
        )  # fmt: skip
        taste = Taste(csr_matrix(protocol.warm_test + protocol.cold_test))
        shop = ReplayedShop(dataset, adapter, store, floor, recommender, ingestor, clock, taste, users)
        shop.open_doors()
        yield shop


def ndcg(ranked: Sequence[Rows], users: Sequence[int], truth: csr_matrix) -> float:
    """Mean NDCG@20 of lists [n] for users [n]."""
    from coldstart.evaluation.metrics import recall_ndcg

    table = np.full((len(ranked), K), -1, dtype=np.int64)
    for place, rows in enumerate(ranked):
        table[place, : min(K, len(rows))] = rows[:K]
    return float(recall_ndcg(table, truth[np.asarray(users)])[1].mean())


def _no_sentences(_: str) -> np.ndarray:
    raise NotImplementedError("nobody writes sentences here")
