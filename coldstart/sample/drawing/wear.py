"""Things to wear and carry, each painted on a canvas in a surface."""

import numpy as np

from coldstart.sample.drawing.canvas import (
    Canvas,
    blurred,
    curve,
    ellipse,
    minus,
    mirrored,
    mix,
    polygon,
    rounded,
    stroke,
    union,
    within,
)
from coldstart.sample.drawing.look import BRASS, WOODS, Look


def shirt(canvas: Canvas, look: Look) -> None:
    """A T-shirt laid flat."""
    rng = look.rng
    half, sleeve = rng.uniform(50, 58), rng.uniform(30, 46)
    hem, shoulder = rng.uniform(202, 218), rng.uniform(50, 56)
    neck = rng.uniform(18, 24)
    right = [
        (neck, 42.0),
        (half - 4, shoulder),
        *curve([(half, shoulder + 2), (half + sleeve * 0.6, shoulder + 22), (half + sleeve * 0.86, shoulder + 54)], 6),
        (half + sleeve * 0.2, shoulder + 68),
        *curve([(half - 2, shoulder + 46), (half - 5, 140), (half, hem)], 6),
    ]
    collar = curve([(128 + neck, 42), (128, 42 + neck * 1.1), (128 - neck, 42)])
    mask = minus(mirrored(right), polygon(collar))
    canvas.cast(mask, shift=(4, 6), blur=7, strength=0.34)
    canvas.paint(mask, look.surface, "soft")
    canvas.tint(within(stroke(collar, 8), mask), look.palette.deep, 0.8)
    for _ in range(4):
        x, y = 128 + rng.uniform(-34, 34), rng.uniform(112, 180)
        fold = curve([(x, y), (x + rng.uniform(-8, 8), y + 18), (x + rng.uniform(-10, 10), y + 38)])
        canvas.tint(within(blurred(stroke(fold, 4), 2.5), mask), (0, 0, 0), 0.16)
    for side in (-1, 1):
        seam = stroke([(128 + side * (half - 4), shoulder), (128 + side * (half - 2), shoulder + 46)], 1.6)
        canvas.tint(seam, (0, 0, 0), 0.2)


def tote(canvas: Canvas, look: Look) -> None:
    """A tote bag that stands by itself."""
    rng = look.rng
    top, foot, high = rng.uniform(58, 70), rng.uniform(54, 76), rng.uniform(98, 122)
    rim = 218 - high
    grip = rng.uniform(22, 32)
    canvas.ground(128, 219, foot * 2)
    straps = WOODS[1] if rng.random() < 0.5 else look.palette.deep
    for lift, share in ((70, 0.35), (58, 0.0)):
        strap = stroke(
            curve(
                [
                    (128 - grip, rim + 6),
                    (128 - grip * 0.8, rim - lift * 0.7),
                    (128, rim - lift),
                    (128 + grip * 0.8, rim - lift * 0.7),
                    (128 + grip, rim + 6),
                ]
            ),
            7,
        )
        canvas.paint(strap, mix(straps, (0, 0, 0), share), "soft")
    body = mirrored(curve([(top, rim), ((top + foot) / 2 + 5, rim + high * 0.6), (foot, 217)]))
    canvas.paint(body, look.surface, "soft")
    canvas.tint(within(rounded((128 - top, rim, 128 + top, rim + 9), 2), body), look.palette.deep, 0.55)
    for side in (-1, 1):
        x = 128 + side * grip
        canvas.paint(rounded((x - 5, rim + 2, x + 5, rim + 26), 3), straps, "soft")
        canvas.paint(ellipse((x - 2.4, rim + 17, x + 2.4, rim + 22)), BRASS, "sphere")


def umbrella(canvas: Canvas, look: Look) -> None:
    """An open umbrella."""
    rng = look.rng
    half, top, brim = rng.uniform(92, 104), rng.uniform(44, 54), rng.uniform(122, 132)
    canvas.ground(136, 226, 46)
    wood = WOODS[int(rng.integers(len(WOODS)))]
    handle = [(128, brim - 8), (128, 204), *curve([(128, 204), (132, 219), (144, 221), (152, 208)])]
    canvas.paint(stroke(handle, 5), wood, "soft")
    canvas.paint(stroke([(128, top - 10), (128, top + 4)], 4), wood, "soft")
    t = np.linspace(0, np.pi, 40)
    dome = polygon([(128 + half * float(np.cos(a)), brim - (brim - top) * float(np.sin(a))) for a in t])
    panels = 6
    scallops = union(
        *(
            ellipse(
                (128 - half + 2 * half * i / panels, brim - 11, 128 - half + 2 * half * (i + 1) / panels, brim + 11)
            )
            for i in range(panels)
        )
    )
    canopy = minus(dome, scallops)
    canvas.tint(within(scallops, dome), look.palette.deep, 0.85)
    canvas.paint(canopy, look.surface, "sphere", gloss=0.3)
    for i in range(1, panels):
        x = 128 - half + 2 * half * i / panels
        rib = curve([(128, top), (128 + (x - 128) * 0.78, top + (brim - top) * 0.38), (x, brim)])
        canvas.tint(within(stroke(rib, 1.8), dome), look.palette.deep, 0.55)


def backpack(canvas: Canvas, look: Look) -> None:
    """A backpack with a front pocket."""
    rng = look.rng
    half, top = rng.uniform(52, 60), rng.uniform(54, 66)
    canvas.ground(128, 221, half * 2)
    leather = WOODS[int(rng.integers(1, 3))]
    loop = minus(ellipse((108, top - 22, 148, top + 16)), ellipse((116, top - 14, 140, top + 16)))
    canvas.paint(loop, leather, "soft")
    for side in (-1, 1):
        x = 128 + side * (half + 3)
        canvas.paint(rounded((x - 8, 128, x + 8, 208), 7), mix(look.palette.base, look.palette.deep, 0.5), "soft")
    canvas.paint(rounded((128 - half, top, 128 + half, 220), 26), look.surface, "soft")
    flap = rounded((128 - half + 2, top + 2, 128 + half - 2, top + rng.uniform(46, 62)), 22)
    canvas.cast(within(flap, flap), shift=(0, 4), blur=4, strength=0.2)
    canvas.paint(flap, mix(look.palette.base, look.palette.deep, 0.4), "soft")
    canvas.paint(rounded((128 - half + 13, 150, 128 + half - 13, 208), 12), look.surface, "soft")
    canvas.tint(rounded((128 - half + 13, 150, 128 + half - 13, 156), 3), look.palette.deep, 0.7)
    for x in (128 - half * 0.45, 128 + half * 0.45):
        canvas.paint(rounded((x - 4.5, top + 34, x + 4.5, 146), 3), leather, "soft")
        canvas.paint(rounded((x - 6, 116, x + 6, 127), 2), BRASS, "flat")
