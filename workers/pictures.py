"""Reads the pictures of a batch. A picture that cannot be used is a remark on its item, never a failure."""

import logging
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from PIL.Image import Image

from coldstart.catalog import Claim
from coldstart.encoders.fetch import Fetcher
from coldstart.encoders.media import decode_picture, read_picture
from coldstart.errors import ColdstartError

_log = logging.getLogger(__name__)

# Addresses are waited for together, or the slowest hosts would add up to more than the batch's lease.
FETCHES_AT_ONCE = 8

Picture = tuple[Image | None, str | None]
"""The picture, or else why there is none; both ``None`` where the item has none."""


class PictureReader:
    """Turns what an item carries or points at into a checked picture.

    Parameters
    ----------
    fetcher : Fetcher
        For pictures given by address. Paths are not read: an item comes from outside.
    max_bytes, max_pixels : int
        The largest picture taken.
    """

    def __init__(self, fetcher: Fetcher, *, max_bytes: int, max_pixels: int) -> None:
        self._fetcher, self._max_bytes, self._max_pixels = fetcher, max_bytes, max_pixels
        # Fetched together, decoded one by one: a picture takes up to 90 MB on the way to its 512 x 512.
        self._decoding = threading.Lock()

    def read_all(self, claims: Sequence[Claim]) -> list[Picture]:
        """Pictures in the order of the claims."""
        if sum(_is_remote(claim) for claim in claims) < 2:
            return [self._read(claim) for claim in claims]
        with ThreadPoolExecutor(FETCHES_AT_ONCE, thread_name_prefix="coldstart-picture") as pool:
            return list(pool.map(self._read, claims))

    def _read(self, claim: Claim) -> Picture:
        item = claim.record.item
        source = item.image if claim.picture is None else claim.picture
        if source is None:
            return None, None
        try:
            data = read_picture(source, root=None, fetcher=self._fetcher, max_bytes=self._max_bytes)
            limits = {"max_pixels": self._max_pixels, "max_bytes": self._max_bytes}
            with self._decoding:
                picture = decode_picture(data, subject=item.item_id, **limits)
        except ColdstartError as error:
            return None, str(error)
        except Exception as error:  # hostile bytes and hosts find the paths that nobody foresaw
            _log.exception("picture not read", extra={"item_id": item.item_id})
            return None, f"{type(error).__name__}: {error}"
        return picture, None


def _is_remote(claim: Claim) -> bool:
    image = claim.record.item.image
    return claim.picture is None and image is not None and image.startswith("http")
