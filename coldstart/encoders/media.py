"""Bytes that claim to be a picture: where they come from, what they are, and a checked RGB picture of bounded size."""

import base64
import binascii
import contextlib
import io
from pathlib import Path

from PIL import Image, ImageOps

from coldstart.encoders.decoding import MAX_MEMORY, memory_needed, shrunk
from coldstart.encoders.fetch import Fetcher
from coldstart.errors import InvalidInput

MAX_PIXELS = 25_000_000
MAX_BYTES = 10_000_000
SIDE = 256
"""Pictures are decoded with at least this many pixels a side where they have them: CNNs look at 224 to 256."""
MAX_SCANS = 64
"""A progressive JPEG has about 10 scans; each costs a pass over all pixels, so a small file of many is a CPU bomb."""
FORMATS = {"image/jpeg": "JPEG", "image/png": "PNG", "image/webp": "WEBP", "image/gif": "GIF"}


def sniff_media_type(data: bytes) -> str | None:
    """The media type by the first bytes, whatever the name or the header said; ``None`` for what is not accepted.

    >>> sniff_media_type(b"\\xff\\xd8\\xff\\xe0"), sniff_media_type(b"%!PS-Adobe-3.0 EPSF-3.0")
    ('image/jpeg', None)
    """
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return None


def decode_picture(
    data: bytes, *, subject: str, max_pixels: int = MAX_PIXELS, max_bytes: int = MAX_BYTES, side: int = SIDE
) -> Image.Image:
    """An upright RGB picture at most ``2 * side`` wide and high, alpha laid on white, the first frame of several.

    Large pictures are decoded smaller, where the format can, never below ``side``.

    Raises
    ------
    InvalidInput
        Naming ``subject``, for bytes that are too many, of another kind, broken, of too many pixels, or such that
        decoding them would take too much memory.
    """
    if len(data) > max_bytes:
        raise _refusal(f"the picture has {len(data)} bytes, over the limit of {max_bytes}", subject, "Send it smaller")
    media_type = sniff_media_type(data)
    if media_type is None:
        raise _refusal("the bytes are not a picture of a known kind", subject, "Send JPEG, PNG, WebP or GIF")
    if media_type == "image/jpeg" and data.count(b"\xff\xda") > MAX_SCANS:
        raise _refusal(f"the JPEG has more than {MAX_SCANS} scans", subject, "Save it as a plain JPEG")
    try:
        with Image.open(io.BytesIO(data), formats=[FORMATS[media_type]]) as opened:
            if opened.width * opened.height > max_pixels:
                what = f"the picture has {opened.width} x {opened.height} pixels, over the limit of {max_pixels}"
                raise _refusal(what, subject, "Send it smaller")
            opened.draft(None, (side, side))
            needed = memory_needed(opened, data, media_type=media_type, most=2 * side)
            if needed > MAX_MEMORY:
                mb = f"{needed // 1_000_000} MB to be decoded, over the limit of {MAX_MEMORY // 1_000_000} MB"
                raise _refusal(f"the picture takes {mb}", subject, "Send it smaller, or as a plain JPEG")
            opened.load()
            picture = shrunk(opened, 2 * side)
    except InvalidInput:
        raise
    except Exception as error:  # decoders meet hostile bytes with every kind of error
        raise _refusal(f"the picture cannot be decoded: {error}", subject, "Save it again, whole") from None
    with contextlib.suppress(Exception):  # an unreadable EXIF block says nothing against the pixels
        picture = ImageOps.exif_transpose(picture)
    return _on_white(picture)


def read_picture(
    source: str | bytes | Path, *, root: Path | None, fetcher: Fetcher, max_bytes: int = MAX_BYTES
) -> bytes:
    """The bytes behind whatever names a picture: bytes, a path inside ``root``, a ``data:`` URL or an http(s) address.

    Raises `InvalidInput` for anything else, for paths out of ``root`` (all paths, where it is ``None``) and for files
    over ``max_bytes``; for addresses see `Fetcher.fetch`.
    """
    if isinstance(source, bytes):
        return source
    if isinstance(source, str):
        scheme = source.partition(":")[0].lower()
        if scheme == "data":
            return _from_data_url(source)
        if scheme in ("http", "https"):
            return fetcher.fetch(source)
        if "://" in source:
            raise _refusal(f"pictures are not read from {scheme[:20]}://", source[:200], "Give an http(s) address")
    return _from_file(Path(source), root, max_bytes)


def _refusal(what: str, subject: str, remedy: str) -> InvalidInput:
    return InvalidInput(what, subject=subject, remedy=remedy)


def _on_white(picture: Image.Image) -> Image.Image:
    if picture.mode == "RGB":
        return picture
    white = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(white, picture).convert("RGB")


def _from_data_url(source: str) -> bytes:
    header, comma, body = source.partition(",")
    if not comma or not header.lower().endswith(";base64"):
        raise _refusal("the data: URL is not base64", source[:40], "Write it as data:image/jpeg;base64,...")
    try:
        return base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError) as error:
        raise _refusal(f"the data: URL is not base64: {error}", source[:40], "Encode the whole file") from None


def _from_file(path: Path, root: Path | None, max_bytes: int) -> bytes:
    subject = str(path)[:200]
    if root is None:
        raise _refusal("pictures are not read from paths here", subject, "Send the picture itself or its address")
    try:
        base = root.resolve()
        full = (base / path).resolve()
        if not full.is_relative_to(base):
            raise _refusal("the path leads out of the picture folder", subject, f"Keep pictures inside {root}")
        if not full.is_file():
            raise _refusal("there is no such file", subject, f"Paths are relative to {root}")
        if full.stat().st_size > max_bytes:
            raise _refusal(f"the file is over {max_bytes} bytes", subject, "Make the picture smaller")
        return full.read_bytes()
    except (OSError, ValueError, RuntimeError) as error:  # too long a name, NUL in it, a loop of links
        raise _refusal(f"the file cannot be read: {error}", subject, "Check the path and its permissions") from None
