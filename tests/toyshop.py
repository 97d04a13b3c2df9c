"""A shop of teas and tools with an obvious answer: tea drinkers want teas, makers want tools."""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from PIL import Image
from scipy.sparse import csr_matrix

from adapters.artifact import EncoderName, save_artifact
from adapters.config import AdapterConfig
from adapters.embedding import embed_items
from adapters.fit import fit
from coldstart.backbones import FrozenBackbone
from coldstart.dataset import Dataset, read_dataset
from coldstart.encoders import DEFAULT_IMAGE_MODEL, DEFAULT_TEXT_MODEL, open_image_encoder, open_text_encoder

TEAS = ("Green", "Black", "Oolong", "White", "Jasmine", "Mint", "Chai", "Rooibos")
TOOLS = ("Claw hammer", "Hand saw", "Drill", "Chisel", "Wood plane", "Spirit level", "Pliers", "Mallet")
GREEN, GREY = (60, 140, 70), (120, 120, 130)
USERS_OF_A_KIND = 6


@dataclass(frozen=True)
class Shop:
    """A data set on disk, and an adapter trained on it."""

    data: Path
    dataset: Dataset
    artifact: Path


def picture(colour: tuple[int, int, int] = GREEN, side: int = 64) -> bytes:
    """A PNG of one colour."""
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), colour).save(buffer, "PNG")
    return buffer.getvalue()


def make_shop(folder: Path, *, cache: Path) -> Shop:
    """Write the shop, and a closed-form adapter beside it; quick once the cache has the encoders.

    It is trained on fp32 embeddings, and a service encodes in int8 by default: as where training has a GPU.
    """
    data = folder / "shop"
    _write_tables(data)
    dataset = read_dataset(data)
    backbone = _backbone(dataset)
    backbone.save(folder / "backbone")
    text, image = open_text_encoder(precision="fp32", cache=cache), open_image_encoder(precision="fp32", cache=cache)
    contents = embed_items(dataset, text=text, image=image).contents
    adapter = fit(backbone, contents, config=AdapterConfig(neighbours=4, image_dim=4, content_dim=8))
    save_artifact(
        adapter,
        folder / "adapter",
        text=EncoderName(DEFAULT_TEXT_MODEL, text.fingerprint),
        image=EncoderName(DEFAULT_IMAGE_MODEL, image.fingerprint),
        backbone_dir=folder / "backbone",
        card="The toy shop's adapter.",
    )
    return Shop(data, dataset, folder / "adapter")


def _write_tables(data: Path) -> None:
    (data / "images").mkdir(parents=True)
    items, clicks = [], []
    for kind, names, words, colour in (
        ("tea", TEAS, "tea, loose leaves for a quiet afternoon", GREEN),
        ("tool", TOOLS, "for the workshop, forged of tempered steel", GREY),
    ):
        for n, name in enumerate(names):
            item_id = f"{kind}-{n}"
            (data / "images" / f"{item_id}.png").write_bytes(picture(_brighter(colour, 4 * n)))
            items.append((item_id, name, f"{name} {words}.", f"images/{item_id}.png", kind, 3.5 + n))
            # Everyone clicks six of the eight: two of each kind remain to be recommended.
            clicks += [(f"{kind}-user-{u}", item_id) for u in range(USERS_OF_A_KIND) if (n + u) % 4]
    columns = ["item_id", "title", "text", "image", "kind", "price"]
    pl.DataFrame(items, schema=columns, orient="row").write_csv(data / "items.csv")
    pl.DataFrame(clicks, schema=["user_id", "item_id"], orient="row").write_csv(data / "interactions.csv")


def _brighter(colour: tuple[int, int, int], by: int) -> tuple[int, int, int]:
    red, green, blue = (min(255, part + by) for part in colour)
    return red, green, blue


def _backbone(dataset: Dataset) -> FrozenBackbone:
    """Vectors as a recommender would learn them: one direction for each kind, a little of its own for each id."""
    rng = np.random.default_rng(0)

    def vectors(ids: tuple[str, ...]) -> np.ndarray:
        axes = np.array([[1.0, 0.0] if each.startswith("tea") else [0.0, 1.0] for each in ids])
        return np.hstack([axes, 0.1 * rng.standard_normal((len(ids), 6))]).astype(np.float32)

    return FrozenBackbone(
        kind="external",
        users=dataset.users,
        items=dataset.items.ids,
        user_vectors=vectors(dataset.users.ids),
        item_vectors=vectors(dataset.items.ids.ids),
        clicks=csr_matrix(dataset.matrix()),
    )
