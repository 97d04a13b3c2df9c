"""What it costs to have the encoders' networks on a server: here, over HTTP and over gRPC, on the same machine.

``python -m benchmarks.remote_encoders [--quick]`` starts a Triton on the default encoders, each on one thread of the
CPU as in this process, and encodes texts of some 60 tokens and pictures of 224 px, alone and eight at a time, taking
turns. So the ratios are what the protocol, the copies and the second process add; a GPU is not in it. Then as many
threads as a service's and its workers' ask at once, and the server's own count tells how many requests it encoded
together. Ends with one JSON line.
"""

import json
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import perf_counter
from typing import Any

import httpx
import numpy as np
from PIL import Image

from benchmarks import command
from benchmarks.triton import Triton, triton_server
from benchmarks.ttr import sentence
from coldstart.encoders import DEFAULT_IMAGE_MODEL, DEFAULT_TEXT_MODEL, open_image_encoder, open_text_encoder
from coldstart.encoders.kserve import Server
from coldstart.encoders.onnx import exported
from coldstart.encoders.triton import Serving, write_model
from coldstart.settings import Settings
from coldstart.vectors import Matrix, normalise

BATCHES = 1, 8
CROWD = 8
Encode = Callable[[Sequence[Any]], Matrix]


def main() -> None:
    """Run and print."""
    options = command.parser(__doc__, quick="fewer rounds").parse_args()
    rounds = 20 if options.quick else 100
    cache = Settings().cache
    with tempfile.TemporaryDirectory(prefix="coldstart-models-") as folder:
        serving = Serving(device="cpu")
        write_model(Path(folder), "coldstart-text", exported("text", DEFAULT_TEXT_MODEL, cache), serving)
        write_model(Path(folder), "coldstart-image", exported("image", DEFAULT_IMAGE_MODEL, cache), serving)
        with triton_server(Path(folder)) as triton:
            report(triton, cache, rounds)


def report(triton: Triton, cache: Path, rounds: int) -> None:
    """Measure, print a table, then one line of JSON."""
    over = {
        name: Server(url, "coldstart-text", "coldstart-image", timeout_s=60)
        for name, url in (("http", triton.http_url), ("grpc", triton.grpc_url))
    }
    places: dict[str, Server | None] = {"here": None, **over}
    rng = np.random.default_rng(0)
    texts = [sentence(rng, 55) for _ in range(max(BATCHES))]
    pictures = [Image.fromarray(rng.integers(0, 256, (224, 224, 3), dtype=np.uint8)) for _ in range(max(BATCHES))]
    kinds: dict[str, tuple[dict[str, Encode], Sequence[Any]]] = {
        "text": (
            {name: open_text_encoder(precision="fp32", cache=cache, server=at).encode for name, at in places.items()},
            texts,
        ),
        "image": (
            {name: open_image_encoder(precision="fp32", cache=cache, server=at).encode for name, at in places.items()},
            pictures,
        ),
    }
    figures: dict[str, float | int] = {}
    print(f"{'milliseconds an item, medians':<32}{'here':>8}{'http':>8}{'grpc':>8}{'ratios':>14}")
    for kind, (encoders, contents) in kinds.items():
        for size in BATCHES:
            batch = contents[:size]
            ms = {name: each / size for name, each in medians(encoders, batch, rounds).items()}
            ratios = {name: ms[name] / ms["here"] for name in over}
            figures |= {f"{kind}_{size}_here_ms": round(ms["here"], 2)}
            figures |= {f"{kind}_{size}_{name}_ratio": round(ratio, 2) for name, ratio in ratios.items()}
            told = "".join(f"{each:8.2f}" for each in ms.values()) + "".join(f"{each:7.2f}" for each in ratios.values())
            print(f"{kind}, {size} at a time".ljust(32) + told)
        vectors = {name: normalise(encode(contents)) for name, encode in encoders.items()}
        figures[f"{kind}_least_cosine"] = round(
            min(float((vectors["here"] * vectors[n]).sum(1).min()) for n in over), 6
        )
    figures["requests_encoded_together"] = together(triton, over["grpc"], cache, texts, rounds)
    print(f"{CROWD} threads: {figures['requests_encoded_together']} requests encoded together, in the mean")
    print(json.dumps(figures))


def medians(encoders: dict[str, Encode], batch: Sequence[Any], rounds: int) -> dict[str, float]:
    """Milliseconds of a call, taking turns, so that whatever else the machine does is everybody's."""
    times: dict[str, list[float]] = {name: [] for name in encoders}
    for _ in range(rounds):
        for name, encode in encoders.items():
            started = perf_counter()
            encode(batch)
            times[name].append((perf_counter() - started) * 1000)
    return {name: float(np.median(each)) for name, each in times.items()}


def together(triton: Triton, server: Server, cache: Path, texts: Sequence[str], rounds: int) -> float:
    """Requests that one run of the network answers, in the mean, where several threads ask all the time."""
    encoders = [open_text_encoder(cache=cache, server=server) for _ in range(CROWD)]

    def ask(encoder: int) -> None:
        for _ in range(rounds):
            encoders[encoder].encode(texts[:1])

    before = _stats(triton)
    with ThreadPoolExecutor(CROWD) as pool:
        list(pool.map(ask, range(CROWD)))
    after = _stats(triton)
    return round((after[0] - before[0]) / (after[1] - before[1]), 2)


def _stats(triton: Triton) -> tuple[int, int]:
    """Texts, and runs of their network."""
    [model] = httpx.get(f"{triton.http_url}/v2/models/coldstart-text/stats").json()["model_stats"]
    return int(model["inference_count"]), int(model["execution_count"])


if __name__ == "__main__":
    main()
