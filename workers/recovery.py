"""What a starting service puts right: what a killed process, a new adapter or a lost index left behind."""

import logging
from collections.abc import Collection

from coldstart.catalog import ItemStore, Stage, Status
from coldstart.index import IndexStore, VectorIndex
from coldstart.settings import Settings
from workers.app import is_in_process
from workers.reconcile import bury

_log = logging.getLogger(__name__)


def recover(
    settings: Settings,
    store: ItemStore,
    indexes: IndexStore,
    index: VectorIndex,
    version: str,
    readable: Collection[str] = (),
    *,
    missed_nothing: bool = False,
) -> None:
    """Owe again what the index of this adapter version does not have, and make it the live one.

    What other versions told of is placed anew where their embeddings are ``readable``, and else encoded again. A
    collection that was kept beside another ``missed_nothing`` of what was taken in meanwhile.
    """
    owns_index = settings.qdrant_url is None  # then no other service runs on this catalogue
    alone_at = {Stage.INDEX: owns_index, Stage.ENCODE: owns_index and is_in_process(settings.broker_url)}
    for stage in (stage for stage, alone in alone_at.items() if alone):
        if leases := store.expire_leases(stage):
            _log.warning("taken over from a process that died", extra={"stage": stage, "items": leases})
    if items := store.requeue(Stage.ENCODE, adapter_version=version, readable=readable):
        _log.warning("to be encoded for another adapter", extra={"items": items, "adapter_version": version})
    # In this order: other processes may be at work, and what they make retrievable is in the index before.
    retrievable = store.counts()[Status.RETRIEVABLE]
    missed = indexes.live() != version and not missed_nothing
    if missed and index.count():
        # A collection from before another adapter was served still holds what has been deleted since.
        bury(store, index, adapter_version=version)
    if missed or index.count() < retrievable:
        if items := store.requeue(Stage.INDEX, adapter_version=version, readable=readable):
            _log.warning("to be written again to an index that missed or lost it", extra={"items": items})
    if indexes.live() != version:
        indexes.promote(version)
