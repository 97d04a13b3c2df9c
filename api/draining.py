"""An end that nobody notices: first the readiness goes, then, when requests go elsewhere, the service."""

import logging
import signal
from threading import Timer
from types import FrameType
from typing import Any

import uvicorn

from api.readiness import Readiness

_log = logging.getLogger(__name__)
SHUTDOWN_S = 2


def config_of(app: Any, **more: Any) -> uvicorn.Config:
    """uvicorn's configuration for an application, or for what makes one (``factory=True``)."""
    return uvicorn.Config(
        app, http="httptools", access_log=False, log_config=None, server_header=False,
        timeout_graceful_shutdown=SHUTDOWN_S, **more,
    )  # fmt: skip


class Server(uvicorn.Server):
    """uvicorn's server, which goes on for a while after SIGTERM; Ctrl-C, and a second SIGTERM, end it at once.

    Parameters
    ----------
    readiness : Readiness
        Told when the while begins.
    drain_s : float
        How long it is: longer than whoever balances load takes to see that the service is not ready.
    """

    def __init__(self, config: uvicorn.Config, readiness: Readiness, *, drain_s: float) -> None:
        super().__init__(config)
        self._readiness, self._drain_s = readiness, drain_s
        self._draining = False

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Called by a signal."""
        if sig != signal.SIGTERM or self._draining or self._drain_s == 0:
            super().handle_exit(sig, frame)
            return
        self._draining = True
        self._readiness.drain()
        _log.warning("draining", extra={"seconds": self._drain_s})
        timer = Timer(self._drain_s, super().handle_exit, (sig, frame))
        timer.daemon = True
        timer.start()
