"""Pictures to the array that a CNN was trained on, the same for every runtime."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image


@dataclass(frozen=True, slots=True)
class Pixels:
    """How a CNN wants its input: ``side`` x ``side`` pixels in [0, 1], minus ``mean``, over ``std``, per channel.

    The whole picture is squeezed into the square: a crop would lose the ends of a tall product or poster.
    """

    side: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def array(self, batch: Sequence[Image.Image]) -> NDArray[np.float32]:
        """RGB pictures as float32 [b, 3, side, side]."""
        size = (self.side, self.side)
        squeezed = [np.asarray(picture.resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0)) for picture in batch]
        stacked = np.stack(squeezed).astype(np.float32)
        stacked -= np.float32(255) * np.asarray(self.mean, dtype=np.float32)
        stacked /= np.float32(255) * np.asarray(self.std, dtype=np.float32)
        return np.ascontiguousarray(stacked.transpose(0, 3, 1, 2))
