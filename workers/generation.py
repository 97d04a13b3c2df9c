"""What a service makes for each adapter version that it keeps, of which one answers."""

from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass

from adapters.serving import ServedAdapter
from coldstart.catalog import ItemStore
from coldstart.errors import Unavailable
from coldstart.index import IndexStore, VectorIndex
from coldstart.recommend import Recommender
from coldstart.recommend.arms import Arms, Served
from coldstart.recommend.floor import Floor
from coldstart.recommend.newcomers import Quota
from coldstart.settings import Settings
from coldstart.telemetry import Telemetry
from workers.ahead import Ahead
from workers.encoding import BatchEncoder, encoder_of
from workers.holding import Holder
from workers.ingest import Ingestor
from workers.ingestion import make_ingestor
from workers.models import Models
from workers.periodic import Periodic, keep_up
from workers.projecting import Space
from workers.reading import Reading
from workers.users import at_hand_of


@dataclass(frozen=True, eq=False)
class Generation:
    """An adapter version, its collection, and all that is made of both: nothing in it knows of another version."""

    adapter: ServedAdapter
    index: VectorIndex
    encoder: BatchEncoder
    ingestor: Ingestor
    floor: Floor
    recommender: Recommender
    arms: Arms

    @property
    def version(self) -> str:
        """The adapter's."""
        return self.adapter.version

    @property
    def space(self) -> Space:
        """Where its vectors are."""
        return Space(self.adapter, self.index)

    def refresh(self) -> None:
        """Learn what is owed to new items and which experiments run."""
        self.floor.refresh()
        self.arms.refresh()

    def tell(self) -> None:
        """Say what it has shown."""
        tell(self.floor)
        tell(self.arms)


@dataclass(frozen=True)
class Kept:
    """The generations of this moment. A request uses ``live`` alone, and whoever takes items in writes to them all.

    ``readable``: versions whose embeddings the live one can place, its own among them.
    """

    live: Generation
    others: tuple[Generation, ...] = ()
    readable: frozenset[str] = frozenset()

    @property
    def every(self) -> tuple[Generation, ...]:
        """The live one first."""
        return (self.live, *self.others)

    @property
    def spaces(self) -> tuple[Space, ...]:
        """Of the others."""
        return tuple(each.space for each in self.others)


@dataclass(frozen=True)
class Workshop:
    """What generations are made of, and share."""

    settings: Settings
    store: ItemStore
    indexes: IndexStore
    models: Models
    reading: Reading
    telemetry: Telemetry
    ahead: Ahead

    def make(self, adapter: ServedAdapter) -> Generation:
        """The generation of an adapter, on a collection of the adapter's own, which is created where it is missing."""
        settings, reading, telemetry = self.settings, self.reading, self.telemetry
        index = self.indexes.create(adapter.version, adapter.dim)
        encoder = encoder_of(adapter, self.models, settings)
        quota = Quota(impressions=settings.newcomer_impressions, window_s=settings.newcomer_days * 86_400)
        floor = Floor(self.store, index, quota)
        recommender = Recommender(
            index=index,
            users=adapter,
            store=reading.behaviour,
            reader_of=reading.readers.reader_of,
            encode_preferences=self.models.embed_sentence,
            trained_clicks=adapter.clicks_by_item,
            adapter_version=adapter.version,
            telemetry=telemetry,
            floor=floor,
            policy=reading.policy,
            half_life_s=settings.half_life_days * 86_400.0,
            at_hand=at_hand_of(reading.readers, reading.state),
        )
        served = Served(adapter.version, adapter.backbone.kind, reading.policy)
        return Generation(
            adapter=adapter, index=index, encoder=encoder, floor=floor, recommender=recommender,
            ingestor=make_ingestor(settings, self.store, index, encoder, telemetry, ahead=self.ahead),
            arms=Arms(recommender, reading.experiments, served, telemetry),
        )  # fmt: skip


def keep_fresh(stack: ExitStack, settings: Settings, kept: Holder[Kept], telemetry: Telemetry) -> None:
    """Let the live generation know what is new every so often, until the stack is closed; then say what was shown.

    Where that cannot be told any more, new items are shown a few times more.
    """

    def look(_: Callable[[], bool]) -> None:
        with kept.use() as now:
            telemetry.owed.set(now.live.floor.refresh())

    def follow(_: Callable[[], bool]) -> None:
        with kept.use() as now:
            now.live.arms.refresh()

    def say() -> None:
        for each in kept.value.every:
            each.tell()

    kept.value.live.refresh()
    stack.callback(say)
    keep_up(
        stack,
        [
            Periodic("floor", look, every_s=settings.relay_seconds, rest=9),  # of a million new items it takes seconds
            Periodic("experiments", follow, every_s=settings.relay_seconds),
        ],
    )


def tell(shown: Floor | Arms) -> None:
    """What was shown last, where that can be told."""
    with suppress(Unavailable):
        shown.refresh()
