"""Untrusted input against a real service: what it answers, how long it takes, what stays in memory, who is harmed.

``python -m benchmarks.hostile [--quick]`` makes every input itself. Pictures are posted in batches, each with a good
item among them, and followed to their end; bodies are sent over plain sockets. Addresses and texts go down the
service's own road in this process: addresses through a resolver and a connector that know only loopback, texts through
schema, cleaning and tokeniser. An adapter is saved and killed. Ends with one JSON line.
"""

import argparse
import asyncio
import base64
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from tokenizers import Tokenizer

from benchmarks import command, processes, ttr
from benchmarks.hostile import addresses, bodies, crowd, pictures, saving, texts
from coldstart.catalog.statements import chunks
from coldstart.encoders import DEFAULT_TEXT_MODEL
from coldstart.encoders.onnx import OnnxTextEncoder, exported
from coldstart.settings import Settings

CATALOGUE = 200
BATCH = 20
ORDINARY = 40
LONG = "A chair of oiled oak with a woven seat, for reading in a quiet corner. " * 40
SETTLE_S = 300.0


@dataclass(frozen=True)
class Figures:
    """What came of it.

    ``server_errors`` counts answers of 500 and above and errors that would have been one; ``stuck`` pictures whose item
    was neither refused nor retrievable by its text; ``harmed`` good items that lost their picture or their place;
    ``broken_saves`` what a loader found after a kill that was neither the old nor the new. ``slowest_ms`` is the
    slowest answer to anything sent, ``rss_growth_mb`` what the service holds before the crowd beyond what it held after
    ordinary items; ``pictures_peak_mb``, ``bodies_peak_mb`` and ``crowd_peak_mb`` what it held at most while pictures,
    bodies and a crowd of large bodies at once came, beyond what it held before the first of them. Of the ``crowd``,
    ``crowd_refused`` were told to come back.
    """

    pictures: int
    mutated: int
    urls: int
    texts: int
    bodies: int
    crowd: int
    crowd_refused: int
    kills: int
    server_errors: int
    stuck: int
    harmed: int
    canary_hits: int
    broken_saves: int
    slowest_ms: float
    rss_growth_mb: float
    pictures_peak_mb: float
    bodies_peak_mb: float
    crowd_peak_mb: float
    seconds: float


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer mutated pictures, texts, kills and large bodies")
    quick = parser.parse_args().quick
    processes.end_on_sigterm()
    with tempfile.TemporaryDirectory(prefix="coldstart-hostile-") as folder:
        ttr.build(Path(folder), CATALOGUE)
        mutated, number, kills, clients = (60, 5000, 20, 50) if quick else (300, 100_000, 200, 200)
        figures, errors = run(Path(folder), mutated=mutated, texts_=number, kills=kills, clients=clients)
    for error in errors:
        print(error)
    command.tell(figures)


def run(folder: Path, *, mutated: int, texts_: int, kills: int, clients: int) -> tuple[Figures, list[str]]:
    """All of it against a service on `ttr.build`'s folder; also what went wrong, in words."""
    started = perf_counter()
    _, broken = saving.attempt(folder / "adapter", folder / "saved" / "adapter", kills)
    fetched = addresses.attempt(addresses.urls())
    read = texts.attempt(texts_, _tokenizer())
    files = [*pictures.hostile(), *pictures.mutated(mutated)]
    with ttr.serving(folder, CATALOGUE) as service:
        post = Posting(service)
        ordinary = [(f"ordinary {n}", pictures.good(512, pictures.KINDS[n % 4])) for n in range(ORDINARY)]
        post.batch(ordinary, text=LONG)  # what any catalogue makes a service take up is not counted
        post.follow()
        before, _ = service.memory_mb()
        service.forget_peak()
        for part in chunks(files, BATCH):
            post.batch(part)
        post.follow()
        between, pictures_peak = service.memory_mb()
        service.forget_peak()
        statuses, slowest_ms = bodies.attempt(service.client.base_url)
        _, bodies_peak = service.memory_mb()
        post.batch([("afterwards", pictures.good())])
        post.follow()
        after, _ = service.memory_mb()
        service.forget_peak()
        crowded = asyncio.run(crowd.attempt(service.client.base_url, clients, size=Settings().max_body_bytes))
        _, crowd_peak = service.memory_mb()
        post.batch([("after the crowd", pictures.good())])
        post.follow()
    failed = [f"{times} answers of {status} to a body" for status, times in statuses.items() if status >= 500]
    figures = Figures(
        pictures=pictures.HOSTILE,
        mutated=mutated,
        urls=fetched.refused + fetched.fetched + len(fetched.errors),
        texts=texts_,
        bodies=statuses.total(),
        crowd=clients,
        crowd_refused=crowded.refused,
        kills=kills,
        server_errors=sum(times for status, times in statuses.items() if status >= 500)
        + crowded.errors + len(read.errors) + len(fetched.errors) + post.errors,
        stuck=len(post.stuck),
        harmed=len(post.harmed),
        canary_hits=fetched.canary_hits,
        broken_saves=len(broken),
        slowest_ms=round(max(slowest_ms, post.slowest_ms), 1),
        rss_growth_mb=round(after - before, 1),
        pictures_peak_mb=round(pictures_peak - before, 1),
        bodies_peak_mb=round(bodies_peak - between, 1),
        crowd_peak_mb=round(crowd_peak - after, 1),
        seconds=round(perf_counter() - started, 1),
    )  # fmt: skip
    return figures, [*failed, *read.errors, *fetched.errors, *post.stuck, *post.harmed, *broken]


class Posting:
    """Posts pictures, each as an item with a title, and a good item amid each batch; then looks what became of them."""

    def __init__(self, service: processes.Service) -> None:
        self._service = service
        self._names: dict[str, str] = {}
        self.errors, self.slowest_ms = 0, 0.0
        self.stuck: list[str] = []
        self.harmed: list[str] = []

    def batch(self, files: Sequence[pictures.Named], *, text: str = "") -> None:
        """Post the pictures with a good one among them, each with this text."""
        named = [*files[: len(files) // 2], ("", pictures.good()), *files[len(files) // 2 :]]
        first = len(self._names)
        ids = [f"{'hostile' if name else 'good'}-{first + n}" for n, (name, _) in enumerate(named)]
        self._names |= {item_id: name for item_id, (name, _) in zip(ids, named, strict=True)}
        items = [
            {"item_id": item_id, "title": f"Oak chair {item_id}", "text": text, "image": data_url(content)}
            for item_id, (_, content) in zip(ids, named, strict=True)
        ]
        for part in chunks(items, 1 if sum(len(item["image"]) for item in items) > 10_000_000 else len(items)):
            started = perf_counter()
            answer = self._service.client.post("/items/batch", json={"items": part})
            self.slowest_ms = max(self.slowest_ms, (perf_counter() - started) * 1000)
            self.errors += answer.status_code >= 500
            refused = [each for each in answer.json()["answers"] if each["status"] != 202]
            for each in refused:
                name = self._names.pop(each["item_id"])
                if not name or not 400 <= each["status"] < 500:
                    self.harmed.append(f"{name or 'a good item'}: {each['detail']}")

    def follow(self) -> None:
        """Wait till all that was posted has come to its end, and look at it."""
        self._service.wait_until(self._settled, seconds=SETTLE_S, what="an end for every item")
        for item_id, name in self._names.items():
            item = self._service.client.get(f"/items/{item_id}").raise_for_status().json()
            if item["status"] != "retrievable" or "text" not in item["modalities"]:
                self.stuck.append(f"{name or 'a good item'} is {item['status']}: {item['error']}")
            elif not name and "image" not in item["modalities"]:
                self.harmed.append(f"a good item without its picture: {item['picture_error']}")

    def _settled(self) -> bool:
        counts = self._service.counts()
        return not counts["pending"] + counts["encoding"]


def data_url(content: bytes) -> str:
    """The bytes as an address of their own."""
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"


def _tokenizer() -> Tokenizer:
    """The very one that the service reads texts with."""
    return OnnxTextEncoder(exported("text", DEFAULT_TEXT_MODEL, Settings().cache, "int8")).tokenizer


if __name__ == "__main__":
    main()
