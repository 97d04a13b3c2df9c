"""Masks, light and shadow: what the product pictures are painted with. Coordinates are in a square of 256 units."""

from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFilter

SIZE = 256
_AXIS = np.arange(SIZE, dtype=np.float32)
_FINE = 2  # masks are drawn this much larger and reduced: smooth edges

Colour: TypeAlias = tuple[int, int, int]
Fill: TypeAlias = "Image.Image | Colour"
Points: TypeAlias = Sequence[tuple[float, float]]
Box: TypeAlias = tuple[float, float, float, float]
Light: TypeAlias = Literal["flat", "cylinder", "sphere", "soft"]


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """``share`` of b in a."""
    red, green, blue = (round(x + (y - x) * share) for x, y in zip(a, b, strict=True))
    return red, green, blue


def _draw() -> tuple[Image.Image, ImageDraw.ImageDraw]:
    image = Image.new("L", (SIZE * _FINE, SIZE * _FINE))
    return image, ImageDraw.Draw(image)


def _fine(points: Points) -> list[tuple[float, float]]:
    return [(x * _FINE, y * _FINE) for x, y in points]


def _fine_box(box: Box) -> Box:
    left, top, right, bottom = (v * _FINE for v in box)
    return left, top, right, bottom


def polygon(points: Points) -> Image.Image:
    """A filled polygon."""
    image, draw = _draw()
    draw.polygon(_fine(points), fill=255)
    return image.reduce(_FINE)


def ellipse(box: Box) -> Image.Image:
    """A filled ellipse."""
    image, draw = _draw()
    draw.ellipse(_fine_box(box), fill=255)
    return image.reduce(_FINE)


def rounded(box: Box, radius: float) -> Image.Image:
    """A rectangle with round corners."""
    image, draw = _draw()
    draw.rounded_rectangle(_fine_box(box), radius * _FINE, fill=255)
    return image.reduce(_FINE)


def stroke(points: Points, width: float) -> Image.Image:
    """A line through the points, with round ends and joints."""
    image, draw = _draw()
    fine, thick = _fine(points), width * _FINE
    draw.line(fine, fill=255, width=round(thick), joint="curve")
    for x, y in fine:
        draw.ellipse((x - thick / 2, y - thick / 2, x + thick / 2, y + thick / 2), fill=255)
    return image.reduce(_FINE)


def union(*masks: Image.Image) -> Image.Image:
    """Where any of the masks is."""
    whole = masks[0]
    for mask in masks[1:]:
        whole = ImageChops.lighter(whole, mask)
    return whole


def minus(mask: Image.Image, hole: Image.Image) -> Image.Image:
    """The mask without the hole."""
    return ImageChops.multiply(mask, ImageChops.invert(hole))


def within(mask: Image.Image, limit: Image.Image) -> Image.Image:
    """The part of a mask that lies in another."""
    return ImageChops.multiply(mask, limit)


def blurred(mask: Image.Image, radius: float) -> Image.Image:
    """The mask with soft edges; only its surroundings are computed."""
    box = mask.getbbox()
    if box is None:
        return mask
    reach = int(3 * radius) + 1
    near = (max(box[0] - reach, 0), max(box[1] - reach, 0), min(box[2] + reach, SIZE), min(box[3] + reach, SIZE))
    soft = Image.new("L", mask.size)
    soft.paste(mask.crop(near).filter(ImageFilter.GaussianBlur(radius)), near[:2])
    return soft


def curve(points: Points, steps: int = 10) -> list[tuple[float, float]]:
    """A smooth line through the points (Catmull-Rom)."""
    p = np.asarray([points[0], *points, points[-1]], dtype=float)
    t = np.linspace(0, 1, steps, endpoint=False)[:, None]
    pieces = [
        0.5
        * (
            2 * p[i]
            + (p[i + 1] - p[i - 1]) * t
            + (2 * p[i - 1] - 5 * p[i] + 4 * p[i + 1] - p[i + 2]) * t**2
            + (3 * p[i] - p[i - 1] - 3 * p[i + 1] + p[i + 2]) * t**3
        )
        for i in range(1, len(p) - 2)
    ]
    line = np.concatenate([*pieces, p[-1:]])
    return [(float(x), float(y)) for x, y in line]


def mirrored(side: Points, centre: float = SIZE / 2) -> Image.Image:
    """The polygon between a line, given as (distance from the axis, height), and its mirror image."""
    return polygon([(centre + x, y) for x, y in side] + [(centre - x, y) for x, y in reversed(side)])


def turned(profile: Points, centre: float = SIZE / 2) -> Image.Image:
    """A body of revolution seen from the side: ``profile`` lists (radius, height) from top to bottom."""
    radii, heights = np.asarray(profile, dtype=float).T
    y = np.linspace(heights[0], heights[-1], 96)
    r = np.interp(y, heights, radii)
    window = np.hanning(19)
    r = np.convolve(np.pad(r, 9, mode="reflect", reflect_type="odd"), window / window.sum(), mode="valid")
    return mirrored([(float(a), float(b)) for a, b in zip(r, y, strict=True)], centre)


class Canvas:
    """A picture in the making: a studio backdrop, on which parts are painted from back to front."""

    def __init__(self, wall: Colour, floor: Colour, *, horizon: float = 178.0) -> None:
        y, x = _AXIS[:, None], _AXIS[None, :]
        blend = 1 / (1 + np.exp(-(y - horizon) / 7.0))
        glow = 1.06 - 0.22 * np.hypot((x - 96) / SIZE, (y - 84) / SIZE)
        colour = np.asarray(wall, dtype=np.float32) * (1 - blend) + np.asarray(floor, dtype=np.float32) * blend
        self.picture = Image.fromarray(np.clip(colour[:, None, :] * glow[..., None], 0, 255).astype(np.uint8))
        # How much of a wallpaper shows: nothing on the floor.
        self._wall = Image.fromarray((204 * (1 - blend)).astype(np.uint8)).resize((SIZE, SIZE))

    def paper(self, pattern: Image.Image) -> None:
        """Paper the wall."""
        self.picture.paste(pattern, (0, 0), self._wall)

    def ground(self, centre: float, y: float, width: float, *, depth: float = 0.16) -> None:
        """The shadow of something that stands at ``y``: dark where it touches, long and soft to the right."""
        half = width / 2
        reach = ellipse((centre - half, y - half * depth, centre + half * 1.7, y + half * depth * 1.3))
        touch = ellipse((centre - half, y - half * depth * 0.6, centre + half, y + half * depth * 0.6))
        self._darken(blurred(reach, 9), 0.34)
        self._darken(blurred(touch, 3), 0.46)

    def cast(
        self, mask: Image.Image, *, shift: tuple[int, int] = (7, 9), blur: float = 8, strength: float = 0.32
    ) -> None:
        """The shadow of something that hangs or lies: its outline, moved and blurred."""
        self._darken(blurred(ImageChops.offset(mask, *shift), blur), strength)

    def _darken(self, mask: Image.Image, strength: float) -> None:
        if box := mask.getbbox():
            dark = Image.eval(self.picture.crop(box), lambda v: v * 0.32)
            self.picture.paste(dark, box[:2], Image.eval(mask.crop(box), lambda v: v * strength))

    def paint(self, mask: Image.Image, fill: Fill, light: Light = "flat", *, gloss: float = 0.0) -> None:
        """Fill a mask with a colour or a pattern, lit from the upper left; ``gloss`` adds a highlight."""
        box = mask.getbbox()
        if box is None:
            return
        area = fill.crop(box) if isinstance(fill, Image.Image) else Image.new("RGB", _extent(box), fill)
        shade = Image.fromarray(np.clip(_shade(mask, box, light, gloss), 0, 255).astype(np.uint8))
        lit = ImageChops.hard_light(area, Image.merge("RGB", (shade, shade, shade)))
        self.picture.paste(lit, box[:2], mask.crop(box))

    def tint(self, mask: Image.Image, colour: Colour, strength: float) -> None:
        """Lay a transparent colour over a mask."""
        if box := mask.getbbox():
            self.picture.paste(colour, box, Image.eval(mask.crop(box), lambda v: v * strength))

    def glow(self, centre: tuple[float, float], radius: float, colour: Colour) -> None:
        """Light that falls on everything around a point."""
        across, down = (np.exp(-np.square((_AXIS - middle) / radius)) for middle in centre)
        light = np.outer(down, across)[..., None] * np.asarray(colour, dtype=np.float32)
        self.picture = ImageChops.screen(self.picture, Image.fromarray(light.astype(np.uint8)))


def _extent(box: tuple[int, int, int, int]) -> tuple[int, int]:
    return box[2] - box[0], box[3] - box[1]


def _shade(mask: Image.Image, box: tuple[int, int, int, int], light: Light, gloss: float) -> NDArray[np.float32]:
    """Brightness over the box of a mask: 128 leaves a colour as it is, less darkens it, more lightens it."""
    width, height = _extent(box)
    u = np.linspace(0, 1, width, dtype=np.float32)[None, :]
    v = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    match light:
        case "cylinder":
            shade = 140 - 150 * np.square(u - 0.36) - 14 * v
            shade = shade + gloss * 95 * np.exp(-np.square((u - 0.24) / 0.055)) * np.minimum(1, 8 * v * (1 - v) + 0.2)
        case "sphere":
            away = np.hypot(u - 0.36, v - 0.3)
            shade = 148 - 88 * np.square(away) - 10 * away
            shade = shade + gloss * 110 * np.exp(-np.square(np.hypot((u - 0.3) * 1.3, v - 0.22) / 0.1))
        case "soft":
            height_field = np.asarray(blurred(mask, 9), dtype=np.float32)
            slope = np.roll(height_field, (-6, -6), (0, 1)) - np.roll(height_field, (6, 6), (0, 1))
            shade = 132 + 0.30 * slope[box[1] : box[3], box[0] : box[2]] - 12 * v
        case "flat":
            shade = 134 - 10 * u - 8 * v
    edge = np.asarray(blurred(mask, 2.2).crop(box), dtype=np.float32)
    return np.asarray(shade - 0.12 * (255 - edge), dtype=np.float32)
