"""Furniture and decoration, each painted on a canvas in a surface."""

import numpy as np

from coldstart.sample.drawing.canvas import (
    Canvas,
    Colour,
    curve,
    ellipse,
    mirrored,
    mix,
    polygon,
    rounded,
    stroke,
    turned,
    union,
    within,
)
from coldstart.sample.drawing.look import BRASS, LEAF_GREENS, WOODS, Look


def lamp(canvas: Canvas, look: Look) -> None:
    """A table lamp that is switched on."""
    rng = look.rng
    top, bottom = rng.uniform(26, 40), rng.uniform(56, 72)
    shade_top, shade_foot = rng.uniform(36, 46), rng.uniform(112, 126)
    foot = rng.uniform(26, 36)
    canvas.ground(128, 222, foot * 2)
    stem: Colour = BRASS if rng.random() < 0.5 else WOODS[int(rng.integers(len(WOODS)))]
    if rng.random() < 0.5:
        canvas.paint(rounded((123, shade_foot - 10, 133, 218), 4), stem, "cylinder", gloss=0.7)
    else:
        profile = [(5, shade_foot - 10), (6, 132), (20, 152), (25, 178), (12, 202), (16, 216)]
        canvas.paint(turned(profile), look.palette.deep, "cylinder", gloss=0.8)
    canvas.paint(ellipse((128 - foot, 209, 128 + foot, 226)), mix(stem, (20, 16, 12), 0.35), "cylinder")
    canvas.paint(ellipse((128 - foot, 206, 128 + foot, 222)), stem, "cylinder", gloss=0.4)
    canvas.glow((128, shade_foot), 70, (64, 52, 30))
    rim = bottom * 0.13
    body = [(128 - top, shade_top), (128 + top, shade_top), (128 + bottom, shade_foot), (128 - bottom, shade_foot)]
    shade = union(polygon(body), ellipse((128 - bottom, shade_foot - rim, 128 + bottom, shade_foot + rim)))
    canvas.paint(shade, look.surface, "cylinder")
    canvas.tint(ellipse((128 - top, shade_top - 5, 128 + top, shade_top + 5)), mix(look.palette.deep, BRASS, 0.3), 0.9)
    canvas.glow((128, shade_foot - 22), 42, (58, 46, 24))


def armchair(canvas: Canvas, look: Look) -> None:
    """An armchair on wooden legs."""
    rng = look.rng
    wood = WOODS[int(rng.integers(len(WOODS)))]
    half = rng.uniform(58, 68)
    curl = rng.uniform(14, 34)
    top = rng.uniform(50, 66)
    left, right = 128 - half, 128 + half
    canvas.ground(128, 222, half * 2.0, depth=0.2)
    for x, lean in ((left + 14, -5), (right - 14, 5)):
        canvas.paint(polygon([(x - 5, 190), (x + 5, 190), (x + lean + 3, 224), (x + lean - 3, 224)]), wood, "cylinder")
    canvas.paint(rounded((left + 6, top, right - 6, 184), curl), look.surface, "soft")
    canvas.tint(rounded((left + 6, 132, right - 6, 160), 10), (0, 0, 0), 0.16)
    seat = rounded((left + 10, 144, right - 10, 180), 14)
    canvas.paint(seat, look.surface, "soft")
    canvas.paint(rounded((left + 10, 172, right - 10, 198), 9), mix(look.palette.base, look.palette.deep, 0.45), "soft")
    for x in (left, right):
        canvas.paint(rounded((x - 13, 120, x + 13, 200), 13), look.surface, "soft")
    if rng.random() < 0.5:
        for x in (108, 128, 148):
            canvas.tint(ellipse((x - 2.5, top + 32, x + 2.5, top + 37)), look.palette.deep, 0.8)


def cushion(canvas: Canvas, look: Look) -> None:
    """A cushion, leaning or with piping."""
    rng = look.rng
    half, pinch = rng.uniform(74, 86), rng.uniform(9, 14)
    high = half * (1.0 if rng.random() < 0.6 else 0.72)
    cx, cy = 128.0, 216 - high
    t = np.linspace(0, 2 * np.pi, 96, endpoint=False)
    # A squircle, drawn in at the middle of each side.
    draw_in = 1 - pinch / half * np.cos(2 * t) ** 4
    across = np.sign(np.cos(t)) * np.abs(np.cos(t)) ** 0.34 * half * draw_in
    down = np.sign(np.sin(t)) * np.abs(np.sin(t)) ** 0.34 * high * draw_in
    outline = [(cx + float(x), cy + float(y)) for x, y in zip(across, down, strict=True)]
    outline.append(outline[0])
    mask = polygon(outline)
    canvas.ground(cx, 214, half * 2.0, depth=0.14)
    canvas.paint(mask, look.surface, "sphere")
    canvas.tint(stroke(outline, 2.2), look.palette.deep, 0.75 if rng.random() < 0.6 else 0.25)
    if rng.random() < 0.35:
        for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
            canvas.paint(
                ellipse(
                    (
                        cx + x * half * 0.94 - 7,
                        cy + y * high * 0.94 - 7,
                        cx + x * half * 0.94 + 7,
                        cy + y * high * 0.94 + 7,
                    )
                ),
                look.palette.deep,
                "sphere",
            )


def clock(canvas: Canvas, look: Look) -> None:
    """A wall clock."""
    rng = look.rng
    cx, cy, radius = 128.0, 122.0, rng.uniform(74, 86)
    if rng.random() < 0.6:
        outer = ellipse((cx - radius, cy - radius, cx + radius, cy + radius))
    else:
        outer = rounded((cx - radius, cy - radius, cx + radius, cy + radius), 22)
    frame = WOODS[int(rng.integers(len(WOODS)))] if rng.random() < 0.5 else look.palette.deep
    canvas.cast(outer)
    canvas.paint(outer, frame, "soft")
    inner = radius - rng.uniform(7, 11)
    face = within(ellipse((cx - inner, cy - inner, cx + inner, cy + inner)), outer)
    canvas.paint(face, look.surface, "flat")
    plate = inner * 0.5
    canvas.paint(ellipse((cx - plate, cy - plate, cx + plate, cy + plate)), look.palette.pale, "flat")
    for hour in range(12):
        turn = hour * np.pi / 6
        x, y = cx + np.cos(turn) * inner * 0.40, cy + np.sin(turn) * inner * 0.40
        dot = 2.6 if hour % 3 == 0 else 1.6
        canvas.tint(ellipse((x - dot, y - dot, x + dot, y + dot)), look.palette.deep, 0.95)
    for turn, length, width in ((rng.uniform(0, 6.28), 0.34, 4.5), (rng.uniform(0, 6.28), 0.62, 3.2)):
        tip = (cx + np.cos(turn) * inner * length, cy + np.sin(turn) * inner * length)
        canvas.tint(stroke([(cx, cy), tip], width), (28, 26, 26), 0.95)
    canvas.paint(ellipse((cx - 5, cy - 5, cx + 5, cy + 5)), BRASS, "sphere", gloss=1)


def planter(canvas: Canvas, look: Look) -> None:
    """A pot with a plant."""
    rng = look.rng
    rim, foot, top = rng.uniform(44, 54), rng.uniform(30, 44), rng.uniform(132, 144)
    canvas.ground(128, 222, foot * 2.1)
    greens = LEAF_GREENS[int(rng.integers(len(LEAF_GREENS)))]
    kind = int(rng.integers(3))
    for _ in range(int(rng.integers(13, 18)) if kind else 12):
        _foliage(canvas, kind, 128 + rng.uniform(-0.5, 0.5) * rim, top, greens[int(rng.integers(len(greens)))], rng)
    side = curve([(rim, top), ((rim + foot) / 2 + 3, (top + 222) / 2), (foot, 221)])
    pot = union(mirrored(side), ellipse((128 - foot, 214, 128 + foot, 227)))
    canvas.paint(pot, look.surface, "cylinder", gloss=0.5)
    if rng.random() < 0.6:
        band = rounded((128 - rim - 4, top - 6, 128 + rim + 4, top + 10), 4)
        canvas.paint(band, look.palette.base, "cylinder", gloss=0.6)


def _foliage(canvas: Canvas, kind: int, x: float, top: float, green: Colour, rng: np.random.Generator) -> None:
    lean = rng.uniform(-1, 1)
    reach = rng.uniform(58, 100)
    tip = (x + lean * reach * 0.85, top - reach * (1 - 0.35 * abs(lean)))
    bend = (x + lean * reach * 0.25, top - reach * 0.6)
    stem = curve([(x, top + 8), bend, tip])
    if kind == 0:  # upright blades
        tip = (x + lean * 30, top - reach)
        canvas.paint(
            polygon(
                [
                    (x - 8, top + 6),
                    (x + lean * 14 - 6, top - reach * 0.5),
                    tip,
                    (x + lean * 14 + 7, top - reach * 0.5),
                    (x + 8, top + 6),
                ]
            ),
            green,
            "cylinder",
        )
        return
    canvas.paint(stroke(stem, 2.4), mix(green, (20, 40, 20), 0.3))
    if kind == 1:  # round leaves at the end of each stem
        r = rng.uniform(11, 18)
        canvas.paint(ellipse((tip[0] - r, tip[1] - r * 0.85, tip[0] + r, tip[1] + r * 0.85)), green, "sphere")
        return
    for px, py in stem[5::3]:  # pairs of small leaves along it
        for side in (-1, 1):
            leaf = curve([(px, py), (px + side * 8, py - 7), (px + side * 17, py - 5)])
            back = curve([(px + side * 17, py - 5), (px + side * 9, py + 2), (px, py)])
            canvas.paint(polygon(leaf + back), green, "flat")
