"""Exports an encoder to one ONNX file: ``python -m coldstart.encoders.export text|image NAME FILE``."""

import json
import os
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tokenizers import Tokenizer
from torch import Tensor, nn

from coldstart.encoders.onnx import OnnxImageEncoder, OnnxTextEncoder
from coldstart.errors import InvalidInput
from coldstart.vectors import Matrix, normalise

DYNAMIC = torch.export.Dim.DYNAMIC
INPUTS: tuple[str, ...] = ("input_ids", "attention_mask", "token_type_ids")
LEAST_COSINE = 0.9999


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


def export_text(name: str, path: Path) -> None:
    """Write a sentence-transformers model with its tokeniser; `InvalidInput` where either cannot be exported."""
    from coldstart.encoders.text import SentenceEncoder  # here, since each kind's libraries take seconds to import

    encoder = SentenceEncoder(name)
    model = encoder.module.cpu()
    texts = ["a red shoe for running", "Blue [SEP]", "A film about a man and his dog. " * 30]
    features = model.preprocess(texts)
    inputs: dict[str, Tensor] = {key: features[key] for key in INPUTS if key in features}
    card = {
        "fingerprint": encoder.fingerprint,
        "prompt": (model.prompts or {}).get(model.default_prompt_name or "") or "",
        "tokenizer": _tokenizer(model.tokenizer, model.max_seq_length, name),
    }
    with _written(_Sentences(model), inputs, {0: DYNAMIC, 1: DYNAMIC}, card, path) as temporary:
        _require_equal(OnnxTextEncoder(temporary).encode(texts), encoder.encode(texts), name)


def export_image(name: str, path: Path) -> None:
    """Write a CNN without its classifier; `InvalidInput` where it cannot be exported."""
    from coldstart.encoders.image import CnnEncoder

    encoder = CnnEncoder(name)
    noise = np.random.default_rng(0).integers(0, 256, (3, 300, 200, 3), dtype=np.uint8)
    pictures = [Image.fromarray(each) for each in noise]
    expected = encoder.encode(pictures)
    inputs = {"pixels": torch.from_numpy(encoder.pixels.array(pictures))}
    card = {"fingerprint": encoder.fingerprint, "pixels": json.dumps(asdict(encoder.pixels))}
    with _written(_Features(encoder.module.cpu()), inputs, {0: DYNAMIC}, card, path) as temporary:
        _require_equal(OnnxImageEncoder(temporary).encode(pictures), expected, name)


@contextmanager
def _written(
    module: nn.Module, inputs: dict[str, Tensor], axes: dict[int, object], card: dict[str, str], path: Path
) -> Iterator[Path]:
    """A file beside ``path`` that takes its name, whole and synchronised, once the block has found it good."""
    program = torch.onnx.export(
        module.eval(),
        kwargs=inputs,
        dynamic_shapes=dict.fromkeys(inputs, axes),
        output_names=["vectors"],
        dynamo=True,
        verbose=False,
    )
    assert program is not None  # noqa: S101  # it is only for the old exporter
    program.model.metadata_props.update(card)
    temporary = path.with_name(f".{uuid.uuid4().hex}.onnx")
    try:
        program.save(temporary, external_data=False)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


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


def _require_equal(exported: Matrix, expected: Matrix, name: str) -> None:
    cosine = float((normalise(exported) * normalise(expected)).sum(axis=1).min())
    if not cosine >= LEAST_COSINE:
        what = f"the exported model differs from torch's: cosine {cosine:.6f}"
        raise InvalidInput(what, subject=name, remedy="Choose the torch runtime")


if __name__ == "__main__":
    kind, model_name, target = sys.argv[1:]
    {"text": export_text, "image": export_image}[kind](model_name, Path(target))
