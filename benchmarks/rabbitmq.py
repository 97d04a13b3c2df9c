"""A RabbitMQ broker of one's own, which can be emptied, ended and started again. Needs Debian's package."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from kombu.connection import Connection

from benchmarks.processes import STOP_S, NotInstalled, free_port, wait_for_port
from workers.app import QUEUES


class RabbitMQ:
    """A broker on free ports of the loopback interface. What is in its queues outlasts an end of it."""

    def __init__(self, folder: str) -> None:
        # What the one in /usr/sbin runs as a user of its own.
        self._binary = shutil.which("rabbitmq-server", path="/usr/lib/rabbitmq/bin")
        if self._binary is None:
            raise NotInstalled("RabbitMQ is not installed (Debian package: rabbitmq-server)")
        self._folder, self.port, self._names_port = folder, free_port(), str(free_port())
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": folder,
            "RABBITMQ_NODENAME": f"coldstart-{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_MNESIA_BASE": folder,
            "RABBITMQ_LOG_BASE": folder,
            "RABBITMQ_GENERATED_CONFIG_DIR": folder,
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/plugins",
            "RABBITMQ_CONFIG_FILE": f"{folder}/config",
            "RABBITMQ_CONF_ENV_FILE": f"{folder}/environment",
            "RABBITMQ_ALLOW_INPUT": "1",  # the script becomes the broker, not its parent: the id is the broker's
            "RABBITMQ_SERVER_START_ARGS": "-noinput",
            "ERL_EPMD_PORT": self._names_port,
            "ERL_EPMD_ADDRESS": "127.0.0.1",
        }

    def url(self, port: int | None = None) -> str:
        """Its address, or that of what passes on to it from another port."""
        return f"amqp://guest:guest@127.0.0.1:{port or self.port}//"

    def start(self) -> None:
        """Start it, with what was in its queues, and wait until it listens."""
        with open(f"{self._folder}/output", "a") as output:
            self._server = subprocess.Popen(
                [str(self._binary)], env=self._environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                start_new_session=True,
            )  # fmt: skip
        try:
            wait_for_port(self.port, self._server)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End it in order."""
        self._server.terminate()
        self._server.wait(timeout=STOP_S)

    def clear(self) -> None:
        """Drop what waits in the queues."""
        with Connection(self.url()) as connection:  # type: ignore[no-untyped-call]
            for queue in QUEUES:
                try:
                    connection.channel().queue_purge(queue)
                except connection.channel_errors:  # nobody has declared it yet
                    continue

    def forget(self) -> None:
        """End Erlang's name server, which the broker started on a port of our own and which does not end with it."""
        subprocess.run(["epmd", "-port", self._names_port, "-kill"], stdout=subprocess.DEVNULL)


@contextmanager
def rabbitmq_server() -> Iterator[RabbitMQ]:
    """A broker of its own."""
    folder = tempfile.mkdtemp(prefix="coldstart-rabbitmq-")
    try:
        server = RabbitMQ(folder)
        try:
            server.start()
            try:
                yield server
            finally:
                server.stop()
        finally:
            server.forget()
    finally:
        shutil.rmtree(folder)


@contextmanager
def rabbitmq() -> Iterator[str]:
    """The URL of such a broker."""
    with rabbitmq_server() as server:
        yield server.url()
