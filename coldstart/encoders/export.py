"""Exports an encoder to one ONNX file, in fp32: ``python -m coldstart.encoders.export text|image NAME FILE``."""

import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from coldstart.encoders.onnx import OnnxImageEncoder, OnnxTextEncoder
from coldstart.encoders.publishing import label, publish
from coldstart.encoders.samples import COMPARED_ON, sample_pictures, sample_texts
from coldstart.encoders.tracing import DYNAMIC, trace
from coldstart.errors import InvalidInput
from coldstart.vectors import Matrix

INPUTS: tuple[str, ...] = ("input_ids", "attention_mask", "token_type_ids")


class _Sentences(nn.Module):
    """A whole sentence-transformers pipeline, pooling included, with tensors in and a tensor out."""

    def __init__(self, pipeline: nn.Module) -> None:
        super().__init__()
        self.pipeline = pipeline

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None) -> Tensor:
        features = {"input_ids": input_ids, "attention_mask": attention_mask}
        if token_type_ids is not None:
            features["token_type_ids"] = token_type_ids
        embedding: Tensor = self.pipeline(features)["sentence_embedding"]
        return embedding


class _Features(nn.Module):
    """A CNN with a known name for its input, and flat features."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: Tensor) -> Tensor:
        features: Tensor = self.model(pixels)
        return features.flatten(1)


@dataclass(frozen=True)
class Exportable:
    """What the export of an encoder takes.

    Attributes
    ----------
    module, inputs, axes
        What is traced, on what, and which axes of the inputs are free.
    card : dict
        What the file says of itself; ``fingerprint`` is the model's.
    embed : callable
        Embeddings [b, d] of samples by the encoder in a file.
    expected : float32 [b, d]
        The same by torch.
    """

    module: nn.Module
    inputs: dict[str, Tensor]
    axes: dict[int, object]
    card: dict[str, str]
    embed: Callable[[Path], Matrix]
    expected: Matrix


def exportable_text(name: str) -> Exportable:
    """A sentence-transformers model with its tokeniser; `InvalidInput` where it cannot be exported."""
    from coldstart.encoders.text import SentenceEncoder  # here, since each kind's libraries take seconds to import

    encoder = SentenceEncoder(name)
    model = encoder.module.cpu()
    texts = sample_texts(COMPARED_ON)
    features = model.preprocess(texts[-3:])
    return Exportable(
        module=_Sentences(model),
        inputs={key: features[key] for key in INPUTS if key in features},
        axes={0: DYNAMIC, 1: DYNAMIC},
        card={
            "fingerprint": encoder.fingerprint,
            "prompt": (model.prompts or {}).get(model.default_prompt_name or "") or "",
            "tokenizer": _tokenizer(model.tokenizer, model.max_seq_length, name),
        },
        embed=lambda file: OnnxTextEncoder(file).encode(texts),
        expected=encoder.encode(texts),
    )


def exportable_image(name: str) -> Exportable:
    """A CNN without its classifier; `InvalidInput` where it cannot be exported."""
    from coldstart.encoders.image import CnnEncoder

    encoder = CnnEncoder(name)
    pictures, pixels = sample_pictures(COMPARED_ON), encoder.pixels
    return Exportable(
        module=_Features(encoder.module.cpu()),
        inputs={"pixels": torch.from_numpy(pixels.array(pictures[:3]))},
        axes={0: DYNAMIC},
        card={"fingerprint": encoder.fingerprint, "pixels": json.dumps(asdict(pixels))},
        embed=lambda file: OnnxImageEncoder(file).encode(pictures),
        expected=encoder.encode(pictures),
    )


def export(encoder: Exportable, path: Path) -> None:
    """Write the file in fp32, once its embeddings were found to be like torch's; see `publish`."""
    with TemporaryDirectory(prefix=".", dir=path.parent) as folder:
        file = Path(folder) / "fp32.onnx"
        trace(encoder.module, encoder.inputs, dict.fromkeys(encoder.inputs, encoder.axes), ["vectors"], file)
        label(file, {**encoder.card, "precision": "fp32"})
        publish(
            file, path, found=encoder.embed(file), expected=encoder.expected, precision="fp32",
            fingerprint=encoder.card["fingerprint"], whose="torch's",
        )  # fmt: skip


def _tokenizer(tokenizer: object, longest: int | None, name: str) -> str:
    """The tokeniser with truncation and padding set, as JSON."""
    from transformers import PreTrainedTokenizerFast

    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise InvalidInput("the model has no fast tokeniser", subject=name, remedy="Choose the torch runtime")
    copy = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    copy.enable_truncation(longest or tokenizer.model_max_length)
    copy.enable_padding(
        direction=tokenizer.padding_side, pad_id=tokenizer.pad_token_id, pad_token=str(tokenizer.pad_token)
    )
    text: str = copy.to_str()
    return text


if __name__ == "__main__":
    kind, model_name, target = sys.argv[1:]
    export({"text": exportable_text, "image": exportable_image}[kind](model_name), Path(target))
