"""The encoders of an adapter: in another precision than it was trained in, and never of another model."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from adapters.artifact import EncoderName, load_artifact
from adapters.serving import ServedAdapter
from coldstart.encoders.precision import Precision, precision_of
from coldstart.errors import Conflict
from coldstart.settings import Settings
from coldstart.telemetry import Telemetry
from tests.toyshop import Shop, make_shop
from workers.models import models_of

pytest.importorskip("torch", reason="the encoders' export needs coldstart-service[train]")


@pytest.fixture(scope="module")
def shop(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return make_shop(tmp_path_factory.mktemp("shop"), cache=cache)


@pytest.mark.parametrize(("asked", "got"), [("auto", "int8"), ("int8", "int8"), ("fp32", "fp32")])
def test_an_adapter_trained_in_fp32_is_served_in_the_precision_that_is_asked_for(
    shop: Shop, cache: Path, asked: Precision, got: Precision
) -> None:
    adapter = ServedAdapter.load(shop.artifact)
    assert precision_of(adapter.text_fingerprint) == precision_of(adapter.image_fingerprint) == "fp32"
    models = models_of(adapter, Settings(cache_dir=cache, encoder_precision=asked))
    assert precision_of(models.text.get().fingerprint) == precision_of(models.image.get().fingerprint) == got
    assert models.embed_sentence("green tea").shape == (384,)


@pytest.mark.parametrize(("memory_mb", "encoded"), [(1, 1), (0, 3)])
def test_what_was_encoded_for_an_item_is_remembered_for_a_sentence(
    shop: Shop, cache: Path, memory_mb: int, encoded: int
) -> None:
    telemetry = Telemetry()
    settings = Settings(cache_dir=cache, encoder_memory_mb=memory_mb)
    models = models_of(ServedAdapter.load(shop.artifact), settings, telemetry)
    item = models.text.get().encode(["green tea"])[0]
    for _ in range(2):
        np.testing.assert_array_equal(models.embed_sentence("green tea"), item)

    def contents(source: str) -> float | None:
        labels = {"modality": "text", "source": source}
        return telemetry.registry.get_sample_value("coldstart_contents_total", labels)

    assert (contents("encoded"), contents("remembered")) == (encoded, 3 - encoded)


@pytest.mark.parametrize("precision", ["int8", "fp32"])
def test_another_model_is_refused_in_any_precision(shop: Shop, cache: Path, precision: Precision) -> None:
    artifact = load_artifact(shop.artifact)
    other = EncoderName(artifact.text.model, artifact.text.fingerprint[:-1] + "x")
    models = models_of(
        ServedAdapter(replace(artifact, text=other)), Settings(cache_dir=cache, encoder_precision=precision)
    )
    with pytest.raises(Conflict, match="the adapter was trained with"):
        models.text.get()
    assert models.image.get().dim == 1280
