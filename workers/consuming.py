"""The process behind ``coldstart consume``, and the thread that does the same inside the service."""

import asyncio
import logging
import signal
from contextlib import ExitStack
from threading import Thread

from prometheus_client import start_http_server

from coldstart.catalog import ItemStore, open_item_store
from coldstart.errors import InvalidInput, Unavailable
from coldstart.recommend import log_of
from coldstart.settings import Settings
from coldstart.telemetry import Telemetry, configure_logging
from workers.events import PAUSE_S, EventConsumer
from workers.recording import Recorder
from workers.users import StateKind, open_state, state_kind

_log = logging.getLogger(__name__)
STOP_S = 15.0


def run_consumer(settings: Settings) -> None:
    """Consume events until a signal ends the process; the batch under way is finished first.

    Raises
    ------
    InvalidInput
        Where the settings name no broker, or the service would not see what this process applies.
    """
    if settings.kafka_brokers is None:
        raise InvalidInput(
            "there is no broker to consume from",
            subject="kafka_brokers",
            remedy="Set COLDSTART_KAFKA_BROKERS to HOST:PORT",
        )
    if state_kind(settings) is StateKind.MEMORY:
        raise InvalidInput(
            "the service keeps recent behaviour in its own memory here, where a process beside it cannot reach it",
            subject="redis_url",
            remedy="Set COLDSTART_REDIS_URL or a PostgreSQL COLDSTART_DATABASE_URL for both, or let the service "
            "consume, as it does where it knows kafka_brokers",
        )
    configure_logging(settings.log_level)
    telemetry = Telemetry()
    if settings.kafka_metrics_port is not None:
        start_http_server(settings.kafka_metrics_port, addr=settings.host, registry=telemetry.registry)
    asyncio.run(_consume(settings, telemetry))


async def _consume(settings: Settings, telemetry: Telemetry) -> None:
    stopping, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    with ExitStack() as stack:
        store = await _opened(stack, settings, stopping)
        if store is not None:
            state = open_state(stack, settings, log_of(store))
            await EventConsumer(settings, Recorder(store, state, telemetry), telemetry).run(stopping)


async def _opened(stack: ExitStack, settings: Settings, stopping: asyncio.Event) -> ItemStore | None:
    """The store, once its database answers; ``None`` where the process is to end before."""
    while not stopping.is_set():
        try:
            store = await asyncio.to_thread(open_item_store, settings.catalog_url)
        except Unavailable as error:
            _log.warning("waiting for the database", extra={"error": str(error)})
            await asyncio.wait([asyncio.create_task(stopping.wait())], timeout=PAUSE_S)
        else:
            stack.callback(store.close)
            return store
    return None


class ConsumerThread:
    """A consumer in a thread of the service, with an event loop of its own: the service's stays free for requests."""

    def __init__(self, consumer: EventConsumer) -> None:
        self._consumer, self._stopping = consumer, asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._run, name="coldstart-kafka", daemon=True)

    def start(self) -> None:
        """Begin to consume; a broker that is away is tried again and again."""
        self._thread.start()

    def stop(self) -> None:
        """End after the batch under way."""
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(STOP_S)
        if self._thread.is_alive():
            _log.warning("the consumer is left behind with a broker that does not answer")

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._consumer.run(self._stopping))
