"""Fingerprints in fewer bits, and whose embeddings may stand beside whose."""

import pytest

from coldstart.encoders.precision import Precision, compatible, fingerprint_in, model_of, precision_of

MODEL = "timm:net+int8-in-its-name@sha256:0a1b"


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_every_precision_of_a_model_is_its_own_and_goes_with_the_others(precision: Precision) -> None:
    fingerprint = fingerprint_in(precision, MODEL)
    assert precision_of(fingerprint) == precision and model_of(fingerprint) == MODEL
    assert (fingerprint == MODEL) == (precision == "fp32")
    for other in ("fp32", "fp16", "int8"):
        assert compatible(fingerprint, fingerprint_in(other, MODEL))


@pytest.mark.parametrize("other", ["timm:net@sha256:0a1b", "timm:net+int8-in-its-name@sha256:0a1c", "words"])
def test_another_model_goes_with_none_of_them(other: str) -> None:
    assert not compatible(MODEL, other) and not compatible(fingerprint_in("int8", MODEL), fingerprint_in("int8", other))


def test_an_earlier_recipe_of_int8_is_another_fingerprint_of_the_same_model() -> None:
    now = fingerprint_in("int8", MODEL)
    assert now != f"{MODEL}+int8.0" and compatible(now, f"{MODEL}+int8.0")
