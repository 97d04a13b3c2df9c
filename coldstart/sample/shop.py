"""Who likes what: the products' traits, the shoppers' hidden tastes, and the clicks that follow from them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from coldstart.errors import InvalidInput
from coldstart.sample.wording import BRANDS, KINDS, NAMES, THEMES, describe
from coldstart.vectors import Rows

OPENED = datetime(2025, 9, 1, tzinfo=UTC).timestamp()
CLOSED = datetime(2026, 9, 1, tzinfo=UTC).timestamp()
ARRIVALS = 0.1  # of the products, the newest

PALETTE_NAMES = ("terracotta", "ocean", "forest", "blush", "ink", "mustard", "lilac", "mint")
PATTERN_NAMES = ("stripes", "dots", "checks", "leaves", "terrazzo", "zigzag")


@dataclass(frozen=True)
class Taste:
    """How many values of a trait a shopper likes, and what one is worth in the logarithm of a click's odds."""

    liked: int
    worth: float


# Chosen so that the mean vector of the 30 nearest warm items finds the shoppers of arrivals: Recall@20 .25 by text, .25
# by picture, .33 by the sum of both cosines, .10 by chance (MiniLM, EfficientNet-Lite0, ALS with 64 factors).
TASTES = {
    "shape": Taste(6, 1.0),  # in both
    "palette": Taste(3, 1.8),  # in the picture alone
    "pattern": Taste(2, 3.6),  # in the picture alone
    "theme": Taste(2, 3.2),  # in the text alone
}
_POPULARITY = 0.7  # exponent of the Zipf law of product popularity
_LEAST_CLICKS = 8


@dataclass(frozen=True)
class Product:
    """One product with its traits; the picture shows ``palette`` and ``pattern``, the text tells ``theme``."""

    item_id: str
    title: str
    text: str
    brand: str
    price: float
    published: float
    shape: str
    palette: str
    pattern: str
    theme: str


def make_products(count: int, rng: np.random.Generator) -> list[Product]:
    """Products in the order of their publication; the traits are independent of each other."""
    names = [(brand, name, shape) for brand in BRANDS for name in NAMES for shape in KINDS]
    if not 20 <= count <= len(names):
        raise InvalidInput(f"the sample shop cannot have {count} products", remedy=f"Choose 20 to {len(names)}")
    published = _publication_times(count, rng)
    products = []
    for number, index in enumerate(rng.choice(len(names), count, replace=False)):
        brand, name, shape = names[int(index)]
        theme = _one(tuple(THEMES), rng)
        low, high = KINDS[shape].price
        products.append(
            Product(
                item_id=f"p{number + 1:04d}",
                title=f"{name} {KINDS[shape].noun} by {brand}",
                text=describe(shape, name, theme, rng),
                brand=brand,
                price=round(float(rng.uniform(low, high))) - 0.05,
                published=published[number],
                shape=shape,
                palette=_one(PALETTE_NAMES, rng),
                pattern=_one(PATTERN_NAMES, rng),
                theme=theme,
            )
        )
    return products


def _publication_times(count: int, rng: np.random.Generator) -> list[float]:
    """Sorted; a third are there when the shop opens, and the arrivals come in its last thirty days."""
    arrivals, day = round(count * ARRIVALS), 86_400.0
    first = count // 3
    spans = [
        (OPENED - 90 * day, OPENED, first),
        (OPENED, CLOSED - 40 * day, count - first - arrivals),
        (CLOSED - 30 * day, CLOSED - 5 * day, arrivals),
    ]
    return [float(t) for low, high, n in spans for t in np.sort(rng.uniform(low, high, n)).round()]


@dataclass(frozen=True)
class Clicks:
    """Who clicked what and when (Unix seconds), in the order of time."""

    shopper_rows: Rows
    product_rows: Rows
    times: NDArray[np.float64]


def make_clicks(products: Sequence[Product], shoppers: int, clicks: int, rng: np.random.Generator) -> Clicks:
    """The clicks of all shoppers; a shopper clicks a product at most once.

    The odds of a click are the exponential of taste plus popularity (a multinomial logit without replacement, drawn by
    the Gumbel trick). Shoppers differ in activity (log-normal).
    """
    utility = np.zeros((shoppers, len(products)))
    for trait, taste in TASTES.items():
        values = [getattr(product, trait) for product in products]
        names = sorted(set(values))
        columns = np.array([names.index(value) for value in values])
        liked = rng.random((shoppers, len(names))).argsort(axis=1) < taste.liked
        utility += taste.worth * liked[:, columns]
    ranks = rng.permutation(len(products)) + 10.0
    utility -= _POPULARITY * np.log(ranks)
    order = (-(utility + rng.gumbel(size=utility.shape))).argsort(axis=1)
    counts = _activity(shoppers, clicks, len(products), rng)
    user_rows = np.repeat(np.arange(shoppers), counts)
    item_rows = np.concatenate([order[user, :count] for user, count in enumerate(counts)])
    earliest = np.maximum(np.array([product.published for product in products]), OPENED)[item_rows]
    times = np.floor(earliest + (CLOSED - earliest) * rng.random(item_rows.size))
    by_time = np.argsort(times, kind="stable")
    return Clicks(user_rows[by_time], item_rows[by_time], times[by_time])


def _activity(shoppers: int, clicks: int, most: int, rng: np.random.Generator) -> Rows:
    """How often each shopper clicks: ``clicks`` in all."""
    if not _LEAST_CLICKS * shoppers <= clicks <= most * shoppers // 2:
        raise InvalidInput(
            f"{shoppers} shoppers cannot make {clicks} clicks on {most} products",
            remedy=f"Choose {_LEAST_CLICKS * shoppers} to {most * shoppers // 2} clicks",
        )
    share = rng.lognormal(0.0, 0.6, shoppers)
    wanted = _LEAST_CLICKS + np.floor(share / share.sum() * (clicks - _LEAST_CLICKS * shoppers)).astype(np.int64)
    counts: Rows = np.minimum(wanted, most)
    spare = np.flatnonzero(counts < most)
    while (missing := clicks - int(counts.sum())) > 0:
        counts[rng.permutation(spare)[:missing]] += 1
        spare = np.flatnonzero(counts < most)
    return counts


def _one(options: Sequence[str], rng: np.random.Generator) -> str:
    return options[int(rng.integers(len(options)))]
