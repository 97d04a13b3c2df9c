"""How close lists come to the floor: a service process over HTTP on loopback, beside FastAPI with one bare Edge query.

``python -m benchmarks.serve [--quick]`` serves 100,000 items (--quick: 10,000) of the width that an adapter on 64
dimensions serves, 320, three times at once: bare (`benchmarks.floor`), as ``coldstart serve`` does by default, and with
NeuMF, which orders what was retrieved again. All on the same machine, asked in turns, so that what else happens there
happens to all. The first two search copies of one index with the same settings. Lists are of 20 for users whom the
backbone knows: what they have met is left out, and a tenth of the places is kept for 200 new items. Ends with one JSON
line.

What is built is kept below ``--work``; building 100,000 items takes a few minutes.
"""

import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import orjson

from adapters.serving import ServedAdapter
from benchmarks import command, processes
from benchmarks.catalogue import USERS, Catalogue, catalogue
from benchmarks.clients import Client, crowd, request

LIMIT, CLIENTS, ROUNDS = 20, 32, 5
NEWCOMERS, MOVED, CLICKS = 200, 200, 5
OWED = 10**6
"""Impressions owed to each new item: more than all lists here together can show."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Milliseconds at one client unless it says otherwise, and requests a second at `CLIENTS`.

    ``first``: lists of users who have not asked before. ``moved``: of users with events of the last minute.
    """

    items: int
    width: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    rps: float
    floor_p50_ms: float
    floor_p99_ms: float
    floor_rps: float
    p50_ratio: float
    rps_ratio: float
    neumf_p50_ms: float
    neumf_ratio: float
    neumf_rps: float
    first_p50_ms: float
    moved_p50_ms: float
    popular_p50_ms: float
    crowd_p99_ms: float
    floor_crowd_p99_ms: float
    rss_mb: float


def main() -> None:
    """Run and print."""
    asked = command.parser(__doc__, quick="fewer items and requests").parse_args()
    processes.end_on_sigterm()
    items, requests = (10_000, 2000) if asked.quick else (100_000, 10_000)
    command.tell(run(asked.work, items=items, requests=requests))


def run(work: Path, *, items: int, requests: int) -> Figures:
    """Measure ``requests`` lists of each kind."""
    plain = catalogue(work / f"serve-{items}", items)
    neumf = catalogue(work / f"serve-{items}-neumf", items, neumf=True)
    with tempfile.TemporaryDirectory(prefix="coldstart-serve-") as folder, ExitStack() as stack:
        floor, width = stack.enter_context(_floor(plain, Path(folder)))
        ours, ranked = (stack.enter_context(_served(each, Path(folder))) for each in (plain, neumf))
        return _measure(ours, ranked, floor, items=items, width=width, requests=requests)


@contextmanager
def _floor(of: Catalogue, folder: Path) -> Iterator[tuple[str, int]]:
    """Address of the floor on a copy of the index, and the width of its vectors."""
    adapter = ServedAdapter.load(of.settings.adapter_dir)
    shutil.copytree(of.settings.index_dir / adapter.version, folder / "collection")
    queries = [query for n in range(USERS) if (query := adapter.user_vector(f"user-{n}")) is not None]
    np.save(folder / "queries.npy", np.stack(queries))
    port = processes.free_port()
    arguments = [str(folder / "collection"), str(folder / "queries.npy"), str(port)]
    server = subprocess.Popen([sys.executable, "-m", "benchmarks.floor", *arguments])
    try:
        processes.wait_for_port(port, server)
        yield f"http://127.0.0.1:{port}", adapter.dim
    finally:
        server.terminate()
        server.wait(processes.STOP_S)


@contextmanager
def _served(of: Catalogue, folder: Path) -> Iterator[processes.Service]:
    """The service on a copy of the catalogue, new items in their places."""
    state = folder / of.folder.name
    shutil.copytree(of.settings.data_dir, state)
    flags = ["--data-dir", str(state), "--adapter", str(of.settings.adapter_dir), "--newcomer-impressions", str(OWED)]
    with processes.service(flags, folder / f"{of.folder.name}.log") as service:
        before = service.counts()["retrievable"]
        new = [{"item_id": f"new-{n}", "title": f"Walnut lamp {n}"} for n in range(NEWCOMERS)]
        service.client.post("/items/batch", json={"items": new}).raise_for_status()
        arrived = lambda: service.counts()["retrievable"] == before + NEWCOMERS  # noqa: E731
        service.wait_until(arrived, seconds=120, what="the new items")
        shown = lambda: _cold(service.client) > 0  # noqa: E731
        service.wait_until(shown, seconds=30, what="a place for a new item")
        yield service


def _cold(client: httpx.Client) -> int:
    rows = client.get("/users/user-0/recommendations").raise_for_status().json()["rows"]
    return sum(row["cold"] for row in rows)


def _measure(
    ours: processes.Service, ranked: processes.Service, floor: str, *, items: int, width: int, requests: int
) -> Figures:
    rng = np.random.default_rng(0)
    users = rng.integers(USERS, size=requests).tolist()
    lists = [request(f"/users/user-{n}/recommendations") for n in range(USERS)]
    bare = [request(f"/users/{n}/recommendations") for n in range(USERS)]
    first = _times(ours.url, lists)
    _times(ranked.url, lists)
    _times(floor, bare)
    ms: dict[str, list[float]] = {"floor": [], "ours": [], "ranked": []}
    many: dict[str, list[float]] = {"floor": [], "ours": [], "ranked": []}
    rps: dict[str, list[float]] = {"floor": [], "ours": [], "ranked": []}
    for turn in range(ROUNDS):
        mine = users[turn::ROUNDS]
        for name, url, kinds in (("floor", floor, bare), ("ours", ours.url, lists), ("ranked", ranked.url, lists)):
            asked = [kinds[n] for n in mine]
            ms[name] += _times(url, asked, cold=name != "floor")
            found = crowd(url, asked, CLIENTS)
            many[name] += found.ms
            rps[name].append(found.rps)
    popular = _times(ours.url, [request("/recommendations", b"{}")] * (requests // ROUNDS))
    moved = _moved(ours, lists, requests // ROUNDS)
    p50, floor_p50, neumf_p50 = (statistics.median(ms[name]) for name in ("ours", "floor", "ranked"))
    rate, floor_rate, neumf_rate = (statistics.median(rps[name]) for name in ("ours", "floor", "ranked"))
    return Figures(
        items=items, width=width, p50_ms=_ms(p50), p95_ms=_at(ms["ours"], 95), p99_ms=_at(ms["ours"], 99),
        rps=round(rate), floor_p50_ms=_ms(floor_p50), floor_p99_ms=_at(ms["floor"], 99), floor_rps=round(floor_rate),
        p50_ratio=round(p50 / floor_p50, 2), rps_ratio=round(rate / floor_rate, 2), neumf_p50_ms=_ms(neumf_p50),
        neumf_ratio=round(neumf_p50 / floor_p50, 2), neumf_rps=round(neumf_rate),
        first_p50_ms=_at(first, 50), moved_p50_ms=_at(moved, 50), popular_p50_ms=_at(popular, 50),
        crowd_p99_ms=_at(many["ours"], 99), floor_crowd_p99_ms=_at(many["floor"], 99),
        rss_mb=round(ours.memory_mb()[0]),
    )  # fmt: skip


def _times(url: str, asked: Sequence[bytes], *, cold: bool = False) -> list[float]:
    """Milliseconds of each request by one client; whether the last list is one, with a new item in it if ``cold``."""
    client = Client(url)
    try:
        ms = [client.ask(each) for each in asked]
        rows = orjson.loads(client.last)["rows"]
        if len(rows) != LIMIT or (cold and not any(row["cold"] for row in rows)):
            raise RuntimeError(f"not the list that was asked for: {client.last!r}")
        return ms
    finally:
        client.close()


def _moved(service: processes.Service, lists: Sequence[bytes], requests: int) -> list[float]:
    """Milliseconds of lists for users who clicked a moment ago."""
    events = [
        {"event_id": f"{user}-{n}", "user_id": f"user-{user}", "item_id": f"item-{user * CLICKS + n}"}
        for user in range(MOVED)
        for n in range(CLICKS)
    ]
    service.client.post("/events", json={"events": events}).raise_for_status()
    _times(service.url, lists[:MOVED])
    return _times(service.url, [lists[n % MOVED] for n in range(requests)])


def _at(values: Sequence[float], percentile: float) -> float:
    return _ms(float(np.percentile(values, percentile)))


def _ms(value: float) -> float:
    return round(value, 3)


if __name__ == "__main__":
    main()
