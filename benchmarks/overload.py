"""Ten times as many posts as the service ingests: what is refused, how quickly, and whether what was accepted arrives.

``python -m benchmarks.overload [--quick]`` serves an adapter of a small sample shop, posts a batch of items with text
and picture to see how many a second become retrievable, then posts ten times as many a second for two minutes (--quick:
20 s) at times fixed beforehand, however slow the answers are, and measures each answer from the time it was due. Then
it waits until every accepted item is retrievable or dead, and looks for them in the index. Ends with one JSON line.
"""

import asyncio
import json
import re
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from adapters.artifact import load_artifact
from api.cli.arrivals import item_body
from benchmarks import command, processes
from benchmarks.crash import indexed
from coldstart.catalog import Status, open_item_store
from coldstart.dataset import Dataset, read_dataset
from coldstart.settings import Settings

TIMES = 10
PATIENCE_S = 30.0  # for one answer; a client would have given up
SETTLE_S = 300.0
IDLE_S = 2.0
"""A connection that was free for longer is not used again: the service closes it after 5 s, maybe as a post is sent."""
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True)
class Figures:
    """What became of the posts.

    ``refused`` were answered 429 (the mark) or 503 (the process), the latter ``busy``; ``unanswered`` counts those that
    got no answer, another one, or none in time, by the reason; ``lost`` were accepted and are neither in the index at
    their version nor dead.
    """

    ingested_per_s: float
    offered_per_s: float
    offered: int
    accepted: int
    refused: int
    busy: int
    unanswered: dict[str, int]
    refused_p50_ms: float
    refused_p99_ms: float
    accepted_p99_ms: float
    retry_after_s: tuple[int, int]
    waiting_at_most: int
    max_backlog: int
    memory_before_mb: int
    memory_peak_mb: int
    dead: int
    lost: int
    settled_after_s: float


@dataclass
class Answers:
    """Milliseconds from the time a post was due, by the status of its answer; versions of what was accepted."""

    ms: dict[int, list[float]] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    retry_after: set[int] = field(default_factory=set)
    unanswered: Counter[str] = field(default_factory=Counter)


def main() -> None:
    """Run and print."""
    options = command.parser(__doc__, quick="20 seconds, a mark of 100").parse_args()
    processes.end_on_sigterm()
    data, adapter = command.served(options.work)
    seconds, max_backlog, sample = (20, 100, 60) if options.quick else (120, 500, 200)
    with tempfile.TemporaryDirectory(prefix="coldstart-state-") as folder:
        figures = run(
            adapter, read_dataset(data), Path(folder), seconds=seconds, max_backlog=max_backlog, sample=sample
        )
    command.tell(figures)


def run(
    adapter: Path,
    dataset: Dataset,
    folder: Path,
    *,
    seconds: int,
    max_backlog: int,
    sample: int,
    flags: Sequence[str] = (),
) -> Figures:
    """Offer a service on the folder ten times what it ingests, by a sample; then look at what there is."""
    artifact = load_artifact(adapter)
    settings = Settings(data_dir=folder / "state", adapter=adapter.resolve(), max_backlog=max_backlog)
    arguments = [
        "--data-dir", str(settings.data_dir), "--adapter", str(settings.adapter),
        "--max-backlog", str(max_backlog), *flags,
    ]  # fmt: skip
    known = len(artifact.adapter.backbone.items)
    with processes.service(arguments, folder / "service.log") as service:
        service.wait_until(lambda: service.counts()["retrievable"] == known, seconds=SETTLE_S, what="the catalogue")
        rate = _ingested_per_s(service, dataset, known, sample)
        before, _ = service.memory_mb()
        bodies = [json.dumps(item_body(dataset, row)).encode() for row in range(len(dataset.items))]
        answers, waiting = asyncio.run(_flood(service.url, bodies, per_second=TIMES * rate, seconds=seconds))
        ended = time.perf_counter()
        ends = known + sample + len(answers.versions)
        service.wait_until(
            lambda: sum(service.counts()[end] for end in ("retrievable", "dead")) == ends,
            seconds=SETTLE_S, what="an end for every item that was accepted",
        )  # fmt: skip
        settled_s = time.perf_counter() - ended
        _, peak = service.memory_mb()
    store = open_item_store(settings.catalog_url)
    records = store.get_many(list(answers.versions))
    store.close()
    dead = {item_id for item_id, record in records.items() if record.status is Status.DEAD}
    _, stored = indexed(settings, artifact, list(answers.versions))
    refused = answers.ms.get(429, []) + answers.ms.get(503, [])
    return Figures(
        ingested_per_s=round(rate, 1),
        offered_per_s=round(TIMES * rate, 1),
        offered=sum(map(len, answers.ms.values())) + answers.unanswered.total(),
        accepted=len(answers.versions),
        refused=len(refused),
        busy=len(answers.ms.get(503, [])),
        unanswered=dict(answers.unanswered),
        refused_p50_ms=_percentile(refused, 50),
        refused_p99_ms=_percentile(refused, 99),
        accepted_p99_ms=_percentile(answers.ms.get(202, []), 99),
        retry_after_s=(min(answers.retry_after, default=0), max(answers.retry_after, default=0)),
        waiting_at_most=waiting,
        max_backlog=max_backlog,
        memory_before_mb=round(before),
        memory_peak_mb=round(peak),
        dead=len(dead),
        lost=sum(stored.get(i) != version and i not in dead for i, version in answers.versions.items()),
        settled_after_s=round(settled_s, 1),
    )


def _ingested_per_s(service: processes.Service, dataset: Dataset, known: int, sample: int) -> float:
    items = [{"item_id": f"sample-{n}", **item_body(dataset, n % len(dataset.items))} for n in range(sample)]
    start = time.perf_counter()
    answer = service.client.post("/items/batch", json={"items": items}).raise_for_status().json()
    assert answer["accepted"] == sample, answer
    service.wait_until(lambda: service.counts()["retrievable"] == known + sample, seconds=SETTLE_S, what="the sample")
    return sample / (time.perf_counter() - start)


async def _flood(url: str, bodies: Sequence[bytes], *, per_second: float, seconds: float) -> tuple[Answers, int]:
    """Post at fixed times, each on a connection that is free, or a new one; and the most that were seen to wait.

    Over plain sockets: a full client would cost more than the service, on the same processors.
    """
    host, port = urlsplit(url).hostname, urlsplit(url).port
    answers, free, opened = Answers(), list[tuple[float, Connection]](), list[asyncio.StreamWriter]()
    start, waiting = time.perf_counter(), 0

    async def connected() -> Connection:
        while free:
            since, connection = free.pop()
            if time.perf_counter() - since < IDLE_S:
                return connection
        reader, writer = await asyncio.open_connection(host, port)
        opened.append(writer)
        return reader, writer

    async def post(n: int, due: float) -> None:
        body = bodies[n % len(bodies)]
        head = f"PUT /items/new-{n} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        try:
            async with asyncio.timeout(PATIENCE_S):
                reader, writer = await connected()
                writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
                status, headers, answer = await _answer(reader)
        except (TimeoutError, OSError, asyncio.IncompleteReadError) as error:
            answers.unanswered[type(error).__name__] += 1
            return
        if status not in (202, 429, 503):
            answers.unanswered[str(status)] += 1
            return
        answers.ms.setdefault(status, []).append((time.perf_counter() - due) * 1000)
        if status == 202:
            answers.versions[f"new-{n}"] = int(json.loads(answer)["version"])
        elif status == 429:
            answers.retry_after.add(int(headers["retry-after"]))
        free.append((time.perf_counter(), (reader, writer)))

    async def watch() -> None:
        nonlocal waiting
        reader, writer = await connected()
        while True:
            writer.write(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
            _, _, text = await _answer(reader)
            found = re.search(rb"^coldstart_backlog_items (\S+)$", text, re.MULTILINE)
            waiting = max(waiting, int(float(found[1])) if found else 0)
            await asyncio.sleep(1.0)

    watching = asyncio.create_task(watch())
    async with asyncio.TaskGroup() as posts:
        for n in range(int(per_second * seconds)):
            due = start + n / per_second
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            posts.create_task(post(n, due))
    watching.cancel()
    for writer in opened:
        writer.close()
    await asyncio.gather(*(writer.wait_closed() for writer in opened), return_exceptions=True)
    return answers, waiting


async def _answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    first, *lines = head.strip().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    return int(first.split()[1]), headers, await reader.readexactly(int(headers["content-length"]))


def _percentile(times: Sequence[float], q: float) -> float:
    return round(float(np.percentile(times, q)), 1) if times else 0.0


if __name__ == "__main__":
    main()
