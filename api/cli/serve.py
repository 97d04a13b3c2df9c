"""``coldstart serve``: the service, until a signal ends it."""

import logging
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict
from ipaddress import ip_address
from pathlib import Path
from threading import Event, Thread
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.options import with_settings
from coldstart.errors import Conflict
from coldstart.settings import Settings

if TYPE_CHECKING:
    from coldstart.dataset import Dataset
    from workers.runtime import Runtime

_log = logging.getLogger(__name__)
Data = Annotated[
    Path | None, typer.Option("--data", help="Data set whose items the catalogue should hold", show_default=False)
]


@with_settings()
def serve(settings: Settings, data: Data = None) -> None:
    """Serve recommendations over HTTP, encoding what is posted."""
    serve_in = run
    if settings.processes > 1:
        from api.cli.several import require_shared, run_together

        require_shared(settings)
        serve_in = run_together
    with suppress(KeyboardInterrupt), listen(settings.host, settings.port) as listener:
        refuse_strangers(listener, settings)
        signal.signal(signal.SIGTERM, _interrupt)
        serve_in(settings, listener, data)


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens at the address; bound before anything is loaded, so that a port in use is said at once."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise Conflict(
            f"cannot listen here: {os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror}",
            subject=f"{host}:{port}",
            remedy="Stop what listens there, or choose another port with --port (0: any that is free)",
        ) from None


def refuse_strangers(listener: socket.socket, settings: Settings) -> None:
    """`Conflict` where others than this machine's own programs would be served without a key."""
    host = listener.getsockname()[0]
    if ip_address(host).is_loopback:
        return
    if not settings.require_keys:
        raise Conflict(
            "only a loopback address may be served without keys", subject=host,
            remedy="Leave --host at 127.0.0.1, or serve with require_keys and a key of coldstart keys create",
        )  # fmt: skip
    from coldstart.catalog.keys import KeyStore

    with closing(KeyStore(settings.catalog_url)) as store:
        if all(key.revoked_at is not None for key in store.list_keys()):
            raise Conflict(
                "others can reach this address, and there is no API key to tell them apart", subject=host,
                remedy="Make one with: coldstart keys create --scope admin (and this --data-dir or --database-url), "
                "or leave --host at 127.0.0.1",
            )  # fmt: skip


def run(settings: Settings, listener: socket.socket, data: Path | None) -> None:
    """Serve on the socket until a signal; everything is closed when this returns."""
    from api.app import create_app
    from api.draining import Server, config_of
    from coldstart.dataset import read_dataset
    from coldstart.telemetry import configure_logging
    from workers.runtime import open_runtime

    configure_logging(settings.log_level)
    dataset = None if data is None else read_dataset(data)
    with open_runtime(settings) as runtime, loading(runtime, dataset):
        app = create_app(settings, runtime)
        announce(listener)
        Server(config_of(app), app.state.readiness, drain_s=settings.drain_seconds).run(sockets=[listener])


def announce(listener: socket.socket) -> None:
    """Say where it is served."""
    host, port = listener.getsockname()[:2]
    address = f"[{host}]" if ":" in host else host
    print(f"coldstart is at http://{address}:{port} (reference: /docs). End it with Ctrl-C.", flush=True)


@contextmanager
def loading(runtime: "Runtime", dataset: "Dataset | None") -> Iterator[None]:
    """Bring in the backbone's own items, with what the data set says of them and its further ones.

    In the background: a large catalogue takes a minute, and what is posted meanwhile goes first. Ends with the block,
    so that nothing is written to a store that is closed; what is missing then comes in at the next start.
    """
    stopping = Event()

    def load() -> None:
        try:
            seeded = runtime.seed(dataset, stopping=stopping.is_set)
            _log.info("catalogue loaded", extra=asdict(seeded))
        except Exception:
            _log.exception("the catalogue was not loaded", extra={"dataset": dataset.name if dataset else None})

    thread = Thread(target=load, name="coldstart-data")
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()


def _interrupt(_: int, __: FrameType | None) -> None:
    """A polite kill is an interrupt: uvicorn passes it on when it is done, and the runtime is closed on the way out."""
    raise KeyboardInterrupt
