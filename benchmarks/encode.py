"""How fast the encoders are in fewer bits, how near they stay to torch, and what of the lists' accuracy it costs.

``python -m benchmarks.encode [--quick]`` encodes descriptions of about 60 tokens and pictures of 224 x 224 pixels, on
one thread, with torch and with ONNX Runtime in each precision, in batches of 1, 8 and 32, turn by turn. It prints
items per second of processor time, the speed beside torch's, and the cosine to torch's embeddings.

``--accuracy DATA --split NAME`` trains a backbone and adapters on a data set, and judges its cold items encoded in fp32
and in int8, by an adapter that was trained on either. Ends with one JSON line.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import command
from coldstart.encoders import open_image_encoder, open_text_encoder
from coldstart.encoders.precision import Precision
from coldstart.encoders.samples import sample_pictures, sample_texts
from coldstart.settings import Settings
from coldstart.vectors import Matrix, normalise

SEED = 2  # the export's own samples have others
TORCH = "torch fp32"
PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "int8")
BATCHES = (1, 8, 32)
WORDS = 43  # about 60 tokens


@dataclass(frozen=True)
class Row:
    """One encoder: items per second of processor time by size of batch, and its cosine to torch's embeddings."""

    kind: str
    encoder: str
    per_s: dict[int, float]
    speedup: dict[int, float]
    cosine: float
    least: float


def measure(kind: str, encoders: dict[str, Any], contents: Sequence[Any], *, rounds: int) -> list[Row]:
    """Every encoder on the same contents; of the rounds the median counts, since other work comes and goes."""
    vectors: dict[str, Matrix] = {name: normalise(encoder.encode(contents)) for name, encoder in encoders.items()}
    seconds: dict[tuple[str, int], list[float]] = {(name, batch): [] for name in encoders for batch in BATCHES}
    for _ in range(rounds):
        for (name, batch), taken in seconds.items():
            taken.append(_seconds_of_one(encoders[name], contents, batch))
    median = {key: float(np.median(taken)) for key, taken in seconds.items()}
    rows = []
    for name in encoders:
        cosines = (vectors[name] * vectors[TORCH]).sum(axis=1)
        rows.append(
            Row(
                kind, name,
                {batch: round(1 / median[name, batch], 1) for batch in BATCHES},
                {batch: round(median[TORCH, batch] / median[name, batch], 2) for batch in BATCHES},
                round(float(cosines.mean()), 5), round(float(cosines.min()), 5),
            )
        )  # fmt: skip
    return rows


def _seconds_of_one(encoder: Any, contents: Sequence[Any], batch: int) -> float:
    """Processor seconds of this process, in which one thread encodes, for one of the contents."""
    start = time.process_time()
    for first in range(0, len(contents), batch):
        encoder.encode(contents[first : first + batch])
    return (time.process_time() - start) / len(contents)


def main() -> None:
    """Run and print."""
    parser = command.parser(__doc__, quick="fewer contents and rounds")
    parser.add_argument("--accuracy", type=Path, metavar="DATA", help="data set on which to judge lists, too")
    parser.add_argument("--split", help="its published split")
    parser.add_argument("--part", choices=("val", "test"), default="test", help="what is judged (test)")
    options = parser.parse_args()
    count, rounds = (32, 3) if options.quick else (64, 9)
    cache = Settings().cache
    texts = [" ".join(each.split()[:WORDS]) for each in sample_texts(SEED, count=count)[:count]]
    pictures = [each.resize((224, 224)) for each in sample_pictures(SEED, count=count)]
    text = {TORCH: open_text_encoder(runtime="torch")}
    text |= {f"ONNX {each}": open_text_encoder(precision=each, cache=cache) for each in PRECISIONS}
    image = {TORCH: open_image_encoder(runtime="torch")}
    image |= {f"ONNX {each}": open_image_encoder(precision=each, cache=cache) for each in PRECISIONS}
    rows = [*measure("text", text, texts, rounds=rounds), *measure("image", image, pictures, rounds=rounds)]
    tell(rows)
    found: dict[str, Any] = {}
    for kind in ("text", "image"):
        (row,) = (row for row in rows if row.kind == kind and row.encoder == "ONNX int8")
        found |= {f"{kind}_int8_speedup": row.speedup[1], f"{kind}_cosine": row.cosine}
    found["rows"] = [asdict(row) for row in rows]
    if options.accuracy is not None:
        from benchmarks.encode_accuracy import judge

        found["accuracy"] = judge(options.accuracy, options.split, part=options.part)
    print(json.dumps(found))


def tell(rows: Sequence[Row]) -> None:
    """A table."""
    head = "".join(f"{f'/s at {batch}':>10}{'x torch':>9}" for batch in BATCHES)
    print(f"{'':<20}{head}{'cosine':>10}{'least':>9}")
    for row in rows:
        cells = "".join(f"{row.per_s[batch]:>10.1f}{row.speedup[batch]:>9.2f}" for batch in BATCHES)
        print(f"{row.kind + ', ' + row.encoder:<20}{cells}{row.cosine:>10.5f}{row.least:>9.5f}")


if __name__ == "__main__":
    main()
