import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.sparse import csr_matrix
from scipy.sparse.linalg import svds

from coldstart.dataset import Dataset, read_dataset
from coldstart.errors import InvalidInput
from coldstart.evaluation.metrics import rank, recall_ndcg
from coldstart.sample import open_sample, write_sample
from coldstart.sample.drawing import PALETTES, PATTERNS, SHAPES, draw_product
from coldstart.sample.shop import CLOSED, OPENED, PALETTE_NAMES, PATTERN_NAMES, TASTES, make_clicks, make_products
from coldstart.sample.wording import KINDS
from coldstart.splits import read_split, time_split

PRODUCTS, SHOPPERS, CLICKS = 40, 40, 600


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("shop")
    write_sample(folder, seed=7, products=PRODUCTS, shoppers=SHOPPERS, clicks=CLICKS)
    return read_dataset(folder)


def digests(folder: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(folder.rglob("*.*")):
        yield str(path.relative_to(folder)), hashlib.sha256(path.read_bytes()).hexdigest()


def test_it_is_a_data_set_with_a_picture_and_a_text_for_every_product(shop: Dataset) -> None:
    assert (len(shop.items), len(shop.users), len(shop.interactions)) == (PRODUCTS, SHOPPERS, CLICKS)
    assert all(len(text.split()) > 25 for text in shop.items.text)
    assert len(set(shop.items.title)) == PRODUCTS
    for path in shop.items.image:
        assert path is not None
        with Image.open(path) as picture:
            assert (picture.format, picture.mode, picture.size) == ("JPEG", "RGB", (228, 228))
    assert set(shop.items.attributes[0]) == {"category", "brand", "price", "published_at"}


def test_a_shop_that_is_there_is_opened_and_one_of_another_size_is_written_anew(tmp_path: Path) -> None:
    opened = open_sample(tmp_path, seed=7, products=20, shoppers=20, clicks=160)
    assert (len(opened.items), len(opened.users)) == (20, 20)
    written = (tmp_path / "items.csv").stat().st_mtime_ns
    assert open_sample(tmp_path, products=20, shoppers=20, clicks=160).users.ids == opened.users.ids
    assert (tmp_path / "items.csv").stat().st_mtime_ns == written
    assert len(open_sample(tmp_path, products=21, shoppers=20, clicks=160).items) == 21


def test_the_arrivals_are_the_newest_tenth_and_no_click_on_them_is_trained_on(shop: Dataset) -> None:
    split = read_split(shop, "arrivals")
    assert split.cold_items.tolist() == list(range(PRODUCTS - 4, PRODUCTS))
    published = [str(attributes["published_at"]) for attributes in shop.items.attributes]
    assert published == sorted(published)
    assert min(published[-4:]) > max(published[:-4])
    assert len(split.warm_test) > 20 and len(split.cold_val) > 0 and len(split.cold_test) > 0
    by_time = time_split(shop, after=published[-4])
    assert set(by_time.cold_items) >= set(split.cold_items), "by time the arrivals are cold, too"


def test_nobody_clicks_what_is_not_published(shop: Dataset) -> None:
    events = shop.interactions
    assert events.timestamp is not None
    published = np.array([np.datetime64(str(a["published_at"])[:-1], "s").astype(float) for a in shop.items.attributes])
    assert (events.timestamp >= published[events.item_rows]).all()
    assert OPENED <= events.timestamp.min() and events.timestamp.max() < CLOSED
    assert (np.diff(events.timestamp) >= 0).all()


def test_the_seed_decides_everything(shop: Dataset, tmp_path: Path) -> None:
    for name, seed in (("same", 7), ("other", 8)):
        write_sample(tmp_path / name, seed=seed, products=PRODUCTS, shoppers=SHOPPERS, clicks=CLICKS)
    assert shop.root is not None
    original, same, other = (dict(digests(f)) for f in (shop.root, tmp_path / "same", tmp_path / "other"))
    assert original == same
    assert original.keys() == other.keys()
    assert all(original[name] != other[name] for name in original)


def test_words_never_say_what_only_the_picture_shows() -> None:
    for product in make_products(1500, np.random.default_rng(0)):
        words = f"{product.title} {product.text}".lower().replace(".", " ").replace(",", " ").split()
        assert not {product.palette, product.pattern} & set(words)
        assert not {"colour", "pattern", "striped", "dotted", "red", "blue", "green", "yellow", "black"} & set(words)


def test_traits_are_independent_so_that_neither_modality_stands_in_for_the_other() -> None:
    products = make_products(2000, np.random.default_rng(0))
    for one, two in (("palette", "theme"), ("pattern", "theme"), ("shape", "palette"), ("shape", "theme")):
        table: dict[tuple[str, str], int] = {}
        for product in products:
            key = (getattr(product, one), getattr(product, two))
            table[key] = table.get(key, 0) + 1
        rows, columns = {a for a, _ in table}, {b for _, b in table}
        expected = len(products) / len(rows) / len(columns)
        chi2 = sum((table.get((a, b), 0) - expected) ** 2 / expected for a in rows for b in columns)
        cells = len(rows) * len(columns)
        assert chi2 < cells + 4 * np.sqrt(2 * cells), (one, two, "uneven beyond chance")


def test_shoppers_come_back_to_what_they_like_and_popularity_is_skewed() -> None:
    products = make_products(800, np.random.default_rng(0))
    clicks = make_clicks(products, 300, 9000, np.random.default_rng(1))
    counts = np.sort(np.bincount(clicks.product_rows, minlength=800))[::-1]
    assert counts[:80].sum() > 1.7 * 0.1 * counts.sum()
    assert np.bincount(clicks.shopper_rows).min() >= 8
    for trait, chance in (("palette", 1 / 8), ("pattern", 1 / 6), ("theme", 1 / 6)):
        values = np.array([getattr(product, trait) for product in products])[clicks.product_rows]
        by_shopper = [values[clicks.shopper_rows == shopper] for shopper in range(300)]
        same = np.mean([np.mean(mine[:-1] == mine[1:]) for mine in by_shopper])
        assert same > 1.3 * chance, f"two clicks of a shopper share the {trait} more often than chance"


def test_picture_and_text_together_find_an_arrivals_shoppers_better_than_either() -> None:
    """With traits instead of embeddings: each modality's nearest warm items, their collaborative vectors, Recall@20."""
    products = make_products(1000, np.random.default_rng(0))
    clicks = make_clicks(products, 600, 24_000, np.random.default_rng(1))
    matrix = csr_matrix((np.ones(24_000, np.float32), (clicks.shopper_rows, clicks.product_rows)), shape=(600, 1000))
    warm, truth = matrix[:, :900], csr_matrix(matrix[:, 900:])
    left, spectrum, right = svds(warm, k=48, random_state=0)
    users, items = (left * spectrum).astype(np.float32), right.T

    def recall(*traits: str) -> float:
        agree = np.zeros((100, 900))
        for trait in traits:
            values = np.array([getattr(product, trait) for product in products])
            agree += values[900:, None] == values[None, :900]
        share = np.exp(agree / 0.3)
        vectors = (share / share.sum(axis=1, keepdims=True) @ items).astype(np.float32)
        return float(recall_ndcg(rank(users, vectors, 20), truth)[0].mean())

    picture, text, both = recall("shape", "palette", "pattern"), recall("shape", "theme"), recall(*TASTES)
    assert min(picture, text) > 2 * 20 / 100, "better than chance"
    assert both > 1.15 * max(picture, text), "worth fusing"


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_is_drawn_in_the_colours_it_is_given(shape: str) -> None:
    def drawn(palette: str, pattern: str) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        return np.asarray(draw_product(shape, palette, pattern, np.random.default_rng(1)), dtype=np.float64)

    ocean, rust, dots = drawn("ocean", "leaves"), drawn("terracotta", "leaves"), drawn("ocean", "dots")
    assert ocean[..., 2].mean() > ocean[..., 0].mean() + 10, "blue"
    assert rust[..., 0].mean() > rust[..., 2].mean() + 10, "red"
    assert np.abs(ocean - dots).mean() > 2, "the pattern shows"


def test_the_shop_names_what_can_be_drawn() -> None:
    assert set(KINDS) == set(SHAPES)
    assert set(PALETTE_NAMES) == set(PALETTES) and set(PATTERN_NAMES) == set(PATTERNS)


@pytest.mark.parametrize("numbers", [{"products": 5}, {"clicks": 10}, {"clicks": 10**9}])
def test_numbers_that_do_not_fit_are_refused_at_once(tmp_path: Path, numbers: dict[str, int]) -> None:
    with pytest.raises(InvalidInput, match="Choose"):
        write_sample(tmp_path / "shop", **numbers)
    assert not (tmp_path / "shop").exists()
