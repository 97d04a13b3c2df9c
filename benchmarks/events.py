"""From an event to a list that it changed: through HTTP, and through Kafka beside 1,000 other events a second.

``python -m benchmarks.events`` serves an adapter (of a small sample shop by default) with the consumer inside the
service, and a broker of the Kafka protocol as a process of its own. Each probe is a new user, who is asked for before:
their list is the one for nobody in particular. Then they click, and their list is asked for until it is another one.
Through HTTP one probe follows the other; through Kafka there are four at a time, while events of others are offered at
a steady rate. Ends with one JSON line.
"""

import itertools
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from adapters.artifact import load_artifact
from benchmarks import command, kafka, processes, traffic
from coldstart.entities import Event

RATE = 1000
SLICES = 20
"""In which a second's events are sent."""
PROBERS = 4
PATIENCE_S = 60.0
TOPIC = "events"


@dataclass(frozen=True)
class Figures:
    """Milliseconds from the event's departure to the arrival of a list that it changed.

    ``events_per_s``: applied from the first to the last event of those offered at ``offered_per_s``.
    """

    http_probes: int
    http_p50_ms: float
    http_p95_ms: float
    kafka_probes: int
    kafka_p50_ms: float
    kafka_p95_ms: float
    offered_per_s: float
    events_per_s: float
    unapplied: int


def main() -> None:
    """Run and print."""
    parser = command.parser(__doc__, quick="40 probes, and 5 seconds of events")
    command.add_adapter(parser)
    parser.add_argument("--probes", type=int, default=300, help="through HTTP (300)")
    parser.add_argument("--seconds", type=float, default=30.0, help="of events through Kafka (30)")
    options = parser.parse_args()
    processes.end_on_sigterm()
    _, adapter = command.served(options.work, adapter=options.adapter)
    probes, seconds = (40, 5.0) if options.quick else (options.probes, options.seconds)
    with tempfile.TemporaryDirectory(prefix="coldstart-state-") as folder:
        command.tell(run(adapter, Path(folder), probes=probes, seconds=seconds))


def run(adapter: Path, folder: Path, *, probes: int, seconds: float, flags: Sequence[str] = ()) -> Figures:
    """The figures of a service on the folder."""
    items = load_artifact(adapter).adapter.backbone.items.ids
    with ExitStack() as stack:
        broker = stack.enter_context(kafka.kafka_server())
        broker.create(**{TOPIC: 3, f"{TOPIC}_dead": 1})
        every = [
            "--data-dir", str(folder / "state"), "--adapter", str(adapter.resolve()),
            "--kafka-brokers", broker.brokers, "--kafka-topic", TOPIC, "--kafka-dead-letter-topic", f"{TOPIC}-dead",
            *flags,
        ]  # fmt: skip
        service = stack.enter_context(processes.service(every, folder / "service.log"))
        service.wait_until(
            lambda: service.counts()["pending"] == service.counts()["encoding"] == 0, seconds=120, what="the first load"
        )
        producer = stack.enter_context(traffic.Producer(broker.brokers, TOPIC))
        probe = stack.enter_context(closing(_Prober(service.url, items)))
        producer.send([probe.click("first")])  # until then the consumer may be joining its group
        service.wait_until(lambda: _applied(service) == 1, seconds=PATIENCE_S, what="the first event")

        over_http = [probe.through(service.url, f"http-{n}") for n in range(probes)]
        before = _applied(service)
        over_kafka, offered, taken_s = _beside_traffic(service, producer, probe, items, seconds)
        applied = _applied(service) - before
    return Figures(
        http_probes=len(over_http),
        http_p50_ms=_percentile(over_http, 50),
        http_p95_ms=_percentile(over_http, 95),
        kafka_probes=len(over_kafka),
        kafka_p50_ms=_percentile(over_kafka, 50),
        kafka_p95_ms=_percentile(over_kafka, 95),
        offered_per_s=round(offered / seconds, 1),
        events_per_s=round(applied / taken_s, 1),
        unapplied=offered + len(over_kafka) - applied,
    )


def _beside_traffic(
    service: processes.Service, producer: traffic.Producer, probe: "_Prober", items: Sequence[str], seconds: float
) -> tuple[list[float], int, float]:
    """Times of the probes, events offered beside them, and seconds until the last of those was applied."""
    before, begin, numbers = _applied(service), time.monotonic(), itertools.count()
    ended, offered = threading.Event(), 0

    def ask() -> Iterator[float]:
        while not ended.is_set():
            user_id = f"kafka-{next(numbers)}"
            yield probe.timed(user_id, lambda user_id=user_id: producer.send([probe.click(user_id)]))  # type: ignore[misc]

    with ThreadPoolExecutor(PROBERS) as pool:
        probers = [pool.submit(lambda: list(ask())) for _ in range(PROBERS)]
        for part, events in enumerate(_traffic(items)):
            if (ahead := begin + part / SLICES - time.monotonic()) > 0:
                time.sleep(ahead)
            if time.monotonic() - begin >= seconds:
                break
            producer.send(events)
            offered += len(events)
        ended.set()
        times = [taken for prober in probers for taken in prober.result()]
    expected = before + offered + len(times)
    service.wait_until(lambda: _applied(service) >= expected, seconds=PATIENCE_S, what="the last event")
    return times, offered, time.monotonic() - begin


def _traffic(items: Sequence[str]) -> Iterator[list[Event]]:
    """A slice of a second's events of 10,000 users at a time."""
    rng = np.random.default_rng(0)
    for number in itertools.count():
        users, chosen = rng.integers(0, 10_000, RATE // SLICES), rng.integers(0, len(items), RATE // SLICES)
        yield [
            Event(f"t{number}-{n}", f"other-{user}", items[item], time.time())
            for n, (user, item) in enumerate(zip(users, chosen, strict=True))
        ]


class _Prober:
    """Users who click once, and what becomes of their lists."""

    def __init__(self, url: str, items: Sequence[str]) -> None:
        self._url, self._items = url, items
        # One for all threads: it keeps a connection for each.
        self._client = httpx.Client(timeout=60)

    def close(self) -> None:
        """Close its connections."""
        self._client.close()

    def click(self, user_id: str) -> Event:
        """The user's one click."""
        return Event(f"click-{user_id}", user_id, self._items[hash(user_id) % len(self._items)], time.time())

    def through(self, url: str, user_id: str) -> float:
        """Seconds until the list of a new user changed whose click is posted."""
        event = self.click(user_id)
        body = {"events": [{"event_id": event.event_id, "user_id": user_id, "item_id": event.item_id}]}
        return self.timed(user_id, lambda: self._client.post(f"{url}/events", json=body).raise_for_status())

    def timed(self, user_id: str, send: Callable[[], object]) -> float:
        """Seconds from the sending until the user's list is another one."""
        before, begin = self._list(user_id), time.monotonic()
        send()
        while not _moved(before, self._list(user_id)):
            if time.monotonic() - begin > PATIENCE_S:
                raise TimeoutError(f"the list did not change within {PATIENCE_S:.0f} s of a click")
            time.sleep(0.002)
        return time.monotonic() - begin

    def _list(self, user_id: str) -> dict[str, Any]:
        answer = self._client.get(f"{self._url}/users/{user_id}/recommendations").raise_for_status()
        return dict(answer.json())


def _moved(before: dict[str, Any], now: dict[str, Any]) -> bool:
    """Whether it is the click that changed the list: what is popular changes by itself."""
    return bool(now["strategy"] == "clicks" and now["rows"] != before["rows"])


def _applied(service: processes.Service) -> int:
    """Events recorded, by the service's own count."""
    told = service.client.get("/metrics").raise_for_status().text
    return next((int(float(line.split()[-1])) for line in told.splitlines() if line.startswith(_RECORDED)), 0)


_RECORDED = 'coldstart_events_total{outcome="recorded"}'


def _percentile(seconds: Sequence[float], q: float) -> float:
    return round(1000 * float(np.percentile(seconds, q)), 1)


if __name__ == "__main__":
    main()
