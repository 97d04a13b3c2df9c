"""What every shape is given, and the materials that are the same for all."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from coldstart.sample.drawing.canvas import Colour
from coldstart.sample.drawing.patterns import Palette

WOODS: tuple[Colour, ...] = ((196, 150, 102), (158, 108, 68), (110, 72, 46))
BRASS: Colour = (204, 164, 92)
STEEL: Colour = (186, 190, 194)
LEAF_GREENS: tuple[tuple[Colour, ...], ...] = (
    ((74, 128, 70), (98, 154, 84), (56, 102, 58)),
    ((92, 140, 108), (122, 166, 130), (66, 108, 84)),
    ((128, 158, 74), (150, 178, 92), (98, 128, 58)),
)


@dataclass(frozen=True)
class Look:
    """How one product looks: its palette, its surface (the pattern, RGB [256, 256]) and its own chance."""

    palette: Palette
    surface: Image.Image
    rng: np.random.Generator
