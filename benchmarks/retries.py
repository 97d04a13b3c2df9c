"""Every request sent three times at once under one Idempotency-Key: how often each takes effect.

``python -m benchmarks.retries [--quick]`` serves an adapter of a small sample shop and sends 3,000 requests (--quick:
300), each of them three times side by side: puts, batches of two items, and deletes of items that were put. A copy that
is told that another is being answered (409) is sent again. Then every item's version is looked up: an effect too many
would have raised it. Ends with one JSON line.
"""

import asyncio
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from benchmarks import command, processes
from coldstart.catalog import open_item_store
from coldstart.settings import Settings

COPIES = 3
AT_ONCE = 24
Request = tuple[str, str, Any]


@dataclass(frozen=True)
class Figures:
    """What became of the requests.

    ``differing`` had copies that were answered otherwise than the first; ``effects`` is the sum of the items' versions,
    ``expected`` what it is when each request takes effect once, ``wrong`` how many items have another version.
    """

    requests: int
    sent: int
    in_flight: int
    differing: int
    effects: int
    expected: int
    wrong: int
    seconds: float


def main() -> None:
    """Run and print."""
    options = command.parser(__doc__, quick="300 requests").parse_args()
    processes.end_on_sigterm()
    _, adapter = command.served(options.work)
    with tempfile.TemporaryDirectory(prefix="coldstart-state-") as folder:
        figures = run(adapter, Path(folder), requests=300 if options.quick else 3000)
    command.tell(figures)


def run(adapter: Path, folder: Path, *, requests: int, flags: Sequence[str] = ()) -> Figures:
    """Send the requests to a service on the folder; then look at the versions that it left."""
    started = time.perf_counter()
    settings = Settings(data_dir=folder / "state", adapter=adapter.resolve())
    arguments = ["--data-dir", str(settings.data_dir), "--adapter", str(settings.adapter), *flags]
    writes, deletes, expected = _planned(requests)
    with processes.service(arguments, folder / "service.log") as service:
        rounds = [
            asyncio.run(_send(service.url, each, name)) for name, each in (("write", writes), ("delete", deletes))
        ]
    with closing(open_item_store(settings.catalog_url)) as store:
        found = {item_id: record.version for item_id, record in store.get_many(list(expected)).items()}
    return Figures(
        requests=requests,
        sent=sum(sent for sent, _, _ in rounds),
        in_flight=sum(in_flight for _, in_flight, _ in rounds),
        differing=sum(differing for _, _, differing in rounds),
        effects=sum(found.values()),
        expected=sum(expected.values()),
        wrong=sum(found.get(item_id) != version for item_id, version in expected.items()),
        seconds=round(time.perf_counter() - started, 1),
    )


def _planned(requests: int) -> tuple[list[Request], list[Request], dict[str, int]]:
    """Nine tenths put, one in ten of those as a batch; the last tenth deletes. And the versions that follow."""
    deletes, writes, expected = requests // 10, list[Request](), dict[str, int]()
    for n in range(requests - deletes):
        ids = [f"new-{n}", f"beside-{n}"] if n % 10 == 9 else [f"new-{n}"]
        items = [{"item_id": item_id, "title": f"Number {n}"} for item_id in ids]
        expected |= dict.fromkeys(ids, 1)
        if len(ids) == 1:
            writes.append(("PUT", f"/items/new-{n}", {"title": f"Number {n}"}))
        else:
            writes.append(("POST", "/items/batch", {"items": items}))
    withdrawn = [f"new-{n}" for n in range(deletes)]
    expected |= dict.fromkeys(withdrawn, 2)
    return writes, [("DELETE", f"/items/{item_id}", None) for item_id in withdrawn], expected


async def _send(url: str, requests: Sequence[Request], name: str) -> tuple[int, int, int]:
    """Each request so many times at once; how many were sent, answered 409, and in copies that differ."""
    sent = in_flight = 0
    room = asyncio.Semaphore(AT_ONCE // COPIES)

    async def copy(client: httpx.AsyncClient, n: int) -> bytes:
        nonlocal sent, in_flight
        method, path, body = requests[n]
        while True:
            sent += 1
            answer = await client.request(method, path, json=body, headers={"Idempotency-Key": f'"{name}-{n}"'})
            if answer.status_code != httpx.codes.CONFLICT:
                return answer.raise_for_status().content
            in_flight += 1
            await asyncio.sleep(0.01)  # sooner than Retry-After says, to have copies meet

    async def copies(client: httpx.AsyncClient, n: int) -> bool:
        async with room:
            return len(set(await asyncio.gather(*(copy(client, n) for _ in range(COPIES))))) > 1

    limits = httpx.Limits(max_connections=AT_ONCE)
    async with httpx.AsyncClient(base_url=url, timeout=60, limits=limits) as client:
        differing = await asyncio.gather(*(copies(client, n) for n in range(len(requests))))
    return sent, in_flight, sum(differing)


if __name__ == "__main__":
    main()
