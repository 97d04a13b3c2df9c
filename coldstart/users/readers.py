"""Whom a list is for, whatever becomes of the store: somebody who was erased stays erased while it is away."""

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import replace
from time import monotonic

from coldstart.bulkhead import Bulkhead
from coldstart.catalog.users import UserStore
from coldstart.encoders.precision import compatible
from coldstart.entities import ExternalId
from coldstart.errors import Unavailable
from coldstart.users.profile import Reader

_log = logging.getLogger(__name__)

LOOK_S = 1.0
OVERLAP_S = 60.0
"""How far back a look goes beyond the newest that is known: longer than a transaction takes, or two clocks differ."""
AT_HAND = 20_000
"""Readers that one process keeps; of each a kilobyte or two where they said something, else a tenth of that."""


class Readers:
    """Asks the store, and knows by itself who was erased: as of a second before the last list that was made.

    Where this process alone writes users, it asks once for each, until `forget` says that something is new of them.

    Parameters
    ----------
    accounts : UserStore
    encoder : str
        Fingerprint of the text encoder at work: embeddings of another model are left out.
    bulkhead : Bulkhead, optional
        Through which a store behind a network is asked.
    alone : bool
        Whether no other process writes users.
    clock : callable, optional
        Seconds, never going back.
    """

    def __init__(
        self,
        accounts: UserStore,
        *,
        encoder: str,
        bulkhead: Bulkhead | None = None,
        alone: bool = False,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._accounts, self._encoder, self._bulkhead, self._clock = accounts, encoder, bulkhead, clock
        self._erased, self._newest = set[str](), float("-inf")
        self._at_hand, self._most = OrderedDict[ExternalId, Reader](), AT_HAND if alone else 0
        self._changes, self._lock = 0, threading.Lock()
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
        if (known := self.at_hand(user_id)) is not None:
            return known
        changes = self._changes
        try:
            reader = self._ask(user_id) if self._bulkhead is None else self._bulkhead.call(self._ask, user_id)
        except Unavailable as error:
            _log.warning("profiles not used", extra={"error": str(error)})
            return Reader(user_id, erased=self.is_erased(user_id), degraded=True)
        with self._lock:
            # Not what was read before a change, nor what is known under another name, whose changes name the account.
            if self._most and changes == self._changes and reader.user_id == user_id:
                self._at_hand[user_id] = reader
                if len(self._at_hand) > self._most:
                    self._at_hand.popitem(last=False)
        return reader

    def at_hand(self, user_id: ExternalId) -> Reader | None:
        """Who asks, if that is known without asking anybody."""
        with self._lock:
            if (known := self._at_hand.get(user_id)) is not None:
                self._at_hand.move_to_end(user_id)
            return known

    def forget(self, user_ids: Iterable[ExternalId]) -> None:
        """Something is new of these: what they said, whose an id is, or that they were erased."""
        with self._lock:
            self._changes += 1
            for user_id in user_ids:
                self._at_hand.pop(user_id, None)

    def _ask(self, user_id: ExternalId) -> Reader:
        if self._clock() - self._looked_at >= LOOK_S:
            self.look()
        reader = self._accounts.reader(user_id)
        if reader.profile.encoder is None or compatible(reader.profile.encoder, self._encoder):
            return reader
        return replace(reader, profile=replace(reader.profile, embedding=None))
