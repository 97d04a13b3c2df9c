"""Contents for an export: to measure a picture encoder's ranges on, and to compare with torch on.

Drawn anew from a seed, so that an export needs no data: products as the sample shop sells them, and noise that is
spread over scales and colours as it is in photographs.
"""

import numpy as np
from PIL import Image

from coldstart.clean import compose_text
from coldstart.sample.drawing import draw_product
from coldstart.sample.shop import Product, make_products

ODD_TEXTS = ("shoe", "Blue [SEP]", "Čokoláda, 70 % – naïve 茶", "A film about a man and his dog. " * 30)
SIDE = 224
CALIBRATED_ON, COMPARED_ON = 0, 1
"""Seeds."""


def sample_texts(seed: int, *, count: int = 28) -> list[str]:
    """So many descriptions of products, of about 60 words, and a few that are unlike them."""
    texts = [compose_text(each.title, each.text, {}) for each in _products(seed, count)]
    return [*texts, *ODD_TEXTS]


def sample_pictures(seed: int, *, count: int = 32) -> list[Image.Image]:
    """So many pictures, half of them drawn and half of them noise."""
    drawn = [
        draw_product(each.shape, each.palette, each.pattern, np.random.default_rng([seed, 1, number]))
        for number, each in enumerate(_products(seed, count // 2))
    ]
    rng = np.random.default_rng([seed, 2])
    return [*drawn, *(_noise(rng) for _ in range(count - len(drawn)))]


def _products(seed: int, count: int) -> list[Product]:
    return make_products(max(20, count), np.random.default_rng([seed, 0]))[:count]


def _noise(rng: np.random.Generator) -> Image.Image:
    """Noise whose amplitude falls with frequency by a power around one, as in photographs (Field 1987)."""
    frequency = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE)[None])
    frequency[0, 0] = 1.0
    white = np.fft.rfft2(rng.standard_normal((3, SIDE, SIDE)))
    channels = np.fft.irfft2(white / frequency ** rng.uniform(0.8, 1.6), s=(SIDE, SIDE))
    # Channels of photographs go together more or less.
    mixed = np.tensordot(rng.uniform(0, 1) + rng.uniform(-0.5, 0.5, (3, 3)), channels, axes=1)
    mixed = (mixed - mixed.mean(axis=(1, 2), keepdims=True)) / mixed.std()
    pixels = rng.uniform(60, 200, (3, 1, 1)) + rng.uniform(30, 80) * mixed
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8).transpose(1, 2, 0))
