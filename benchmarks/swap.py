"""Adapters that are promoted and rolled back under load: whether a request fails or is answered by two at once.

``python -m benchmarks.swap [--quick]`` serves 20,000 warm items (--quick: 2,000) of random embeddings by one adapter in
a process of its own, and registers another on the same backbone: the service places every item in its space beside the
first. Then 100 requests a second come in, whatever becomes of those before: lists for known users, for clicked items,
for sentences and of similar items, and one in ten posts a new item. Meanwhile the second adapter is promoted and rolled
back, 50 times each (--quick: 25).

When all is over each answer is worked out again from the vectors of both collections, whose items are all there by now:
``failed`` requests were not answered, ``mixed`` are those with a row whose score is not by the version that the answer
names. ``told_apart`` says how many answers could not have been the other version's: a check that could not fail would
show nothing. ``rollback_s`` is the slowest rollback, from the call until a list by the former version has been read.
Ends with one JSON line.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from adapters.artifact import load_artifact, save_artifact
from adapters.config import AdapterConfig
from adapters.fit import fit
from adapters.serving import ServedAdapter
from benchmarks import processes
from benchmarks.ttr import USERS, build, sentence, serving
from coldstart.catalog.statements import chunks
from coldstart.encoders import open_text_encoder
from coldstart.index import IndexStore, open_index_store
from coldstart.settings import Settings
from coldstart.vectors import Vector

LIMIT, PAUSE_S, PATIENCE_S = 20, 0.4, 30.0
MIX = ("user",) * 8 + ("clicked",) * 5 + ("similar",) * 4 + ("sentence",) + ("post",) * 2
SENTENCES = 8
# Of a score: what another order of additions changes, and no other vector does.
ROUNDING = 1e-3


@dataclass(frozen=True)
class Answer:
    """One that was given: by which version, to what, and the items and scores of its rows."""

    kind: str
    about: Any
    version: str
    rows: Sequence[tuple[str, float]]


@dataclass
class Load:
    """What became of the requests; times in milliseconds."""

    answers: list[Answer] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)
    posted: list[str] = field(default_factory=list)
    elapsed: list[float] = field(default_factory=list)
    over: bool = False


@dataclass(frozen=True)
class Figures:
    """What is printed."""

    failed: int
    mixed: int
    rollback_s: float
    promote_s: float
    promotions: int
    rollbacks: int
    requests: int
    told_apart: int
    posted: int
    missing: int
    by_version: dict[str, int]
    project_s: float
    items: int
    rate: float
    list_p50_ms: float
    list_p99_ms: float
    quiet_p50_ms: float
    quiet_p99_ms: float


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="2,000 items, 25 promotions and as many rollbacks")
    parser.add_argument("--rate", type=float, default=100.0, help="requests a second (100)")
    options = parser.parse_args()
    quick = options.quick
    processes.end_on_sigterm()
    with tempfile.TemporaryDirectory(prefix="coldstart-swap-") as folder:
        figures = run(Path(folder), items=2000 if quick else 20_000, times=25 if quick else 50, rate=options.rate)
    told = vars(figures)
    for name, value in told.items():
        shown = " / ".join(map(str, value.values())) if isinstance(value, dict) else f"{value:,}"
        print(f"{name:<16}{shown:>16}")
    print(json.dumps(told))
    if figures.failed or figures.mixed or figures.missing or figures.told_apart < 0.9 * figures.requests:
        sys.exit(1)


def run(folder: Path, *, items: int, times: int, rate: float) -> Figures:
    """Serve, register, swap under load, and work the answers out again."""
    build(folder, items)
    save_second(folder)
    with serving(folder, items) as service:
        old = service.client.get("/status").json()["adapter_version"]
        start = time.perf_counter()
        new = service.client.post("/adapters", json={"folder": "second"}).raise_for_status().json()["version"]
        service.wait_until(lambda: status(service, new) == "ready", seconds=600, what="the second adapter")
        project_s = time.perf_counter() - start
        load, quiet, promoted, rolled_back = asyncio.run(_under_load(service.url, items, old, new, times, rate))
        service.wait_until(
            lambda: service.counts()["retrievable"] == items + len(load.posted), seconds=120, what="what was posted"
        )
    with closing(open_index_store(root=folder / "state" / "index")) as indexes:
        spaces = {
            version: Space.of(indexes, folder / name, load)
            for version, name in ((old, "adapter"), (new, "state/artifacts/second"))
        }
    mixed = [answer for answer in load.answers if not spaces[answer.version].made(answer)]
    other = {old: spaces[new], new: spaces[old]}
    for answer in mixed[:3]:
        print(f"mixed: {answer}", file=sys.stderr)
    for what, number in load.failures.most_common(5):
        print(f"failed {number} times: {what}", file=sys.stderr)
    return Figures(
        failed=load.failures.total(), mixed=len(mixed), rollback_s=round(max(rolled_back), 3),
        promote_s=round(max(promoted), 3), promotions=len(promoted), rollbacks=len(rolled_back),
        requests=len(load.answers), told_apart=sum(not other[a.version].made(a) for a in load.answers),
        posted=len(load.posted), missing=sum(i not in s.vectors for s in spaces.values() for i in load.posted),
        by_version=dict(Counter("first" if a.version == old else "second" for a in load.answers)),
        project_s=round(project_s, 2), items=items, rate=rate,
        **{f"list_p{q}_ms": round(float(np.percentile(load.elapsed, q)), 1) for q in (50, 99)},
        **{f"quiet_p{q}_ms": round(float(np.percentile(quiet.elapsed, q)), 1) for q in (50, 99)},
    )  # fmt: skip


def save_second(folder: Path) -> None:
    """Another adapter on the first one's backbone and encoders, where the service looks for it."""
    first = load_artifact(folder / "adapter")
    adapter = fit(first.adapter.backbone, first.adapter.contents, config=AdapterConfig(neighbours=10))
    save_artifact(
        adapter.with_scales(warm_content=0.2, cold=1.2), folder / "state" / "artifacts" / "second",
        text=first.text, image=first.image, backbone_dir=folder / "backbone", card="The second of a benchmark.",
    )  # fmt: skip


def status(service: processes.Service, version: str) -> str:
    """Where the version stands."""
    return str(service.client.get(f"/adapters/{version}").raise_for_status().json()["status"])


async def _under_load(
    url: str, items: int, old: str, new: str, times: int, rate: float
) -> tuple[Load, Load, list[float], list[float]]:
    """What became of requests while adapters are swapped, and before; seconds of each promotion and rollback."""
    # The service closes a connection that nobody has used for 5 s: none is taken up again at that very moment.
    limits = httpx.Limits(max_connections=200, max_keepalive_connections=200, keepalive_expiry=2)
    async with httpx.AsyncClient(base_url=url, timeout=PATIENCE_S, limits=limits) as client:
        quiet, load = Load(), Load()
        quietly = asyncio.create_task(_send(client, quiet, items, rate, seed=1))
        await asyncio.sleep(5)
        quiet.over = True
        await quietly
        load.posted += quiet.posted
        sending = asyncio.create_task(_send(client, load, items, rate, seed=2))
        await asyncio.sleep(1)
        promoted, rolled_back = [], []
        for n in range(times):
            promoted.append(await _swap(client, f"/adapters/{new}/promote", new))
            await asyncio.sleep(PAUSE_S)
            rolled_back.append(await _swap(client, "/adapters/rollback", old))
            await asyncio.sleep(PAUSE_S)
            if (n + 1) % 5 == 0:
                print(f"{n + 1} of {times} promotions and rollbacks", file=sys.stderr)
        load.over = True
        await sending
    load.answers += quiet.answers
    load.failures += quiet.failures
    return load, quiet, promoted, rolled_back


async def _swap(client: httpx.AsyncClient, address: str, version: str) -> float:
    """Seconds from the call until a list by the version has been read."""
    start = time.perf_counter()
    (await client.post(address)).raise_for_status()
    while (await client.get("/users/user-0/recommendations")).json()["adapter_version"] != version:
        pass
    return time.perf_counter() - start


async def _send(client: httpx.AsyncClient, load: Load, items: int, rate: float, *, seed: int) -> None:
    """So many requests a second, however long each takes, until it is over and all are answered."""
    rng, start = np.random.default_rng(seed), time.perf_counter()
    async with asyncio.TaskGroup() as group:
        n = 0
        while not load.over:
            group.create_task(_ask(client, load, MIX[n % len(MIX)], items, rng, f"new-{seed}-{n}"))
            n += 1
            await asyncio.sleep(max(0.0, start + n / rate - time.perf_counter()))


async def _ask(
    client: httpx.AsyncClient, load: Load, kind: str, items: int, rng: np.random.Generator, name: str
) -> None:
    """One request; whatever is not an answer is a failure."""
    about = _about(kind, items, rng)
    start = time.perf_counter()
    try:
        match kind:
            case "user":
                answer = await client.get(f"/users/{about}/recommendations", params={"limit": LIMIT})
            case "clicked":
                answer = await client.post("/recommendations", json={"clicked": about, "limit": LIMIT})
            case "sentence":
                answer = await client.post("/recommendations", json={"preferences": about, "limit": LIMIT})
            case "similar":
                answer = await client.get(f"/items/{about}/similar", params={"limit": LIMIT})
            case _:
                answer = await client.put(f"/items/{name}", json={"title": about})
        body = answer.raise_for_status().json()
    except (httpx.HTTPError, ValueError) as error:
        load.failures[f"{kind}: {error!r}"] += 1
        return
    if kind == "post":
        load.posted.append(name)
        return
    load.elapsed.append((time.perf_counter() - start) * 1000)
    if body.get("degraded"):
        load.failures[f"{kind}: degraded"] += 1
    rows = [(row["item_id"], row["score"]) for row in body["rows"]]
    load.answers.append(Answer(kind, about, body["adapter_version"], rows))


def _about(kind: str, items: int, rng: np.random.Generator) -> Any:
    match kind:
        case "user":
            return f"user-{rng.integers(USERS)}"
        case "clicked":
            return [f"item-{n}" for n in rng.choice(items, size=5, replace=False)]
        case "similar":
            return f"item-{rng.integers(items)}"
        case "sentence":
            return sentence(np.random.default_rng(int(rng.integers(SENTENCES))), 8)
        case _:
            return sentence(rng, 12)


@dataclass(frozen=True)
class Space:
    """What one version makes of everything: the vectors of its collection, and its own queries."""

    adapter: ServedAdapter
    vectors: Mapping[str, Vector]
    sentences: Mapping[str, Vector]

    @classmethod
    def of(cls, indexes: IndexStore, folder: Path, load: Load) -> "Space":
        """Of the adapter in the folder, once the service has ended."""
        adapter = ServedAdapter.load(folder)
        index = indexes.create(adapter.version, adapter.dim)
        ids = [*adapter.backbone.items.ids, *load.posted]
        vectors = {i: point.vector for part in chunks(ids) for i, point in index.fetch(part).items()}
        asked = sorted({answer.about for answer in load.answers if answer.kind == "sentence"})
        encoder = open_text_encoder(cache=Settings().cache)
        sentences = {each: adapter.query_from_text(encoder.encode([each])[0]) for each in asked}
        return cls(adapter, vectors, sentences)

    def made(self, answer: Answer) -> bool:
        """Whether every row's score is by this version, and there are as many rows as were asked for."""
        ids = [item_id for item_id, _ in answer.rows]
        if len(ids) != LIMIT or not all(item_id in self.vectors for item_id in ids):
            return False
        vectors = np.stack([self.vectors[item_id] for item_id in ids])
        told = np.array([score for _, score in answer.rows])
        if answer.kind == "similar":
            own = self.vectors[answer.about]
            scores = vectors @ own / (np.linalg.norm(vectors, axis=1) * np.linalg.norm(own))
        else:
            scores = vectors @ self._query(answer)
        return bool(np.allclose(told, scores, rtol=ROUNDING, atol=ROUNDING * np.abs(scores).max()))

    def _query(self, answer: Answer) -> Vector:
        match answer.kind:
            case "user":
                known = self.adapter.user_vector(answer.about)
                assert known is not None
                return known
            case "clicked":
                return self.adapter.fold_in(np.stack([self.vectors[each] for each in answer.about]))
            case _:
                return self.sentences[answer.about]


if __name__ == "__main__":
    main()
