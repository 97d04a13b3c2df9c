"""Whom a list is for, whatever becomes of the store: somebody who was erased stays erased while it is away."""

import logging
from collections.abc import Callable
from dataclasses import replace
from time import monotonic

from coldstart.bulkhead import Bulkhead
from coldstart.catalog.users import UserStore
from coldstart.entities import ExternalId
from coldstart.errors import Unavailable
from coldstart.users.profile import Reader

_log = logging.getLogger(__name__)

LOOK_S = 1.0
OVERLAP_S = 60.0
"""How far back a look goes beyond the newest that is known: longer than a transaction takes, or two clocks differ."""


class Readers:
    """Asks the store, and knows by itself who was erased: as of a second before the last list that was made.

    Parameters
    ----------
    accounts : UserStore
    encoder : str
        Fingerprint of the text encoder at work: embeddings of another one are left out.
    bulkhead : Bulkhead, optional
        Through which a store behind a network is asked.
    clock : callable, optional
        Seconds, never going back.
    """

    def __init__(
        self,
        accounts: UserStore,
        *,
        encoder: str,
        bulkhead: Bulkhead | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._accounts, self._encoder, self._bulkhead, self._clock = accounts, encoder, bulkhead, clock
        self._erased, self._newest = set[str](), float("-inf")
        self.look()

    def look(self) -> None:
        """Learn who was erased."""
        self._looked_at = self._clock()
        found = self._accounts.erasures(self._newest - OVERLAP_S)
        self._erased.update(found)
        self._newest = max(found.values(), default=self._newest)

    def is_erased(self, user_id: ExternalId) -> bool:
        """Whether it is known here; asks nobody."""
        return self._accounts.digest(user_id) in self._erased

    def reader_of(self, user_id: ExternalId) -> Reader:
        """Who asks; `degraded` where the store does not answer."""
        try:
            return self._ask(user_id) if self._bulkhead is None else self._bulkhead.call(self._ask, user_id)
        except Unavailable as error:
            _log.warning("profiles not used", extra={"error": str(error)})
            return Reader(user_id, erased=self.is_erased(user_id), degraded=True)

    def _ask(self, user_id: ExternalId) -> Reader:
        if self._clock() - self._looked_at >= LOOK_S:
            self.look()
        reader = self._accounts.reader(user_id)
        if reader.profile.encoder in (None, self._encoder):
            return reader
        return replace(reader, profile=replace(reader.profile, embedding=None))
