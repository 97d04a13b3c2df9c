"""An exported network takes its place once it says what it is and was found to answer as it should."""

import os
from collections.abc import Mapping
from pathlib import Path

import onnx

from coldstart.encoders.precision import LEAST_COSINE, Precision
from coldstart.errors import InvalidInput
from coldstart.vectors import Matrix, normalise


def label(path: Path, card: Mapping[str, str]) -> None:
    """Add to what a file says of itself."""
    model = onnx.load(path)
    onnx.helper.set_model_props(model, {**{each.key: each.value for each in model.metadata_props}, **card})
    onnx.save(model, path)


def cosines(found: Matrix, expected: Matrix) -> tuple[float, float]:
    """The mean and the least cosine of rows [n, d], those without a direction excepted."""
    each = (normalise(found) * normalise(expected)).sum(axis=1)[expected.any(axis=1)]
    return float(each.mean()), float(each.min())


def publish(
    file: Path, path: Path, *, found: Matrix, expected: Matrix, precision: Precision, fingerprint: str, whose: str
) -> None:
    """Bring a labelled file to its path, whole and synchronised, if its embeddings [n, d] are near those expected.

    Where they are not, a file ``.refused`` beside the path says so, and `InvalidInput` is raised.
    """
    mean, least = cosines(found, expected)
    if not mean >= LEAST_COSINE[precision]:
        what = f"its embeddings in {precision} differ from {whose}: mean cosine {mean:.4f}"
        what = f"{what}, which should be {LEAST_COSINE[precision]} at least"
        path.with_suffix(".refused").write_text(what)
        raise InvalidInput(what, subject=fingerprint, remedy="Choose another precision, or the torch runtime")
    label(file, {"cosine_mean": f"{mean:.6f}", "cosine_min": f"{least:.6f}"})
    with file.open("rb") as written:
        os.fsync(written.fileno())
    file.replace(path)
