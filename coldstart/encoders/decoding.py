"""Large pictures in little memory: what one will take is told before it is decoded, and it shrinks piece by piece.

Pillow decodes a whole picture before anything can be done with it, except for JPEG, which comes out at an eighth of its
size where that is enough. What is left to choose is to refuse what would take too much, and to make no second copy.
"""

import re
import struct
from collections.abc import Iterator
from math import ceil, floor

import numpy as np
from PIL import Image
from PIL.Image import Resampling

MAX_MEMORY = 90_000_000
"""Bytes by `memory_needed`. Memory rises by less than 100 MB (tests/coldstart/encoders/test_decoding.py)."""
_GAP = 3.0
_TILE = 1024, 512
_STORED = {"1": 1, "L": 1, "P": 1, "I;16": 2}
"""Bytes a pixel, of all that decoders make; four for any other."""
# Two canvases of libwebp's, the answer that they are copied into, and Pillow's own: measured, 16.0 to 16.5.
_WEBP = 16
_SHRINKING = 10_000_000
"""Most that a tile on its way and the last step take: measured, 4 to 9 MB."""
_UNPACKED = 1_048_576
"""Most that Pillow unpacks of a PNG's text or profile."""
_MARKER = re.compile(rb"\xff+([\x01-\xfe])")
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_SCAN = 0xDA


def memory_needed(opened: Image.Image, data: bytes, *, media_type: str, most: int) -> int:
    """Bytes that it takes to decode an opened picture, after its ``draft``, and to shrink it to ``most`` a side."""
    pixels = opened.width * opened.height
    match media_type:
        case "image/webp":
            return _WEBP * pixels + 2 * len(data)
        case "image/jpeg":
            beside = _beside_jpeg(data)
        case "image/png":
            beside = _beside_png(data, opened.width)
        case _:
            beside = 0
    width, height = _reduced(opened.size, *_factors(opened.size, _within(opened.size, most)))
    return _SHRINKING + beside + _STORED.get(opened.mode, 4) * pixels + 4 * width * height


def shrunk(picture: Image.Image, most: int) -> Image.Image:
    """At most ``most`` pixels wide and high, in RGB, or RGBA where some of the picture is transparent.

    Pixel by pixel what `Image.convert` and `Image.thumbnail` make of the whole, of which they would make two copies.
    """
    mode = "RGBA" if picture.has_transparency_data else "RGB"
    size = _within(picture.size, most)
    if picture.mode == mode == "RGB" or size == picture.size:
        whole = _in_eight_bits(picture, mode)
        whole.thumbnail((most, most), reducing_gap=_GAP)
        return whole
    factors = across, down = _factors(picture.size, size)
    # Colours count by their opacity in a mean.
    reduced = Image.new("RGBa" if mode == "RGBA" else mode, _reduced(picture.size, across, down))
    for box in _tiles(picture.size, across, down):
        tile = _in_eight_bits(picture.crop(box), mode)
        reduced.paste(tile.convert(reduced.mode).reduce(factors), (box[0] // across, box[1] // down))
    exact = 0, 0, picture.width / across, picture.height / down
    return reduced.resize(size, Resampling.BICUBIC, exact).convert(mode)


def _in_eight_bits(picture: Image.Image, mode: str) -> Image.Image:
    if picture.mode.startswith("I"):  # 16-bit grey; Pillow's own conversion clips it to white
        grey = np.asarray(picture, dtype=np.int32) >> 8
        picture = Image.fromarray(grey.astype(np.uint8))
    return picture if picture.mode == mode else picture.convert(mode)


def _within(size: tuple[int, int], most: int) -> tuple[int, int]:
    """The size in which both sides have at most so many pixels, with the aspect as nearly kept as Pillow keeps it.

    >>> _within((4000, 3000), 512), _within((3, 25_000_000), 512), _within((512, 9), 512)
    ((512, 384), (1, 512), (512, 9))
    """
    width, height = size
    if max(size) <= most:
        return size
    aspect = width / height

    def nearest(side: float, off: dict[int, float]) -> int:
        return max(1, min(floor(side), ceil(side), key=off.__getitem__))

    if aspect <= 1:
        side = most * aspect
        return nearest(side, {n: abs(aspect - n / most) for n in (floor(side), ceil(side))}), most
    side = most / aspect
    return most, nearest(side, {n: abs(aspect - most / n) if n else 0.0 for n in (floor(side), ceil(side))})


def _factors(size: tuple[int, int], smaller: tuple[int, int]) -> tuple[int, int]:
    """By what to reduce, before the last step, which takes a weighted mean, makes it smaller by three or more."""
    return max(1, int(size[0] / smaller[0] / _GAP)), max(1, int(size[1] / smaller[1] / _GAP))


def _reduced(size: tuple[int, int], across: int, down: int) -> tuple[int, int]:
    return ceil(size[0] / across), ceil(size[1] / down)


def _tiles(size: tuple[int, int], across: int, down: int) -> Iterator[tuple[int, int, int, int]]:
    """Boxes that cover the picture and cut no block of ``across`` by ``down`` pixels."""
    width, height = size
    wide = max(across, min(width, _TILE[0]) // across * across)
    high = max(down, _TILE[0] * _TILE[1] // wide // down * down)
    for top in range(0, height, high):
        for left in range(0, width, wide):
            yield left, top, min(left + wide, width), min(top + high, height)


def _beside_jpeg(data: bytes) -> int:
    """Bytes of what comes before the pixels, and of the pixels in whole where not all colours come in one scan.

    So libjpeg keeps every progressive JPEG, two bytes a sample whatever size is asked for; of a plain one, a few rows.
    """
    at, samples, colours, progressive = 2, 0, 0, False
    while (found := _MARKER.search(data, at)) is not None:
        marker, at = found[1][0], found.end()
        if marker == 0x01 or 0xD0 <= marker <= 0xD9:  # without a length
            continue
        length = int.from_bytes(data[at : at + 2])
        segment = data[at + 2 : at + length]
        if marker in _FRAMES and len(segment) > 5:
            progressive, colours = marker in _PROGRESSIVE, segment[5]
            samples = _samples(segment)
        if marker == _SCAN:
            in_whole = progressive or segment[:1] < bytes([colours])
            return 2 * at + (2 * samples if in_whole else 0)
        at += length
    return 0


def _samples(frame: bytes) -> int:
    """In whole blocks, by the frame's header: precision, height, width and how dense each colour is."""
    height, width, colours = map(int, struct.unpack_from(">xHHB", frame))
    dense = [(each >> 4, each & 15) for each in frame[7 : 6 + 3 * colours : 3]]
    across, down = max([1, *(x for x, _ in dense)]), max([1, *(y for _, y in dense)])
    blocks = sum(x * y for x, y in dense)
    return ceil(width / 8 / across) * ceil(height / 8 / down) * 64 * blocks


def _beside_png(data: bytes, width: int) -> int:
    """Bytes of a PNG's rows while they are unpacked, and of its texts, profiles and unknown chunks, which are kept."""
    at, kept = 8, 3 * 8 * width
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind in (b"zTXt", b"iTXt", b"iCCP"):
            kept += min(length, len(data)) + _UNPACKED
        elif kind != b"IDAT":
            kept += 2 * min(length, len(data))
        at += 12 + length
    return kept
