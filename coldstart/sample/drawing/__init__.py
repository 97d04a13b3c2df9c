"""Product pictures, drawn: a category gives the shape, a palette and a pattern give the surface."""

from collections.abc import Callable, Mapping

import numpy as np
from PIL import Image

from coldstart.sample.drawing import home, table, wear
from coldstart.sample.drawing.canvas import Canvas, mix
from coldstart.sample.drawing.look import Look
from coldstart.sample.drawing.patterns import PALETTES, PATTERNS, Palette, surface

__all__ = ["PALETTES", "PATTERNS", "SHAPES", "draw_product"]

SHAPES: Mapping[str, Callable[[Canvas, Look], None]] = {
    "armchair": home.armchair,
    "backpack": wear.backpack,
    "bottle": table.bottle,
    "bowl": table.bowl,
    "clock": home.clock,
    "cushion": home.cushion,
    "lamp": home.lamp,
    "mug": table.mug,
    "planter": home.planter,
    "shirt": wear.shirt,
    "teapot": table.teapot,
    "tote": wear.tote,
    "umbrella": wear.umbrella,
    "vase": table.vase,
}

_FRAME = (14, 14, 242, 242)  # the canvas less its margin


def draw_product(shape: str, palette: str, pattern: str, rng: np.random.Generator) -> Image.Image:
    """One product on a studio backdrop, RGB [228, 228]; equal arguments and generators give equal pictures."""
    colours = PALETTES[palette]
    wall = mix(colours.pale, colours.base, rng.uniform(0.18, 0.38))
    canvas = Canvas(wall, mix(wall, colours.deep, 0.12), horizon=rng.uniform(158, 190))
    canvas.paper(surface(Palette(wall, mix(wall, colours.pale, 0.5), mix(wall, colours.base, 0.3)), pattern, rng))
    SHAPES[shape](canvas, Look(colours, surface(colours, pattern, rng), rng))
    return canvas.picture.crop(_FRAME)
