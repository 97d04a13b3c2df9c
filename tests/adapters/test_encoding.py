from pathlib import Path

import numpy as np
import pytest

from adapters.artifact import EncoderName
from adapters.encoding import Encoders
from coldstart.encoders import DEFAULT_IMAGE_MODEL, DEFAULT_TEXT_MODEL
from coldstart.encoders.precision import precision_of
from coldstart.settings import load_settings
from tests.toyshop import Shop, make_shop


@pytest.fixture(scope="module")
def encoders(cache: Path) -> Encoders:
    return Encoders.open(load_settings(cache_dir=cache, environ={}))


@pytest.fixture(scope="module")
def shop(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return make_shop(tmp_path_factory.mktemp("shop"), cache=cache)


def test_names_are_those_that_an_artifact_keeps(encoders: Encoders) -> None:
    assert encoders.names == {
        "text": EncoderName(DEFAULT_TEXT_MODEL, encoders.text.fingerprint),
        "image": EncoderName(DEFAULT_IMAGE_MODEL, encoders.image.fingerprint),
    }


@pytest.mark.parametrize(("asked", "got"), [("auto", "fp32"), ("int8", "int8")])
def test_training_encodes_in_fp32_unless_told(cache: Path, asked: str, got: str) -> None:
    opened = Encoders.open(load_settings(cache_dir=cache, encoder_precision=asked, environ={}))
    assert precision_of(opened.text.fingerprint) == precision_of(opened.image.fingerprint) == got


def test_a_catalogue_becomes_its_embeddings(encoders: Encoders, shop: Shop) -> None:
    embedded = encoders.embed(shop.dataset)
    n = len(shop.dataset.items)
    assert embedded.contents.text.shape == (n, 384) and embedded.contents.image.shape == (n, 1280)
    assert embedded.contents.present.all() and not embedded.picture_errors


def test_a_modality_that_is_left_out_is_masked_at_its_full_width(encoders: Encoders, shop: Shop) -> None:
    contents = encoders.embed(shop.dataset, modalities=("text",)).contents
    assert contents.image.shape[1] == 1280 and not contents.image.any()
    np.testing.assert_array_equal(contents.present.all(axis=0), [True, False])
