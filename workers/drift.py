"""Watches whether new items are still like those that the adapter was trained on."""

from typing import Protocol

import numpy as np

from adapters.content import MODALITIES
from adapters.drift import drift
from adapters.serving import ServedAdapter
from coldstart.catalog import Embeddings
from coldstart.telemetry import Telemetry

NEWEST = 500


class NewestEmbeddings(Protocol):
    """The part of `ItemStore` that is looked at; see there."""

    def newest_embeddings(self, *, limit: int) -> list[Embeddings]:
        """Of the cold items that were accepted last."""
        ...


def watch_drift(store: NewestEmbeddings, adapter: ServedAdapter, telemetry: Telemetry) -> None:
    """Tell of each modality how far the newest 500 cold items are from the training's."""
    newest = store.newest_embeddings(limit=NEWEST)
    trained = adapter.adapter.contents
    for column, modality in enumerate(MODALITIES):
        reference = getattr(trained, modality)[trained.present[:, column]]
        found = [vector for each in newest if (vector := getattr(each, modality)) is not None]
        recent = np.array(found, dtype=np.float32).reshape(len(found), reference.shape[1])
        telemetry.drift.labels(modality).set(drift(reference, recent))
