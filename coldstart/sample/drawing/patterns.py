"""What is visible of a product and never written about it: its palette and its pattern."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image, ImageChops, ImageDraw

from coldstart.sample.drawing.canvas import SIZE, Colour, mix

_FINE = 2
_SPAN = 380  # patterns are drawn on a larger square, turned, and cut to SIZE


@dataclass(frozen=True)
class Palette:
    """Three colours that go together."""

    base: Colour
    pale: Colour
    deep: Colour


PALETTES: Mapping[str, Palette] = {
    "terracotta": Palette((201, 96, 58), (244, 222, 200), (118, 44, 28)),
    "ocean": Palette((38, 104, 158), (210, 231, 243), (14, 44, 78)),
    "forest": Palette((52, 112, 78), (221, 232, 208), (22, 54, 38)),
    "blush": Palette((238, 160, 178), (255, 240, 238), (178, 66, 102)),
    "ink": Palette((52, 54, 60), (242, 242, 238), (20, 21, 25)),
    "mustard": Palette((228, 172, 44), (255, 244, 212), (126, 84, 18)),
    "lilac": Palette((148, 118, 208), (238, 230, 250), (70, 46, 128)),
    "mint": Palette((92, 196, 178), (232, 250, 244), (24, 108, 100)),
}


def surface(palette: Palette, pattern: str, rng: np.random.Generator) -> Image.Image:
    """A pattern in a palette, RGB [256, 256], varied in scale, angle and which colour is the ground."""
    image = Image.new("RGB", (_SPAN * _FINE, _SPAN * _FINE))
    ground, figure = (palette.base, palette.pale) if rng.random() < 0.6 else (palette.pale, palette.base)
    image.paste(ground, (0, 0, *image.size))
    angle = PATTERNS[pattern](ImageDraw.Draw(image), ground, figure, palette.deep, rng)
    image = image.reduce(_FINE).rotate(angle, Image.Resampling.BILINEAR)
    margin = (_SPAN - SIZE) // 2
    return _grain(image.crop((margin, margin, margin + SIZE, margin + SIZE)), rng)


def _grain(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """A trace of texture, so that surfaces do not look like plastic."""
    grain = ImageChops.offset(_noise(), int(rng.integers(SIZE)), int(rng.integers(SIZE)))
    return ImageChops.hard_light(image, Image.merge("RGB", (grain, grain, grain)))


@cache
def _noise() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).normal(128, 5.0, (SIZE, SIZE)).clip(0, 255).astype(np.uint8))


Draw = ImageDraw.ImageDraw
_WIDTH = _SPAN * _FINE


def _stripes(draw: Draw, ground: Colour, figure: Colour, deep: Colour, rng: np.random.Generator) -> float:
    step = int(rng.integers(34, 60))
    thin = rng.random() < 0.5
    for x in range(0, _WIDTH, step):
        draw.rectangle((x, 0, x + step * 0.48, _WIDTH), fill=figure)
        if thin:
            draw.rectangle((x + step * 0.7, 0, x + step * 0.78, _WIDTH), fill=deep)
    return float(rng.choice([0.0, 0.0, 90.0, 35.0]) + rng.uniform(-3, 3))


def _dots(draw: Draw, ground: Colour, figure: Colour, deep: Colour, rng: np.random.Generator) -> float:
    step = int(rng.integers(40, 66))
    radius = step * rng.uniform(0.22, 0.32)
    for row, y in enumerate(range(0, _WIDTH, step)):
        for column, x in enumerate(range(step // 2 * (row % 2), _WIDTH + step, step)):
            colour = deep if (row + 2 * column) % 7 == 0 else figure
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
    return float(rng.uniform(-12, 12))


def _checks(draw: Draw, ground: Colour, figure: Colour, deep: Colour, rng: np.random.Generator) -> float:
    step = int(rng.integers(44, 72))
    half, between = step // 2, mix(ground, figure, 0.5)
    for y in range(0, _WIDTH, step):
        draw.rectangle((0, y, _WIDTH, y + half), fill=between)
    for x in range(0, _WIDTH, step):
        for y in range(0, _WIDTH, half):
            draw.rectangle((x, y, x + half, y + half), fill=figure if y // half % 2 == 0 else between)
    for x in range(half // 2, _WIDTH, step * 2):
        draw.line((x, 0, x, _WIDTH), fill=deep, width=3)
        draw.line((0, x, _WIDTH, x), fill=deep, width=3)
    return float(rng.choice([0.0, 0.0, 45.0]) + rng.uniform(-3, 3))


def _leaves(draw: Draw, ground: Colour, figure: Colour, deep: Colour, rng: np.random.Generator) -> float:
    step = int(rng.integers(84, 112))
    leaf_turns = np.array([-0.9, 0.9])
    for row, y0 in enumerate(range(-step, _WIDTH + step, step)):
        for x0 in range(-step + step // 2 * (row % 2), _WIDTH + step, step):
            turn = rng.uniform(-0.8, 0.8) - np.pi / 2
            length = step * 0.84
            x1, y1 = x0 + np.cos(turn) * length, y0 + np.sin(turn) * length
            draw.line((x0, y0, x1, y1), fill=deep, width=3)
            for along in (0.25, 0.5, 0.75, 1.0):
                cx, cy = x0 + (x1 - x0) * along, y0 + (y1 - y0) * along
                for side in leaf_turns if along < 1 else (0.0,):
                    _leaf(draw, (cx, cy), turn + side, step * 0.30, figure if along != 0.5 else mix(figure, deep, 0.25))
    return float(rng.uniform(-15, 15))


_T = np.linspace(0, np.pi, 7)
# The outline of a leaf that points right, of length 1.
_SIDE = np.stack([_T / np.pi, 0.24 * np.sin(_T)], axis=1)
_LEAF = np.concatenate([_SIDE, _SIDE[::-1] * [1, -1]])


def _leaf(draw: Draw, foot: tuple[float, float], turn: float, length: float, colour: Colour) -> None:
    cos, sin = np.cos(turn) * length, np.sin(turn) * length
    outline = _LEAF @ np.array([[cos, sin], [-sin, cos]]) + np.asarray(foot)
    draw.polygon(outline.ravel().tolist(), fill=colour)


def _terrazzo(draw: Draw, ground: Colour, figure: Colour, deep: Colour, rng: np.random.Generator) -> float:
    colours = [figure, figure, deep, mix(ground, deep, 0.45), mix(figure, deep, 0.3)]
    for x, y in rng.uniform(0, _WIDTH, (420, 2)):
        corners = int(rng.integers(4, 7))
        turns = np.sort(rng.uniform(0, 2 * np.pi, corners))
        radii = rng.uniform(7, 24) * rng.uniform(0.6, 1.1, corners)
        points = [(x + r * np.cos(a), y + r * np.sin(a)) for a, r in zip(turns, radii, strict=True)]
        draw.polygon(points, fill=colours[int(rng.integers(len(colours)))])
    return 0.0


def _zigzag(draw: Draw, ground: Colour, figure: Colour, deep: Colour, rng: np.random.Generator) -> float:
    step = int(rng.integers(40, 60))
    for row, y in enumerate(range(-step, _WIDTH + step, step)):
        points = [(x, y + (step * 0.5 if i % 2 else 0)) for i, x in enumerate(range(0, _WIDTH + step, step // 2))]
        draw.line(points, fill=deep if row % 4 == 3 else figure, width=int(step * 0.36), joint="curve")
    return float(rng.choice([0.0, 0.0, 90.0]) + rng.uniform(-4, 4))


PATTERNS: Mapping[str, Callable[[Draw, Colour, Colour, Colour, np.random.Generator], float]] = {
    "stripes": _stripes,
    "dots": _dots,
    "checks": _checks,
    "leaves": _leaves,
    "terrazzo": _terrazzo,
    "zigzag": _zigzag,
}
"""Each draws on a square of one colour and returns by how many degrees to turn it."""
