"""The sample shop: a generated catalogue with pictures, texts and clicks, on which everything can be tried.

Shoppers have hidden tastes. Palette and pattern are in the pictures alone, the theme is in the texts alone, the
category in both: recommending new products well takes both. The newest tenth of the products are the arrivals.
"""

import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from coldstart.dataset import Dataset, read_dataset
from coldstart.sample.shop import ARRIVALS, Clicks, Product, make_clicks, make_products
from coldstart.sample.wording import KINDS
from coldstart.splits import hold_out_items, write_split

__all__ = ["open_sample", "write_sample"]


def open_sample(
    folder: Path, *, seed: int = 0, products: int = 2000, shoppers: int = 1500, clicks: int = 60_000
) -> Dataset:
    """The sample shop in a folder, written by `write_sample` where there is none of this size yet."""
    folder = Path(folder)
    if (folder / "splits" / "arrivals" / "cold_test.csv").exists():
        found = read_dataset(folder)
        if (len(found.items), len(found.users), len(found.interactions)) == (products, shoppers, clicks):
            return found
    write_sample(folder, seed=seed, products=products, shoppers=shoppers, clicks=clicks)
    return read_dataset(folder)


def write_sample(
    folder: Path, *, seed: int = 0, products: int = 2000, shoppers: int = 1500, clicks: int = 60_000
) -> None:
    """Write the sample shop as a data set that `read_dataset` reads, with the split ``arrivals``.

    ``items.csv`` and ``interactions.csv`` hold everything. In the split ``arrivals`` the newest tenth of the products
    is cold, half of it for validation and half for testing, with the clicks that it would get.
    The same arguments give the same shop. It takes about half a minute, nearly all of it for the pictures.

    Raises
    ------
    InvalidInput
        Where the numbers do not fit together.
    """
    folder = Path(folder)
    catalogue = make_products(products, np.random.default_rng([seed, 1]))
    made = make_clicks(catalogue, shoppers, clicks, np.random.default_rng([seed, 2]))
    # The tables come last: a folder that has them is complete.
    _write_pictures(folder / "images", catalogue, seed)
    _write_items(folder / "items.csv", catalogue)
    _write_clicks(folder / "interactions.csv", catalogue, made)
    dataset = read_dataset(folder)
    arrivals = np.arange(products - round(products * ARRIVALS), products)
    split = hold_out_items(dataset, arrivals, name="arrivals", rng=np.random.default_rng([seed, 3]))
    write_split(split, dataset, folder / "splits" / split.name)


def _write_pictures(folder: Path, catalogue: list[Product], seed: int) -> None:
    from rich.progress import track

    from coldstart.sample.drawing import draw_product

    folder.mkdir(parents=True, exist_ok=True)
    quiet = not sys.stdout.isatty()
    for number, product in enumerate(track(catalogue, "Drawing the sample shop", disable=quiet)):
        rng = np.random.default_rng([seed, 4, number])
        picture = draw_product(product.shape, product.palette, product.pattern, rng)
        picture.save(folder / f"{product.item_id}.jpg", quality=90)


def _write_items(path: Path, catalogue: list[Product]) -> None:
    import polars as pl

    pl.DataFrame(
        {
            "item_id": [product.item_id for product in catalogue],
            "title": [product.title for product in catalogue],
            "text": [product.text for product in catalogue],
            "image": [f"images/{product.item_id}.jpg" for product in catalogue],
            "category": [KINDS[product.shape].noun for product in catalogue],
            "brand": [product.brand for product in catalogue],
            "price": [product.price for product in catalogue],
            "published_at": [_iso(product.published) for product in catalogue],
        }
    ).write_csv(path)


def _write_clicks(path: Path, catalogue: list[Product], clicks: Clicks) -> None:
    import polars as pl

    pl.DataFrame(
        {
            "user_id": [f"s{row + 1:04d}" for row in clicks.shopper_rows],
            "item_id": [catalogue[row].item_id for row in clicks.product_rows],
            "timestamp": [_iso(time) for time in clicks.times],
        }
    ).write_csv(path)


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
