"""A large catalogue of random vectors, ready to be served: backbone, adapter, database, and an index with its graph.

``python -m benchmarks.catalogue FOLDER ITEMS [--neumf]`` builds one. A process of its own: building the search graph
holds the interpreter lock throughout. What a list is made of is not of interest here, only how much there is of it.
"""

import argparse
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix

from adapters.artifact import EncoderName, save_artifact
from adapters.config import AdapterConfig
from adapters.content import Contents
from adapters.fit import fit
from adapters.serving import ServedAdapter
from coldstart.backbones import FrozenBackbone
from coldstart.catalog import open_item_store
from coldstart.encoders import DEFAULT_IMAGE_MODEL, DEFAULT_TEXT_MODEL, open_image_encoder, open_text_encoder
from coldstart.ids import IdMap
from coldstart.index import index_store_of
from coldstart.settings import Settings
from coldstart.telemetry import Telemetry
from coldstart.vectors import Matrix, normalise
from workers.encoding import encoder_of
from workers.ingest import Ingestor
from workers.models import models_of
from workers.seeding import seed

DIM, MLP_DIM, HIDDEN = 64, 32, (64, 32)
USERS, CLICKS_PER_USER = 2000, 40
ANCHORS = 2000
"""Warm items that are searched for neighbours: a new item's affair, which costs a list nothing."""
BATCH = 1000
_WHOLE = "complete"


@dataclass(frozen=True, slots=True)
class Catalogue:
    """A folder with everything that `coldstart serve` needs."""

    folder: Path

    @property
    def settings(self) -> Settings:
        """Those that serve it."""
        return Settings(data_dir=self.folder / "state", adapter=self.folder / "adapter")

    @property
    def flags(self) -> list[str]:
        """The same on a command line."""
        return ["--data-dir", str(self.folder / "state"), "--adapter", str(self.folder / "adapter")]


def catalogue(folder: Path, items: int, *, neumf: bool = False) -> Catalogue:
    """The catalogue in the folder, built where there is none; with ``neumf`` NeuMF orders what is retrieved again."""
    if not (folder / _WHOLE).exists():
        shutil.rmtree(folder, ignore_errors=True)
        arguments = [str(folder), str(items), *(["--neumf"] if neumf else [])]
        subprocess.run([sys.executable, "-m", "benchmarks.catalogue", *arguments], check=True, stdout=sys.stderr)
    return Catalogue(folder)


def main() -> None:
    """Build one."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("items", type=int)
    parser.add_argument("--neumf", action="store_true")
    asked = parser.parse_args()
    made = Catalogue(asked.folder)
    _train(made, asked.items, neumf=asked.neumf)
    _stock(made)
    (made.folder / _WHOLE).touch()


def _train(made: Catalogue, items: int, *, neumf: bool) -> None:
    rng = np.random.default_rng(0)

    def random(n: int, d: int) -> Matrix:
        return normalise(rng.standard_normal((n, d), dtype=np.float32))

    # Taste has some dozen dimensions, whatever the width: random directions would have no near neighbours at all.
    axes = random(16, DIM)
    users, warm = (normalise(random(n, 16) @ axes + 0.5 * random(n, DIM)) for n in (USERS, items))
    rows = np.repeat(np.arange(USERS), CLICKS_PER_USER)
    columns = (items * rng.random(len(rows)) ** 2).astype(np.int64)
    clicks = csr_matrix((np.ones(len(rows), np.float32), (rows, columns)), shape=(USERS, items))
    clicks.data[:] = 1.0
    names = IdMap([f"user-{n}" for n in range(USERS)]), IdMap([f"item-{n}" for n in range(items)])
    backbone = FrozenBackbone("external", *names, users, warm, clicks)
    if neumf:
        backbone = replace(backbone, kind="neumf", config={"context_columns": []}, extra=_towers(rng, items))
    backbone.save(made.folder / "backbone")
    cache = made.settings.cache
    text, image = open_text_encoder(cache=cache), open_image_encoder(cache=cache)
    contents = Contents(random(items, text.dim), random(items, image.dim), np.ones((items, 2), dtype=np.bool_))
    adapter = fit(backbone, contents, config=AdapterConfig(max_anchors=ANCHORS))
    save_artifact(
        adapter.with_scales(cold_ranker=0.3, warm_ranker=0.3) if neumf else adapter,
        made.folder / "adapter",
        text=EncoderName(DEFAULT_TEXT_MODEL, text.fingerprint),
        image=EncoderName(DEFAULT_IMAGE_MODEL, image.fingerprint),
        backbone_dir=made.folder / "backbone",
        card="Random vectors for a benchmark.",
    )


def _towers(rng: np.random.Generator, items: int) -> dict[str, Matrix]:
    """NeuMF's perceptron with random weights."""
    widths = (2 * MLP_DIM, *HIDDEN)
    layers = {
        f"mlp.{n}.{part}": rng.standard_normal((out, into) if part == "weight" else out).astype(np.float32)
        / np.float32(into)
        for n, (into, out) in enumerate(pairwise(widths))
        for part in ("weight", "bias")
    }
    return {
        "mlp.user": rng.standard_normal((USERS, MLP_DIM)).astype(np.float32),
        "mlp.item": rng.standard_normal((items, MLP_DIM)).astype(np.float32),
        **layers,
        "fusion.mlp": rng.standard_normal(HIDDEN[-1]).astype(np.float32),
        "fusion.bias": np.zeros(1, np.float32),
    }


def _stock(made: Catalogue) -> None:
    """Bring the backbone's items into database and index as a service would, and build the search graph."""
    settings, telemetry = made.settings, Telemetry()
    adapter = ServedAdapter.load(settings.adapter_dir)
    store, indexes = open_item_store(settings.catalog_url), index_store_of(settings)
    index = indexes.create(adapter.version, adapter.dim)
    ingestor = Ingestor(
        store=store, index=index, encoder=encoder_of(adapter, models_of(adapter, settings), settings),
        telemetry=telemetry, batch=BATCH, lease_s=600, max_attempts=1,
    )  # fmt: skip
    seed(store, adapter)
    while ingestor.apply_due():
        pass
    index.optimize()
    indexes.promote(adapter.version)
    indexes.close()
    store.close()


if __name__ == "__main__":
    main()
