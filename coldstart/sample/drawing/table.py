"""Things for the table, each painted on a canvas in a surface."""

from coldstart.sample.drawing.canvas import (
    Canvas,
    curve,
    ellipse,
    minus,
    mirrored,
    mix,
    polygon,
    rounded,
    stroke,
    turned,
    union,
)
from coldstart.sample.drawing.look import BRASS, STEEL, WOODS, Look


def mug(canvas: Canvas, look: Look) -> None:
    """A mug with a handle, seen a little from above."""
    rng = look.rng
    top, foot = rng.uniform(54, 64), rng.uniform(42, 62)
    high = rng.uniform(70, 92)
    rim = 216 - high * 1.45
    cx = 116.0
    canvas.ground(cx, 218, foot * 2.1)
    reach = rng.uniform(30, 38)
    box = (cx + top - 26, rim + 24, cx + top + reach, 190 - rng.uniform(0, 14))
    hole = (box[0] + 13, box[1] + 13, box[2] - 13, box[3] - 13)
    canvas.paint(minus(ellipse(box), ellipse(hole)), look.palette.base, "soft", gloss=0.5)
    side = curve([(top, rim), ((top + foot) / 2 + rng.uniform(0, 6), (rim + 216) / 2), (foot, 214)])
    body = mirrored(side, cx)
    canvas.paint(union(body, ellipse((cx - foot, 204, cx + foot, 224))), look.surface, "cylinder", gloss=0.8)
    canvas.paint(ellipse((cx - top, rim - 13, cx + top, rim + 13)), mix(look.palette.pale, (255, 255, 255), 0.4))
    canvas.paint(ellipse((cx - top + 5, rim - 9, cx + top - 5, rim + 11)), mix(look.palette.deep, (70, 44, 30), 0.5))
    if rng.random() < 0.6:
        canvas.paint(ellipse((cx - top + 9, rim - 3, cx + top - 9, rim + 11)), (92, 58, 38), "sphere", gloss=0.3)


def vase(canvas: Canvas, look: Look) -> None:
    """A turned vase, some with dried stems."""
    rng = look.rng
    neck, wide = rng.uniform(13, 24), rng.uniform(48, 66)
    top = rng.uniform(70, 96)
    belly = rng.uniform(0.42, 0.68)
    at = top + (220 - top) * belly
    canvas.ground(128, 220, wide * 1.25)
    if rng.random() < 0.65:
        for _ in range(int(rng.integers(5, 9))):
            lean = rng.uniform(-42, 42)
            stem = curve([(128 + rng.uniform(-6, 6), top + 6), (128 + lean * 0.4, top - 30), (128 + lean, top - 58)], 8)
            canvas.tint(stroke(stem, 1.8), (150, 124, 88), 0.9)
            for x, y in stem[8:]:
                canvas.tint(ellipse((x - 4, y - 3.4, x + 4, y + 3.4)), (206, 180, 138), 0.85)
    lip = neck + rng.uniform(0, 9)
    foot, rise, fall = wide * rng.uniform(0.42, 0.6), at - top - 22, 220 - at
    profile = [
        (lip, top),
        (neck, top + 11),
        (neck + 1, top + 22),
        (neck + (wide - neck) * 0.6, at - rise * 0.55),
        (wide, at - rise * 0.15),
        (wide * 1.02, at),
        (wide, at + fall * 0.2),
        (foot + (wide - foot) * 0.55, at + fall * 0.68),
        (foot, 220),
    ]
    canvas.paint(turned(profile), look.surface, "cylinder", gloss=0.9)
    canvas.paint(ellipse((128 - lip, top - 4, 128 + lip, top + 4)), mix(look.palette.deep, (0, 0, 0), 0.3))


def teapot(canvas: Canvas, look: Look) -> None:
    """A teapot with spout, lid and handle."""
    rng = look.rng
    wide, high = rng.uniform(56, 64), rng.uniform(46, 58)
    cx, cy = 124.0, 218 - high
    canvas.ground(cx, 219, wide * 1.5)
    grip = ellipse((cx - wide - 34, cy - high * 0.72, cx - wide + 30, cy + high * 0.5))
    hole = ellipse((cx - wide - 22, cy - high * 0.72 + 13, cx - wide + 22, cy + high * 0.5 - 13))
    canvas.paint(minus(grip, hole), WOODS[1] if rng.random() < 0.5 else look.palette.deep, "soft")
    spout = curve([(cx + wide - 18, cy + 22), (cx + wide + 18, cy + 4), (cx + wide + 40, cy - 38)])
    back = curve([(cx + wide + 30, cy - 42), (cx + wide + 4, cy - 14), (cx + wide - 20, cy - 14)])
    canvas.paint(polygon(spout + back), look.palette.base, "soft")
    body = ellipse((cx - wide, cy - high, cx + wide, cy + high))
    canvas.paint(body, look.surface, "sphere", gloss=1.0)
    lid = wide * rng.uniform(0.5, 0.62)
    canvas.paint(ellipse((cx - lid, cy - high - 6, cx + lid, cy - high + 20)), look.palette.base, "cylinder", gloss=0.7)
    canvas.paint(ellipse((cx - 9, cy - high - 20, cx + 9, cy - high - 2)), BRASS, "sphere", gloss=1.0)


def bowl(canvas: Canvas, look: Look) -> None:
    """A wide bowl, seen from above at an angle."""
    rng = look.rng
    wide, deep = rng.uniform(82, 94), rng.uniform(64, 92)
    top = 218 - deep
    flat = rng.uniform(20, 30)
    foot = wide * rng.uniform(0.36, 0.5)
    canvas.ground(128, 218, foot * 2.4)
    side = curve([(wide, top), (wide * 0.9, top + deep * 0.5), (foot, 218)])
    canvas.paint(mirrored(side), look.surface, "cylinder", gloss=0.6)
    canvas.paint(ellipse((128 - wide, top - flat, 128 + wide, top + flat)), look.palette.base, "cylinder")
    inside = ellipse((128 - wide + 6, top - flat + 4, 128 + wide - 6, top + flat - 2))
    canvas.paint(inside, mix(look.palette.pale, look.palette.base, 0.25), "sphere")
    if rng.random() < 0.45:
        for x, y in ((104, top - 4), (134, top - 10), (154, top + 2), (122, top + 6)):
            fruit = ((214, 96, 52), (226, 172, 62), (176, 52, 52), (128, 156, 66))[int(rng.integers(4))]
            canvas.paint(ellipse((x - 17, y - 17, x + 17, y + 15)), fruit, "sphere", gloss=0.5)
        edge = minus(ellipse((128 - wide, top - flat, 128 + wide, top + flat)), inside)
        lower = polygon([(0, top), (256, top), (256, 256), (0, 256)])
        canvas.paint(minus(edge, minus(edge, lower)), look.palette.base, "cylinder")


def bottle(canvas: Canvas, look: Look) -> None:
    """A drinking bottle with a cap."""
    rng = look.rng
    half = rng.uniform(29, 38)
    top, shoulder = rng.uniform(52, 62), rng.uniform(92, 112)
    neck = half * rng.uniform(0.45, 0.8)
    canvas.ground(128, 222, half * 2.0)
    profile = [(neck, top + 16), (neck, top + 24), (half, shoulder), (half, 168), (half, 205), (half - 5, 221)]
    body = union(turned(profile), ellipse((128 - half + 5, 214, 128 + half - 5, 226)))
    canvas.paint(body, look.surface, "cylinder", gloss=1.0)
    cap = (STEEL, WOODS[0], look.palette.deep)[int(rng.integers(3))]
    canvas.paint(rounded((128 - neck - 3, top - 8, 128 + neck + 3, top + 20), 6), cap, "cylinder", gloss=0.9)
    if rng.random() < 0.5:
        loop = minus(ellipse((114, top - 32, 142, top)), ellipse((120, top - 26, 136, top - 6)))
        canvas.paint(minus(loop, polygon([(0, top - 8), (256, top - 8), (256, 256), (0, 256)])), cap, "soft")
