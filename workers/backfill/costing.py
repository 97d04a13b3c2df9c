"""What a source comes to and what it would cost: everything is read, nothing accepted, a sample really encoded."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from adapters.serving import ServedAdapter
from coldstart.catalog import Claim, Draft, Encoded, ItemRecord, Status
from coldstart.catalog.bulk import Problem
from coldstart.catalog.statements import chunks
from coldstart.settings import Settings
from workers.backfill.survey import LOOK, OnRows, Survey
from workers.encoding import BatchEncoder, encoder_of
from workers.isolation import isolate
from workers.models import models_of

SAMPLE = 64
"""Items that are encoded to know how long one takes."""
WORKERS = (1, 2, 4, 8)
_TOLD = 20
_BATCH = 8
_ROW_BYTES = 700
"""Of an item's row beside its texts and vectors, with its indexes: `python -m benchmarks.backfill` prints the whole."""
_POINT_BYTES = 700
"""Of a point beside its vector, with graph and payload: 1M x 64 take 930 MB resident."""


@dataclass
class Counted:
    """What the rows of a source come to; ``problems`` are the first of them, ``sample`` drafts from all over it."""

    items: int = 0
    pictures: int = 0
    addresses: int = 0
    picture_bytes: int = 0
    text_bytes: int = 0
    refused: int = 0
    without_picture: int = 0
    problems: list[Problem] = field(default_factory=list)
    sample: list[Draft] = field(default_factory=list)


@dataclass(frozen=True)
class Cost:
    """Of encoding and keeping what was counted; ``picture_errors`` are those of the ``sampled`` items.

    ``cpu_s`` and ``wall_s`` are of one item, the latter with the time in which a picture is fetched.
    """

    sampled: int
    cpu_s: float
    wall_s: float
    picture_errors: tuple[str, ...]
    disk_bytes: int
    memory_bytes: int

    def eta_s(self, items: int, workers: int) -> float:
        """Seconds until so many items are encoded, by so many workers with a processor each."""
        return items * self.wall_s / workers


def count(survey: Survey, *, sample: int = SAMPLE, on_rows: OnRows = lambda rows: None) -> Counted:
    """Read everything, local pictures too, and count."""
    counted = Counted()
    every = max(1, survey.source.rows // sample)
    for piece in survey.files.pieces(size=LOOK):
        for row, draft, cause in survey.drafts(piece):
            if cause is not None and len(counted.problems) < _TOLD:
                counted.problems.append(row.problem(cause, accepted=draft is not None))
            if draft is None:
                counted.refused += 1
                continue
            item, picture = draft.item, draft.picture
            counted.items += 1
            counted.text_bytes += len(item.title) + len(item.text) + len(orjson.dumps(dict(item.attributes)))
            counted.pictures += picture is not None
            counted.picture_bytes += len(picture or b"")
            counted.addresses += item.image is not None
            counted.without_picture += cause is not None
            if row.number % every == 0 and len(counted.sample) < sample:
                counted.sample.append(draft)
        on_rows(piece.end)
    return counted


def cost(counted: Counted, settings: Settings) -> Cost:
    """Encode the sample as a worker on these settings would, and tell what all of it would take.

    Raises `NotFound` where there is no adapter, and what keeps encoders from being opened.
    """
    adapter = ServedAdapter.load(settings.adapter_dir, backbone=settings.backbone)
    forgetful = settings.model_copy(update={"encoder_memory_mb": 0})  # some of the sample is encoded twice
    encoder = encoder_of(adapter, models_of(adapter, forgetful), settings)
    encoder.open()
    _encode(encoder, counted.sample[:_BATCH])  # the first batch of a model is slow
    wall, cpu = time.perf_counter(), time.process_time()
    errors = [error for part in chunks(counted.sample, _BATCH) for error in _encode(encoder, part)]
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    images = counted.pictures + counted.addresses
    rows = counted.items * (_ROW_BYTES + 2 * adapter.text_dim + 4 * adapter.dim) + 2 * adapter.image_dim * images
    points = counted.items * (_POINT_BYTES + 4 * adapter.dim)
    sampled = max(1, len(counted.sample))
    return Cost(
        sampled=len(counted.sample), cpu_s=cpu / sampled, wall_s=wall / sampled, picture_errors=tuple(errors),
        disk_bytes=rows + counted.text_bytes + counted.picture_bytes + points, memory_bytes=points,
    )  # fmt: skip


def told(survey: Survey, counted: Counted, cost: Cost) -> dict[str, Any]:
    """The figures as one JSON object."""
    return {
        "source": survey.source.name,
        "files": len(survey.files.files),
        "bytes": survey.source.size,
        "rows": survey.source.rows,
        "items": counted.items,
        "refused": counted.refused,
        "pictures": counted.pictures,
        "picture_bytes": counted.picture_bytes,
        "addresses": counted.addresses,
        "without_picture": counted.without_picture,
        "problems": [{"place": each.place, "item_id": each.item_id, "cause": each.cause} for each in counted.problems],
        "sampled": cost.sampled,
        "sampled_picture_errors": len(cost.picture_errors),
        "cpu_ms_per_item": round(1000 * cost.cpu_s, 2),
        "cpu_hours": round(counted.items * cost.cpu_s / 3600, 3),
        "disk_mb": round(cost.disk_bytes / 1e6, 1),
        "index_memory_mb": round(cost.memory_bytes / 1e6, 1),
        "eta_s": {str(n): round(cost.eta_s(counted.items, n), 1) for n in WORKERS},
    }


def _encode(encoder: BatchEncoder, drafts: Sequence[Draft]) -> list[str]:
    """Encode as a worker would, and return what is wrong with pictures."""
    claims = [
        Claim(ItemRecord(draft.item, 1, Status.PENDING, 0.0), attempts=1, picture=draft.picture) for draft in drafts
    ]
    outcomes = isolate(encoder.encode, encoder.read(claims)) if claims else []
    return [each.picture_error for each in outcomes if isinstance(each, Encoded) and each.picture_error is not None]
