"""Large pictures: the same pixels as by Pillow's own way, in less memory, and what would take too much is refused."""

import io
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.hostile.pictures import chunk, gif, png
from coldstart.encoders.decoding import MAX_MEMORY, memory_needed, shrunk
from coldstart.encoders.media import decode_picture
from coldstart.errors import InvalidInput

MOST = 512
PALETTE = chunk(b"PLTE", bytes(range(256)) * 3)
SIZES = ((700, 600), (513, 1), (1, 600), (1700, 40), (3100, 2000), (900, 3500), (2000, 2000), (6200, 130))


def saved(picture: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def noise(width: int, height: int, *colours: int, bits: int = 8) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 2**bits, (height, width, *colours))
    return Image.fromarray(pixels.astype(f"uint{bits}"))


KINDS: dict[str, Callable[[int, int], bytes]] = {
    "black and white": lambda w, h: saved(noise(w, h).convert("1"), "PNG"),
    "grey": lambda w, h: saved(noise(w, h), "PNG"),
    "grey of 16 bits": lambda w, h: saved(noise(w, h, bits=16), "PNG"),
    "grey and alpha": lambda w, h: saved(noise(w, h, 2), "PNG"),
    "palette": lambda w, h: saved(noise(w, h, 3).convert("P"), "PNG"),
    "palette with alpha": lambda w, h: saved(noise(w, h).convert("P"), "PNG", transparency=bytes(range(256))),
    "colour": lambda w, h: saved(noise(w, h, 3), "PNG"),
    "one colour transparent": lambda w, h: saved(noise(w, h, 3), "PNG", transparency=(9, 9, 9)),
    "colour and alpha": lambda w, h: saved(noise(w, h, 4), "PNG"),
    "gif": lambda w, h: saved(noise(w, h).convert("P"), "GIF", transparency=3),
    "webp": lambda w, h: saved(noise(w, h, 4), "WEBP", quality=10, method=0),
    "jpeg in CMYK": lambda w, h: saved(noise(w, h, 3).convert("CMYK"), "JPEG"),
}


def whole(picture: Image.Image) -> Image.Image:
    """Pillow's own way."""
    if picture.mode == "I;16":
        picture = Image.fromarray((np.asarray(picture, dtype=np.int32) >> 8).astype(np.uint8))
    picture = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
    picture.thumbnail((MOST, MOST), reducing_gap=3.0)
    return picture


@pytest.mark.parametrize("kind", KINDS)
def test_pixel_by_pixel_what_pillow_makes_of_the_whole(kind: str) -> None:
    for width, height in SIZES:
        data = KINDS[kind](width, height)
        with Image.open(io.BytesIO(data)) as first, Image.open(io.BytesIO(data)) as second:
            expected, found = whole(first), shrunk(second, MOST)
        assert (found.mode, found.size) == (expected.mode, expected.size), (width, height)
        assert found.tobytes() == expected.tobytes(), (width, height)


@pytest.mark.parametrize("width", [*range(513, 1400, 37), 5001, 20_011])
def test_the_aspect_is_kept_as_pillow_keeps_it(width: int) -> None:
    for height in (1, 2, 3, 511, 512, 513, 700, 1023):
        for size in ((width, height), (height, width)):
            picture = Image.new("L", size)
            expected = shrunk(picture, MOST).size
            picture.thumbnail((MOST, MOST))
            assert picture.size == expected


def progressive(width: int, height: int, **options: object) -> bytes:
    return saved(Image.new("RGB", (width, height), (9, 99, 9)), "JPEG", progressive=True, **options)


ORDINARY: dict[str, Callable[[], bytes]] = {
    "20 MP JPEG": lambda: saved(Image.new("RGB", (5472, 3648)), "JPEG", subsampling=0),
    "20 MP progressive JPEG": lambda: progressive(5472, 3648),
    "25 MP JPEG": lambda: saved(Image.new("RGB", (5000, 5000)), "JPEG", subsampling=0),
    "12 MP PNG": lambda: png(4000, 3000, depth=8, colour=2),
    "12 MP PNG with alpha": lambda: png(4000, 3000, depth=8, colour=6),
    "9 MP PNG with alpha": lambda: png(3071, 3071, depth=8, colour=6),
    "9 MP PNG of grey and alpha": lambda: png(3071, 3071, depth=8, colour=4),
    "9 MP PNG with a transparent colour": lambda: png(3071, 3071, chunk(b"tRNS", bytes(6)), depth=8, colour=2),
    "25 MP PNG of grey": lambda: png(5000, 5000, depth=8),
    "25 MP PNG of 16-bit grey": lambda: png(5000, 5000, depth=16),
    "25 MP PNG of a palette with alpha": lambda: png(
        5000, 5000, PALETTE, chunk(b"tRNS", bytes(256)), depth=8, colour=3
    ),
    "25 MP GIF": lambda: saved(Image.new("P", (5000, 5000)), "GIF", transparency=0),
    "5 MP WebP": lambda: saved(Image.new("RGBA", (2500, 2000), (9, 9, 9, 99)), "WEBP", method=0),
    "5 MP lossless WebP": lambda: saved(Image.new("RGBA", (2500, 2000)), "WEBP", lossless=True, method=0),
}
TEXTS = [chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(1_000_000)))] * 50
PLAIN = png(3000, 3000, depth=8, colour=6)
TOO_MUCH: dict[str, Callable[[], bytes]] = {
    "25 MP PNG": lambda: png(5000, 5000, depth=8, colour=2),
    "25 MP PNG with alpha": lambda: png(5000, 5000, depth=16, colour=6),
    "25 MP PNG in one row": lambda: png(25_000_000, 1),
    "25 MP PNG in one row of 8 bytes a pixel": lambda: png(25_000_000, 1, depth=16, colour=6, rows=1),
    "PNG with texts": lambda: png(3000, 3000, *TEXTS, depth=8, colour=6),
    "PNG with texts behind": lambda: PLAIN[:-12] + b"".join(TEXTS) + PLAIN[-12:],
    "25 MP WebP": lambda: saved(Image.new("RGB", (5000, 5000)), "WEBP", method=0),
    "20 MP progressive JPEG of full colour": lambda: progressive(5472, 3648, subsampling=0),
    "25 MP progressive JPEG in CMYK": lambda: saved(Image.new("CMYK", (5000, 5000)), "JPEG", progressive=True),
    "25 MP JPEG that cannot be drafted": lambda: saved(Image.new("RGB", (65_500, 381)), "JPEG"),
}


@pytest.mark.parametrize("name", ORDINARY)
def test_ordinary_pictures_are_taken(name: str) -> None:
    assert max(decode_picture(ORDINARY[name](), subject="item 7").size) <= MOST


@pytest.mark.parametrize("name", TOO_MUCH)
def test_what_would_take_too_much_is_refused_with_the_limit(name: str) -> None:
    with pytest.raises(InvalidInput, match=r"item 7: .* MB to be decoded, over the limit of 90 MB\. Send it smaller"):
        decode_picture(TOO_MUCH[name](), subject="item 7")


def test_a_thumbnail_of_its_own_makes_no_jpeg_progressive() -> None:
    exif = Image.Exif()
    exif[0x010E] = progressive(64, 64).hex()
    picture = Image.new("RGB", (5472, 3648))
    before = saved(picture, "JPEG", subsampling=0, exif=exif)
    behind = saved(picture, "JPEG", subsampling=0) + progressive(9, 9)
    for data in (before, behind):
        assert decode_picture(data, subject="item 7").size == (512, 341)


def test_what_is_malformed_takes_what_its_pixels_take() -> None:
    with Image.open(io.BytesIO(gif(64, 64, 1))) as opened:
        for media_type in ("image/jpeg", "image/png"):
            for data in (b"", b"\xff\xd8\xff\xc2\0\x08", b"\x89PNG\r\n\x1a\n" + bytes(9), b"\xff" * 99):
                assert memory_needed(opened, data, media_type=media_type, most=MOST) < MAX_MEMORY


def test_no_picture_takes_a_hundred_megabytes(tmp_path: Path) -> None:
    """Those that are taken in a process of their own, which has decoded a small one of every kind before."""
    script = """
import sys
from pathlib import Path
from benchmarks.hostile.pictures import KINDS, good
from coldstart.encoders.media import decode_picture
from coldstart.errors import InvalidInput
for kind in KINDS:
    decode_picture(good(64, kind), subject="x")
pictures = [Path(path).read_bytes() for path in sys.argv[1:]]
peak = lambda: next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
Path("/proc/self/clear_refs").write_text("5")
before = peak()
for picture in pictures:
    try:
        decode_picture(picture, subject="x")
    except InvalidInput as error:
        assert "over the limit" in str(error)
print((peak() - before) / 1024)
"""

    def rise(pictures: dict[str, Callable[[], bytes]]) -> float:
        for name, make in pictures.items():
            (tmp_path / name).write_bytes(make())
        command = [sys.executable, "-c", script, *(str(tmp_path / name) for name in pictures)]
        return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    rises = {name: rise({name: make}) for name, make in ORDINARY.items()}
    print(rises)
    assert rise(TOO_MUCH) < 60  # the texts of a PNG, which are unpacked before anything is known of its pixels
    assert 50 < max(rises.values()) < 100, rises
