"""The API keys as this process knows them: read again every second, so that no request waits for the database."""

import logging
from collections.abc import Callable, Sequence

import anyio
from anyio import to_thread

from coldstart.access import ApiKey, id_of

_log = logging.getLogger(__name__)
REFRESH_S = 1.0


class Keyring:
    """Keys by id.

    A key that was made or revoked is so here within `REFRESH_S`, as long as the database answers. While it does not,
    the keys last read stay valid: lists are still made then too, from what does answer.

    Parameters
    ----------
    read : callable
        All keys, revoked ones too; it may block.
    """

    def __init__(self, read: Callable[[], Sequence[ApiKey]]) -> None:
        self._read = read
        self._keys: dict[str, ApiKey] = {}

    @property
    def is_empty(self) -> bool:
        """Whether no key was ever made: one that is revoked still says that this service is not for everybody."""
        return not self._keys

    def find(self, token: bytes) -> ApiKey | None:
        """The valid key that this is."""
        key = self._keys.get(id_of(token) or "")
        return key if key is not None and key.matches(token) else None

    def refresh(self) -> None:
        """Read the keys."""
        self._keys = {key.key_id: key for key in self._read()}

    async def follow(self) -> None:
        """Refresh for as long as the process lives."""
        while True:
            await anyio.sleep(REFRESH_S)
            try:
                await to_thread.run_sync(self.refresh, abandon_on_cancel=True)
            except Exception as error:  # whatever it is, the next look may succeed, and nobody else would look
                _log.warning("API keys not read again: those known stay valid", extra={"error": str(error)})
