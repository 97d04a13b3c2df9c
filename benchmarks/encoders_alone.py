"""What ingestion cannot undercut: an item decoded, encoded and upserted in one process, with no service around it."""

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from adapters.serving import ServedAdapter
from coldstart.clean import compose_text
from coldstart.encoders.fetch import Fetcher
from coldstart.encoders.media import decode_picture, read_picture
from coldstart.index import Point, open_index_store
from coldstart.settings import Settings
from workers.models import models_of

WARM_UP = 5


def timed(adapter_folder: Path, bodies: Sequence[dict[str, Any]]) -> list[float]:
    """Milliseconds of each item, text and picture, one at a time, by the encoders that a service would run."""
    settings = Settings(encoder_memory_mb=0)  # the first bodies come twice
    adapter = ServedAdapter.load(adapter_folder)
    models = models_of(adapter, settings)
    text, image = models.text.get(), models.image.get()
    vectors = np.random.default_rng(0).standard_normal((len(bodies), adapter.dim), dtype=np.float32)
    fetcher, limits = Fetcher(), {"max_pixels": settings.max_image_pixels, "max_bytes": settings.max_image_bytes}
    elapsed = []
    with tempfile.TemporaryDirectory(prefix="coldstart-floor-") as folder:
        indexes = open_index_store(root=Path(folder))
        index = indexes.create("floor", adapter.dim)
        for n, body in enumerate([*bodies[:WARM_UP], *bodies]):
            start = time.perf_counter()
            data = read_picture(body["image"], root=None, fetcher=fetcher, max_bytes=settings.max_image_bytes)
            image.encode([decode_picture(data, subject=f"{n}", **limits)])
            text.encode([compose_text(body["title"], body["text"], {})])
            index.upsert([Point(f"{n}", 1, vectors[n % len(bodies)])])
            elapsed.append(1000 * (time.perf_counter() - start))
        indexes.close()
    return elapsed[WARM_UP:]
