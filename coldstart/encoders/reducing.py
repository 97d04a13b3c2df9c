"""An export in fewer bits, of one in fp32: ``python -m coldstart.encoders.reducing text|image SOURCE fp16|int8 FILE``.

Needs no torch, which takes most of the time of an export.
"""

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from coldstart.encoders.onnx import Kind, OnnxImageEncoder, OnnxTextEncoder, open_exported
from coldstart.encoders.pixels import Pixels
from coldstart.encoders.precision import Precision, fingerprint_in
from coldstart.encoders.publishing import label, publish
from coldstart.encoders.quantising import to_dynamic_int8, to_float16, to_static_int8
from coldstart.encoders.samples import CALIBRATED_ON, COMPARED_ON, sample_pictures, sample_texts
from coldstart.vectors import Matrix


def reduce(kind: Kind, source: Path, precision: Precision, path: Path) -> None:
    """Write the file, once its embeddings were found to be like those of the source; see `publish`."""
    _, card = open_exported(source)
    with TemporaryDirectory(prefix=".", dir=path.parent) as folder:
        file = Path(folder) / f"{precision}.onnx"
        if precision == "fp16":
            to_float16(source, file)
        elif kind == "text":
            to_dynamic_int8(source, file)
        else:
            pixels = Pixels(**json.loads(card["pixels"]))
            to_static_int8(source, file, ({"pixels": pixels.array([each])} for each in sample_pictures(CALIBRATED_ON)))
        fingerprint = fingerprint_in(precision, card["fingerprint"])
        label(file, {**card, "precision": precision, "fingerprint": fingerprint})
        found, expected = (_embeddings(kind, each) for each in (file, source))
        publish(
            file, path, found=found, expected=expected, precision=precision, fingerprint=fingerprint,
            whose="those in fp32",
        )  # fmt: skip


def _embeddings(kind: Kind, file: Path) -> Matrix:
    if kind == "text":
        return OnnxTextEncoder(file).encode(sample_texts(COMPARED_ON))
    return OnnxImageEncoder(file).encode(sample_pictures(COMPARED_ON))


if __name__ == "__main__":
    which, whole, wanted, target = sys.argv[1:]
    reduce(which, Path(whole), wanted, Path(target))  # type: ignore[arg-type]
