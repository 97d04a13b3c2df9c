"""The database or the broker away, late, cut or silent, under load: whether recommendations go on being answered.

``python -m benchmarks.outages`` runs a service, PostgreSQL and Redis, each a process of its own, with a proxy before
either server. In each condition, a minute long, four clients ask for known users' recommendations one after another;
an answer counts if it is a list and comes within the deadline of a second. Ends with one JSON line.

=====================  ==============================================================
``healthy``            everything is there
``database_down``      PostgreSQL is stopped
``database_slow``      every answer of it is 2 s late
``database_reset``     its connections are cut ten times a second
``database_silent``    nothing comes through to it or from it
``broker_down``        Redis is stopped
``broker_silent``      nothing comes through to it or from it
=====================  ==============================================================
"""

import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx
import numpy as np

from adapters.artifact import load_artifact
from benchmarks import command, processes
from benchmarks.proxy import Proxy, proxied

CLIENTS = 4
DEADLINE_S = 1.0
LATE_S = 2.0
CUT_EVERY_S = 0.1


@dataclass(frozen=True)
class Condition:
    """What became of the requests in one condition."""

    requests: int
    answered: float
    degraded: float
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True)
class Reply:
    """One request: seconds, and whether its list was degraded; ``None`` where there was no list."""

    seconds: float
    degraded: bool | None


def main() -> None:
    """Run and print."""
    parser = command.parser(__doc__, quick="5 seconds each")
    command.add_adapter(parser)
    parser.add_argument("--seconds", type=float, default=60.0, help="of each condition (60)")
    options = parser.parse_args()
    processes.end_on_sigterm()
    _, adapter = command.served(options.work, adapter=options.adapter)
    with tempfile.TemporaryDirectory(prefix="coldstart-state-") as folder:
        conditions = run(adapter, Path(folder), seconds=5.0 if options.quick else options.seconds)
    print(f"{'condition':<18}{'requests':>9}{'answered':>10}{'degraded':>10}{'p50 ms':>9}{'p99 ms':>9}")
    for name, figures in conditions.items():
        print(
            f"{name:<18}{figures.requests:>9,}{figures.answered:>10.2%}{figures.degraded:>10.2%}"
            f"{figures.p50_ms:>9.1f}{figures.p99_ms:>9.1f}"
        )
    worst = min(figures.answered for figures in conditions.values())
    print(json.dumps({"worst_answered": worst, **{name: asdict(figures) for name, figures in conditions.items()}}))


def run(
    adapter: Path, folder: Path, *, seconds: float, deadline_s: float = DEADLINE_S, flags: Sequence[str] = ()
) -> dict[str, Condition]:
    """The figures of every condition, each of which ends in a healthy service."""
    users = load_artifact(adapter).adapter.backbone.users.ids
    with ExitStack() as stack:
        database = stack.enter_context(processes.postgresql_server())
        broker = stack.enter_context(processes.redis_server())
        database_proxy = stack.enter_context(proxied(database.socket))
        broker_proxy = stack.enter_context(proxied(broker.port))
        every = [
            "--data-dir", str(folder / "state"), "--adapter", str(adapter.resolve()),
            "--database-url", f"postgresql://postgres@127.0.0.1:{database_proxy.port}/postgres",
            "--broker-url", f"redis://127.0.0.1:{broker_proxy.port}/0", *flags,
        ]  # fmt: skip
        service = stack.enter_context(processes.service(every, folder / "service.log"))
        service.wait_until(
            lambda: service.counts()["pending"] == service.counts()["encoding"] == 0, seconds=120, what="the first load"
        )
        lists = _Lists(service.url, users, deadline_s)
        conditions = {"healthy": lists.ask(seconds)}
        for name, outage in (
            ("database_down", _down(database)),
            ("database_slow", _late(database_proxy)),
            ("database_reset", _cut(database_proxy)),
            ("database_silent", _silent(database_proxy)),
            ("broker_down", _down(broker)),
            ("broker_silent", _silent(broker_proxy)),
        ):
            with outage as meanwhile:
                conditions[name] = lists.ask(seconds, meanwhile)
            service.wait_until(
                lambda: not lists.degraded(), seconds=60, what=f"the end of what {name} had done to the service"
            )
        return conditions


class _Lists:
    """Asks a service for the lists of its users."""

    def __init__(self, url: str, users: Sequence[str], deadline_s: float) -> None:
        self._url, self._users, self._deadline_s = url, users, deadline_s

    def ask(self, seconds: float, meanwhile: Callable[[], object] | None = None) -> Condition:
        """Several clients, each asking again as soon as it has its answer; one more thread does ``meanwhile``."""
        until = time.monotonic() + seconds
        with ThreadPoolExecutor(CLIENTS + 1) as pool:
            clients = [pool.submit(self._client, number, until) for number in range(CLIENTS)]
            while meanwhile is not None and time.monotonic() < until:
                meanwhile()
                time.sleep(CUT_EVERY_S)
            replies = [reply for client in clients for reply in client.result()]
        taken = np.array([reply.seconds for reply in replies])
        in_time = [reply for reply in replies if reply.degraded is not None and reply.seconds <= self._deadline_s]
        return Condition(
            requests=len(replies),
            answered=len(in_time) / len(replies),
            degraded=sum(bool(reply.degraded) for reply in in_time) / max(len(in_time), 1),
            p50_ms=round(1000 * float(np.percentile(taken, 50)), 1),
            p99_ms=round(1000 * float(np.percentile(taken, 99)), 1),
        )

    def degraded(self) -> bool:
        """Whether lists are still not what they would be."""
        with httpx.Client(base_url=self._url, timeout=10) as client:
            return _reply(client, self._users[0]).degraded is not False

    def _client(self, number: int, until: float) -> list[Reply]:
        replies: list[Reply] = []
        with httpx.Client(base_url=self._url, timeout=10) as client:
            while time.monotonic() < until:
                replies.append(_reply(client, self._users[(number + CLIENTS * len(replies)) % len(self._users)]))
        return replies


def _reply(client: httpx.Client, user_id: str) -> Reply:
    begin = time.monotonic()
    try:
        answer = client.get(f"/users/{user_id}/recommendations")
    except httpx.TransportError:
        return Reply(time.monotonic() - begin, None)
    seconds = time.monotonic() - begin
    if answer.status_code != httpx.codes.OK or not answer.json()["rows"]:
        return Reply(seconds, None)
    return Reply(seconds, bool(answer.json()["degraded"]))


Meanwhile = Callable[[], object] | None


@contextmanager
def _down(server: processes.PostgreSQL | processes.Redis) -> Iterator[Meanwhile]:
    server.stop()
    yield None
    server.start()


@contextmanager
def _late(proxy: Proxy) -> Iterator[Meanwhile]:
    proxy.delay_s = LATE_S
    yield None
    proxy.delay_s = 0.0


@contextmanager
def _cut(proxy: Proxy) -> Iterator[Meanwhile]:
    yield proxy.reset


@contextmanager
def _silent(proxy: Proxy) -> Iterator[Meanwhile]:
    proxy.blackhole()
    yield None
    proxy.restore()


if __name__ == "__main__":
    main()
