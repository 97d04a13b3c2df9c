"""Pictures: what is accepted comes out upright, RGB and small; everything else is refused, cheaply, by name."""

import base64
import io
import random
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from coldstart.encoders.fetch import Fetcher
from coldstart.encoders.media import MAX_SCANS, SIDE, decode_picture, read_picture, sniff_media_type
from coldstart.errors import InvalidInput

RED, BLUE, WHITE = (255, 0, 0), (0, 0, 255), (255, 255, 255)


def saved(picture: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def halves(width: int = 64, height: int = 32) -> Image.Image:
    """Red on the left, blue on the right."""
    picture = Image.new("RGB", (width, height), RED)
    picture.paste(BLUE, (width // 2, 0, width, height))
    return picture


def decode(data: bytes, **limits: int) -> Image.Image:
    return decode_picture(data, subject="item 7", **limits)


def close(pixel: object, colour: tuple[int, int, int], tolerance: int = 12) -> bool:
    return bool(np.abs(np.asarray(pixel, dtype=int) - np.asarray(colour)).max() <= tolerance)


def png(width: int, height: int, *chunks: bytes) -> bytes:
    """A 1-bit grey PNG of zeros, which deflate makes tiny, with chunks before its pixels."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(bytes((width // 8 + 2) * height), 9))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + pixels + chunk(b"IEND", b"")


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def gif(width: int, height: int, frames: int) -> bytes:
    screen = b"GIF89a" + struct.pack("<HH", width, height) + b"\x80\x00\x00" + bytes(RED) + bytes(BLUE)
    frame = b"\x2c" + struct.pack("<HHHH", 0, 0, 1, 1) + b"\x00\x02\x02\x44\x01\x00"
    return screen + frame * frames + b"\x3b"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF"])
def test_accepted_kinds_come_out_as_rgb(kind: str) -> None:
    data = saved(halves(), kind)
    assert sniff_media_type(data) == f"image/{kind.lower()}"
    picture = decode(data)
    assert (picture.mode, picture.size) == ("RGB", (64, 32))
    assert close(picture.getpixel((8, 16)), RED)
    assert close(picture.getpixel((56, 16)), BLUE)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF"])
def test_one_pixel_is_a_picture(kind: str) -> None:
    assert decode(saved(Image.new("RGB", (1, 1), RED), kind)).size == (1, 1)


def test_big_pictures_come_out_small_but_no_smaller_than_asked() -> None:
    for kind in ("JPEG", "PNG"):
        picture = decode(saved(halves(2000, 1500), kind))
        assert max(picture.size) <= 2 * SIDE
        assert min(picture.size) >= SIDE
        assert close(picture.getpixel((20, 100)), RED)
    assert max(decode(saved(halves(4000, 8), "PNG")).size) == 2 * SIDE


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_camera_orientation_is_applied(orientation: int) -> None:
    shown = halves()
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    raw = shown.transpose(undo[orientation]) if orientation in undo else shown
    for kind in ("JPEG", "PNG"):
        picture = decode(saved(raw, kind, exif=exif))
        assert picture.size == shown.size
        assert close(picture.getpixel((8, 16)), RED)
        assert close(picture.getpixel((56, 16)), BLUE)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_a_broken_exif_block_does_not_break_the_picture() -> None:
    data = saved(halves(), "JPEG", exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xff garbage")
    assert decode(data).size == (64, 32)


def test_transparency_is_laid_on_white() -> None:
    clear = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    clear.paste((0, 0, 255, 255), (0, 0, 4, 8))
    palette = Image.new("P", (8, 8), 0)
    palette.putpalette([255, 0, 0, 0, 0, 255])
    palette.paste(1, (0, 0, 4, 8))
    keyed = Image.new("RGB", (8, 8), RED)
    keyed.paste(BLUE, (0, 0, 4, 8))
    for data in (
        saved(clear, "PNG"),
        saved(clear, "WEBP", lossless=True),
        saved(clear.convert("LA"), "PNG"),
        saved(palette, "PNG", transparency=0),
        saved(palette, "GIF", transparency=0),
        saved(keyed, "PNG", transparency=RED),
    ):
        picture = decode(data)
        assert picture.mode == "RGB"
        assert picture.getpixel((6, 4)) == WHITE
        assert picture.getpixel((1, 4)) != WHITE


def test_unusual_pixel_formats() -> None:
    ramp = np.linspace(0, 65535, 256).astype(np.uint16)
    grey = np.asarray(decode(saved(Image.fromarray(np.tile(ramp, (4, 1))), "PNG")))
    assert grey[0, :, 0].tolist() == [value >> 8 for value in ramp.tolist()]
    for mode in ("1", "L", "P"):
        assert close(decode(saved(Image.new("RGB", (8, 8), "white").convert(mode), "PNG")).getpixel((4, 4)), WHITE)
    assert close(decode(saved(halves().convert("CMYK"), "JPEG")).getpixel((8, 16)), RED, tolerance=30)
    assert decode(saved(halves().convert("L"), "JPEG")).mode == "RGB"


def test_the_first_frame_of_several() -> None:
    frames = [Image.new("RGB", (8, 8), RED), Image.new("RGB", (8, 8), BLUE)]
    for kind in ("GIF", "WEBP", "PNG"):
        animated = saved(frames[0], kind, save_all=True, append_images=frames[1:])
        assert close(decode(animated).getpixel((4, 4)), RED)


FOREIGN = {
    "empty": b"",
    "html": b"<!doctype html><title>404</title>",
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
    "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) (r) file\n",
    "pdf": b"%PDF-1.7\n",
    "tiff": saved(Image.new("RGB", (4, 4)), "TIFF"),
    "bmp": saved(Image.new("RGB", (4, 4)), "BMP"),
    "ico": saved(Image.new("RGB", (16, 16)), "ICO"),
    "riff": b"RIFF\x00\x00\x00\x00WAVEfmt ",
}


@pytest.mark.parametrize("name", FOREIGN)
def test_other_kinds_are_refused_whatever_they_call_themselves(name: str) -> None:
    assert sniff_media_type(FOREIGN[name]) is None
    with pytest.raises(InvalidInput, match=r"item 7: the bytes are not a picture of a known kind\. Send JPEG"):
        decode(FOREIGN[name])


def test_a_kind_behind_the_first_bytes_of_another_is_refused() -> None:
    for magic in (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF\x00\x00\x00\x00WEBP"):
        for name in ("eps", "svg", "tiff"):
            with pytest.raises(InvalidInput, match="item 7: the picture cannot be decoded"):
                decode(magic + FOREIGN[name])


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF"])
def test_a_truncated_picture_is_refused(kind: str) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    data = saved(noise, kind)
    for share in (0.1, 0.3, 0.5, 0.7, 0.9):
        with pytest.raises(InvalidInput, match="item 7"):
            decode(data[: int(len(data) * share)])


def test_mutated_pictures_are_decoded_or_refused() -> None:
    """Nothing but a picture or `InvalidInput` comes out, so a hostile file can never look like a fault of ours."""
    chance = random.Random(0)  # noqa: S311
    refused = 0
    for kind in ("JPEG", "PNG", "WEBP", "GIF"):
        original = saved(halves(), kind)
        for _ in range(75):
            data = bytearray(original)
            for _ in range(chance.randint(1, 8)):
                data[chance.randrange(len(data))] = chance.randrange(256)
            try:
                assert decode(bytes(data)).mode == "RGB"
            except InvalidInput:
                refused += 1
    assert 0 < refused < 300


def many_scans() -> bytes:
    data = saved(halves(512, 512), "JPEG", progressive=True)
    last = data[data.rfind(b"\xff\xda") : -2]
    return data[:-2] + last * (MAX_SCANS + 1) + b"\xff\xd9"


BOMBS: dict[str, Callable[[], bytes]] = {
    "pixels png": lambda: png(20_000, 20_000),
    "wide png": lambda: png(200_000, 200),
    "pixels gif": lambda: gif(60_000, 60_000, 1),
    "texts png": lambda: png(8, 8, *[chunk(b"zTXt", b"k\x00\x00" + zlib.compress(bytes(1_000_000)))] * 100),
    "long text png": lambda: png(8, 8, chunk(b"zTXt", b"k\x00\x00" + zlib.compress(bytes(50_000_000)))),
    "profile png": lambda: png(8, 8, chunk(b"iCCP", b"k\x00\x00" + zlib.compress(bytes(50_000_000)))),
    "scans jpeg": many_scans,
    "bytes": lambda: saved(halves(), "PNG") + bytes(10_000_000),
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused_at_once(name: str) -> None:
    data = BOMBS[name]()
    started = time.process_time()
    with pytest.raises(InvalidInput, match="item 7"):
        decode(data)
    assert time.process_time() - started < 1


def test_a_hundred_thousand_frames_cost_one() -> None:
    data = gif(8, 8, 100_000)
    started = time.process_time()
    assert decode(data).size == (8, 8)
    assert time.process_time() - started < 1


def test_refusing_bombs_takes_little_memory(tmp_path: Path) -> None:
    for name in BOMBS:
        (tmp_path / name).write_bytes(BOMBS[name]())
    script = """
import resource, sys
from pathlib import Path
from coldstart.encoders.media import decode_picture
from coldstart.errors import InvalidInput
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
bombs = [path.read_bytes() for path in Path(sys.argv[1]).iterdir()]
before = peak()
for bomb in bombs:
    try:
        decode_picture(bomb, subject="x")
    except InvalidInput:
        continue
    sys.exit("accepted")
print(peak() - before)
"""
    run = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)
    assert int(run.stdout) < 100  # MB


def test_limits_are_the_callers() -> None:
    data = saved(halves(), "PNG")
    with pytest.raises(InvalidInput, match=r"64 x 32 pixels, over the limit of 2000\. Send it smaller"):
        decode(data, max_pixels=2000)
    with pytest.raises(InvalidInput, match="bytes, over the limit of 50"):
        decode(data, max_bytes=50)


OFF = Fetcher()


def test_bytes_and_data_urls_are_read() -> None:
    data = saved(halves(), "PNG")
    assert read_picture(data, root=None, fetcher=OFF) == data
    encoded = base64.b64encode(data).decode()
    assert read_picture(f"data:image/png;base64,{encoded}", root=None, fetcher=OFF) == data
    assert read_picture(f"DATA:;BASE64,{encoded}", root=None, fetcher=OFF) == data
    for broken in ("data:image/png,abc", "data:image/png;base64", "data:;base64,@@@", "data:;base64,abc", "data:,é"):
        with pytest.raises(InvalidInput, match="base64"):
            read_picture(broken, root=None, fetcher=OFF)


def test_paths_are_read_inside_the_root_only(tmp_path: Path) -> None:
    root = tmp_path / "images"
    (root / "deep").mkdir(parents=True)
    (root / "deep" / "a.png").write_bytes(b"inside")
    (tmp_path / "secret.png").write_bytes(b"outside")
    (tmp_path / "images-too").mkdir()
    (tmp_path / "images-too" / "b.png").write_bytes(b"outside")
    (root / "link.png").symlink_to(tmp_path / "secret.png")
    (root / "loop.png").symlink_to(root / "loop.png")
    for good in ("deep/a.png", Path("deep/a.png"), "deep/../deep/a.png", str(root / "deep" / "a.png")):
        assert read_picture(good, root=root, fetcher=OFF) == b"inside"
    for bad in (
        "../secret.png",
        "deep/../../secret.png",
        "../images-too/b.png",
        str(tmp_path / "secret.png"),
        "/etc/passwd",
        "/dev/zero",
        "link.png",
        "loop.png",
        "deep",
        "absent.png",
        "nul\x00.png",
        "a" * 5000,
        "",
        "file:///etc/passwd",
        "ftp://host/a.png",
    ):
        with pytest.raises(InvalidInput):
            read_picture(bad, root=root, fetcher=OFF)
    with pytest.raises(InvalidInput, match="over 3 bytes"):
        read_picture("deep/a.png", root=root, fetcher=OFF, max_bytes=3)
    with pytest.raises(InvalidInput, match="not read from paths"):
        read_picture("deep/a.png", root=None, fetcher=OFF)


def test_addresses_go_to_the_fetcher() -> None:
    with pytest.raises(InvalidInput, match="COLDSTART_IMAGE_HOSTS"):
        read_picture("HTTPS://host.example/a.png", root=None, fetcher=OFF)
