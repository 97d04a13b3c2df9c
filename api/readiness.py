"""The service is ready once it has really encoded an item and answered a query."""

import logging
from collections.abc import Callable

from anyio import sleep, to_thread

from coldstart.errors import Unavailable

_log = logging.getLogger(__name__)
RETRY_S = 5.0


class Readiness:
    """Warms up in the background and tells how far it is."""

    def __init__(self) -> None:
        self._waits_for: str | None = "the encoders are being loaded"
        self._draining = False

    def require(self) -> None:
        """Raise `Unavailable` with the reason until the service is ready."""
        if self._draining:
            raise Unavailable("not ready: the service is about to end", remedy="Ask another instance")
        if self._waits_for is not None:
            raise Unavailable(f"not ready: {self._waits_for}", remedy="Ask again soon; see the log if this stays")

    def drain(self) -> None:
        """Not ready from now on: whoever sends requests should send them elsewhere."""
        self._draining = True

    async def warm_up(self, *steps: Callable[[], object]) -> None:
        """Take the steps, again after a pause where one fails: what was missing may come back."""
        while True:
            try:
                for step in steps:
                    await to_thread.run_sync(step, abandon_on_cancel=True)
            except Exception as error:
                _log.exception("not ready")
                self._waits_for = str(error)
                await sleep(RETRY_S)
            else:
                self._waits_for = None
                return
