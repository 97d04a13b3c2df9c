"""Pictures that mean harm, made here: 200 by design and any number by mutation. Each has a name that says its trick."""

import io
import random
import struct
import zlib
from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageDraw

HOSTILE = 200
PNG, JPEG, GIF, RIFF = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a", b"RIFF"
KINDS = ("PNG", "JPEG", "WEBP", "GIF")
Named = tuple[str, bytes]


def good(side: int = 64, kind: str = "PNG", mode: str = "RGB", **options: object) -> bytes:
    """A picture that nobody could object to."""
    picture = Image.new("RGB", (side, side), (190, 120, 60))
    ImageDraw.Draw(picture).ellipse((side // 8, side // 8, side // 2, side // 2), fill=(40, 90, 160))
    buffer = io.BytesIO()
    picture.convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


def hostile() -> list[Named]:
    """`HOSTILE` files; what the families leave open is noise behind the first bytes of a known kind."""
    made = [*_bombs(), *_chunks(), *_frames(), *_foreign(), *_cut(), *_exif(), *_odd(), *_malformed(), *_polyglots()]
    chance = random.Random(0)
    starts = (PNG, JPEG + b"\xe0", GIF, RIFF + b"\x40\x00\x00\x00WEBPVP8 ")
    noise = [(f"noise {n}", starts[n % 4] + chance.randbytes(60 + 31 * n)) for n in range(HOSTILE - len(made))]
    return made + noise


def mutated(number: int, *, seed: int = 0) -> Iterator[Named]:
    """Valid files with bytes flipped, runs cut out or repeated, and the halves of two joined."""
    chance = random.Random(seed)
    originals = [good(96, kind) for kind in KINDS]
    for n in range(number):
        data = bytearray(originals[n % len(originals)])
        for _ in range(chance.randint(1, 12)):
            at = chance.randrange(len(data))
            match chance.randrange(4):
                case 0:
                    data[at] = chance.randrange(256)
                case 1:
                    del data[at : at + chance.randint(1, 8)]
                case 2:
                    data[at:at] = data[at : at + chance.randint(1, 64)]
                case _:
                    other = originals[chance.randrange(len(originals))]
                    data[at:] = other[chance.randrange(len(other)) :]
            data = data or bytearray(b"\0")
        yield f"mutated {n}", bytes(data)


def chunk(kind: bytes, body: bytes) -> bytes:
    """A chunk of a PNG with its checksum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(
    width: int,
    height: int,
    *chunks: bytes,
    depth: int = 1,
    colour: int = 0,
    interlace: int = 0,
    rows: int | None = None,
) -> bytes:
    """A PNG of zeros, which deflate makes tiny, with chunks before its pixels; of so many ``rows``, or all."""
    bits = depth * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    row = bytes((width * bits + 7) // 8 + 1)
    packer, packed = zlib.compressobj(9), bytearray()
    for _ in range(min(height, 30_000) if rows is None else rows):
        packed += packer.compress(row)
    packed += packer.flush()
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace))
    return PNG + header + b"".join(chunks) + chunk(b"IDAT", bytes(packed)) + chunk(b"IEND", b"")


def gif(width: int, height: int, frames: int, *, frame: bytes = struct.pack("<HHHH", 0, 0, 1, 1)) -> bytes:
    """A GIF whose frames are one dot each, anywhere."""
    screen = GIF + struct.pack("<HH", width, height) + b"\x80\x00\x00" + bytes(6)
    return screen + (b"\x2c" + frame + b"\x00\x02\x02\x44\x01\x00") * frames + b"\x3b"


def _bombs() -> Iterator[Named]:
    for width, height in ((20_000, 20_000), (65_000, 65_000), (1_000_000, 300), (300, 1_000_000), (5001, 5000)):
        yield f"png {width}x{height}", png(width, height, rows=200)
    for width, height in ((2**31 - 1, 1), (1, 2**31 - 1), (2**31 - 1, 2**31 - 1), (0, 0), (0, 9)):
        yield f"png {width}x{height}", png(width, height, rows=0)
    for depth, colour in ((1, 0), (8, 0), (16, 0), (8, 2), (16, 2), (8, 4), (16, 4), (8, 6), (16, 6)):
        side = 5000 if depth == 1 or (depth, colour) == (8, 6) else 2500
        yield f"png of depth {depth}, type {colour}, {side} square", png(side, side, depth=depth, colour=colour)
    yield "png in stripes at the cap", png(25_000_000, 1)
    yield "png interlaced", png(3000, 3000, depth=8, colour=2, interlace=1)
    for width, height in ((60_000, 60_000), (65_535, 380), (5000, 5000)):
        yield f"gif {width}x{height}", gif(width, height, 1)
    for width, height in ((16_384, 16_384), (16_384, 1), (5000, 5000)):
        canvas = struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
        yield f"webp {width}x{height}", _webp(b"VP8X" + struct.pack("<I", 10) + b"\x02\0\0\0" + canvas)
    plain = good(64, "JPEG")
    frame = plain.index(b"\xff\xc0")
    for width, height in ((65_500, 65_500), (65_500, 381), (5000, 5000), (0, 64), (64, 0)):
        lie = struct.pack(">HH", height, width)
        yield f"jpeg {width}x{height}", plain[: frame + 5] + lie + plain[frame + 9 :]
    progressive = good(512, "JPEG", progressive=True)
    last = progressive[progressive.rfind(b"\xff\xda") : -2]
    for scans in (60, 70, 2000):
        yield f"jpeg of {scans} more scans", progressive[:-2] + last * scans + b"\xff\xd9"
    yield "8 MB of zeros behind a png", good() + bytes(7_900_000)


def _chunks() -> Iterator[Named]:
    def packed(size: int) -> bytes:
        return zlib.compress(bytes(size), 9)

    for kind, head in ((b"zTXt", b"k\0\0"), (b"iTXt", b"k\0\1\0\0\0"), (b"iCCP", b"k\0\0")):
        yield f"png with a {kind.decode()} of 50 MB", png(8, 8, chunk(kind, head + packed(50_000_000)))
        yield f"png with 200 {kind.decode()}", png(8, 8, *[chunk(kind, head + packed(900_000))] * 200)
    yield "png with 100,000 tEXt", png(8, 8, *[chunk(b"tEXt", b"k\0v")] * 100_000)
    yield "png with a tEXt of 5 MB", png(8, 8, chunk(b"tEXt", b"k\0" + b"v" * 5_000_000))
    yield "png with a palette of none", png(8, 8, depth=8, colour=3)
    yield "png with a palette of 1000", png(8, 8, chunk(b"PLTE", bytes(3000)), depth=8, colour=3)
    yield (
        "png with a chunk of 2 GB",
        PNG + chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 1, 0, 0, 0, 0)) + b"\x7f\xff\xff\xff",
    )
    yield "png without pixels", PNG + chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 1, 0, 0, 0, 0)) + chunk(b"IEND", b"")
    yield "png with two headers", png(8, 8, chunk(b"IHDR", struct.pack(">IIBBBBB", 9999, 9999, 8, 2, 0, 0, 0)))
    yield "png with a wrong checksum", good().replace(b"IDAT", b"IDAU", 1)
    yield "jpeg with 60,000 comments", good(64, "JPEG")[:2] + b"\xff\xfe\0\4hi" * 60_000 + good(64, "JPEG")[2:]
    yield "jpeg with a profile of noise", good(64, "JPEG", icc_profile=bytes(range(256)) * 4000)
    yield "png with a profile of noise", good(64, "PNG", icc_profile=bytes(range(256)) * 400)


def _frames() -> Iterator[Named]:
    for frames in (0, 100_000):
        yield f"gif of {frames} frames", gif(8, 8, frames)
    for name, frame in {
        "outside its screen": struct.pack("<HHHH", 60_000, 60_000, 1, 1),
        "larger than its screen": struct.pack("<HHHH", 0, 0, 60_000, 60_000),
        "of nothing": struct.pack("<HHHH", 0, 0, 0, 0),
    }.items():
        yield f"gif with a frame {name}", gif(8, 8, 2, frame=frame)
    yield "gif of endless extensions", GIF + struct.pack("<HH", 8, 8) + bytes(3) + b"\x21\xfe\x01x\0" * 100_000
    yield (
        "gif of endless codes",
        gif(4000, 4000, 1)[:13] + bytes(6) + b"\x2c" + bytes(4) + b"\xa0\x0f\xa0\x0f\0\x0c" + b"\xff" * 999,
    )
    pages = [Image.new("RGB", (8, 8), (shade % 256, shade // 256, 0)) for shade in range(2000)]
    for kind in ("PNG", "WEBP"):
        buffer = io.BytesIO()
        pages[0].save(buffer, kind, save_all=True, append_images=pages[1:], duration=1)
        yield f"{kind.lower()} of 2000 frames", buffer.getvalue()
    yield "apng that says a billion frames", png(8, 8, chunk(b"acTL", struct.pack(">II", 10**9, 0)))


def _foreign() -> Iterator[Named]:
    strangers: dict[str, bytes] = {
        "nothing": b"",
        "one byte": b"\xff",
        "zeros": bytes(10_000),
        "html": b"<!doctype html><script>alert(1)</script>",
        "svg": b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><image href="file:///etc/passwd"/></svg>',
        "svg of entities": b'<!DOCTYPE s [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><svg>&b;</svg>',
        "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) (r) file\n",
        "eps with a preview": b"\xc5\xd0\xd3\xc6"
        + struct.pack("<IIIIII", 30, 90, 0, 0, 0, 0)
        + b"\xff\xff%!PS-Adobe-3.0",
        "pdf": b"%PDF-1.7\n1 0 obj<</Type/Catalog/OpenAction<</S/JavaScript/JS(app.alert(1))>>>>",
        "zip": b"PK\x03\x04" + bytes(60),
        "gzip": b"\x1f\x8b\x08" + bytes(60),
        "elf": b"\x7fELF" + bytes(60),
        "psd": b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 30_000, 30_000, 8, 3),
        "xpm": b"/* XPM */ static char *x[] = {",
        "fli": struct.pack("<IHHHHHH", 999, 0xAF11, 65535, 8, 8, 8, 0),
        "jpeg 2000": b"\0\0\0\x0cjP  \r\n\x87\n",
        "wav": b"RIFF\x00\x00\x00\x00WAVEfmt ",
        "tiff whose directory points at itself": _tiff(following=8),
        "tiff of two directories in a circle": _tiff(following=26) + struct.pack("<HHHIII", 1, 256, 3, 1, 8, 8),
        "tiff of a billion strips": b"II*\0\x08\0\0\0" + struct.pack("<HHHIII", 1, 273, 4, 10**9, 8, 0),
        "big tiff": b"II+\0\x08\0\0\0" + struct.pack("<Q", 16) + bytes(40),
    }
    yield from ((name, data) for name, data in strangers.items())
    for kind in ("TIFF", "BMP", "ICO", "PPM", "TGA", "PCX", "SGI", "ICNS", "DDS", "AVIF"):
        try:
            yield kind.lower(), good(32, kind)
        except (OSError, KeyError):  # a Pillow without it
            yield f"{kind.lower()} of nothing", kind.encode()
    for start in (PNG, JPEG, GIF, RIFF + bytes(4) + b"WEBP"):
        for name in ("svg", "eps", "tiff whose directory points at itself", "zeros"):
            yield f"{name} behind {start[:4]!r}", start + strangers[name]


def _cut() -> Iterator[Named]:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    for kind in KINDS:
        buffer = io.BytesIO()
        noise.save(buffer, kind)
        whole = buffer.getvalue()
        for share in (0.02, 0.3, 0.6, 0.95):
            yield f"{kind.lower()} cut at {share:.0%}", whole[: int(len(whole) * share)]


def _exif() -> Iterator[Named]:
    for orientation in (0, 3, 6, 8, 9, 65535):
        exif = Image.Exif()
        exif[0x0112] = orientation
        yield f"jpeg turned by {orientation}", good(64, "JPEG", exif=exif)
    start, turned = b"II*\0\x08\0\0\0", struct.pack("<HHII", 0x0112, 3, 1, 6)
    pair = start + struct.pack("<H", 2) + turned
    for name, block in {
        "a directory that points at itself": start + struct.pack("<H", 1) + turned + struct.pack("<I", 8),
        "a GPS directory that is its parent": pair + struct.pack("<HHII", 0x8825, 4, 1, 8) + bytes(4),
        "65,535 entries": start + b"\xff\xff" + turned * 5000,
        "a value of 4 GB": pair + struct.pack("<HHII", 0x9286, 7, 2**32 - 1, 0),
        "an offset past its end": b"MM\0*\xff\xff\xff\xff",
        "a rational over zero": pair + struct.pack("<HHII", 282, 5, 1, 40) + bytes(99),
    }.items():
        for kind in ("JPEG", "PNG", "WEBP"):
            yield f"{kind.lower()} whose EXIF has {name}", good(64, kind, exif=b"Exif\0\0" + block)


def _odd() -> Iterator[Named]:
    for mode in ("1", "L", "LA", "P", "RGBA", "I;16"):
        yield f"png of mode {mode}", good(64, "PNG", mode=mode) if mode != "I;16" else png(64, 64, depth=16)
    yield "png with a transparent palette", good(64, "PNG", mode="P", transparency=0)
    yield "png with a transparent colour", good(64, "PNG", transparency=(190, 120, 60))
    yield "gif with a transparent colour", good(64, "GIF", transparency=0)
    yield "jpeg in CMYK", good(64, "JPEG", mode="CMYK")
    yield "jpeg in CMYK that says it is not", good(64, "JPEG", mode="CMYK").replace(b"Adobe", b"Adobf")
    for width, height in ((1, 1), (1, 40_000), (40_000, 1), (2, 3)):
        yield f"png {width}x{height}", png(width, height, rows=height)


def _malformed() -> Iterator[Named]:
    webp = good(64, "WEBP")
    yield "webp that says it is longer", RIFF + struct.pack("<I", 2**31) + webp[8:]
    yield "webp that says it is shorter", RIFF + struct.pack("<I", 4) + webp[8:]
    yield "webp of nothing", RIFF + struct.pack("<I", 4) + b"WEBP"
    yield "webp lossless of noise", _webp(b"VP8L" + struct.pack("<I", 64) + b"\x2f" + b"\xff" * 63)
    yield "jpeg without tables", JPEG + b"\xe0" + good(64, "JPEG")[20:60] + good(64, "JPEG")[-200:]
    yield "jpeg of lossless kind", good(64, "JPEG").replace(b"\xff\xc0", b"\xff\xc3", 1)
    yield "jpeg of arithmetic coding", good(64, "JPEG").replace(b"\xff\xc0", b"\xff\xc9", 1)
    yield "jpeg with 255 components", good(64, "JPEG").replace(b"\x00\x40\x00\x40\x03", b"\x00\x40\x00\x40\xff", 1)


def _polyglots() -> Iterator[Named]:
    yield "gif that is a script", GIF[:6] + b"/*" + gif(8, 8, 1)[8:] + b"*/=1;alert(1)"
    yield "png with a zip behind", good() + b"PK\x03\x04" + bytes(30) + b"PK\x05\x06" + bytes(18)
    yield "jpeg with php in a comment", JPEG + b"\xfe\0\x1a<?php system('id'); ?>\0\0" + good(64, "JPEG")[2:]
    yield "png with html in a text", png(8, 8, chunk(b"tEXt", b"Comment\0<script>alert(1)</script>"))
    yield "pdf with a jpeg behind", b"%PDF-1.7\n" + good(64, "JPEG")
    yield "jpeg behind a space", b" " + good(64, "JPEG")


def _webp(chunks: bytes) -> bytes:
    return RIFF + struct.pack("<I", len(chunks) + 4) + b"WEBP" + chunks


def _tiff(*, following: int) -> bytes:
    return b"II*\0\x08\0\0\0" + struct.pack("<HHHII", 1, 256, 3, 1, 8) + struct.pack("<I", following)
