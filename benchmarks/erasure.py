"""A thousand people erased: whether a trace of them is left in database, Redis, index, logs or files.

``python -m benchmarks.erasure`` runs PostgreSQL, Redis, a service and a worker, each a process of its own, the last two
logging all they can. People say what they like, click, log in (every second one had an anonymous history, which is
merged) and ask for lists, which are those of an experiment; then each is erased by ``DELETE /users/{id}``, and all
their events are delivered once more. What is left is looked for as text: in every column of every row of every table,
in keys and values of Redis, in what the index holds and tells, in the logs of all processes, PostgreSQL's among them,
and in the files of the service's data folder, byte by byte. The same looks before the erasure show that they find what
is there. Then the default layout, a single process on SQLite, goes through the same with a tenth of the people: its
data folder is its database. Ends with one JSON line.

Every id begins with the same word, as does what people say; that word is looked for. Some people of the backbone are
erased, too: they are in its file, which is read only, and no list may be made of that any more.
"""

import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from redis import Redis
from sqlalchemy import MetaData, create_engine, make_url, select

from adapters.artifact import load_artifact
from benchmarks import command, crash, processes
from coldstart.settings import Settings

MARK = "goneperson"
CLIENTS = 4
CLICKS = 5
TRAINED = 20
LOUD = ("--log-level", "DEBUG")
EXPERIMENT = {
    "experiment_id": "diversity",
    "arms": [{"name": "old", "weight": 0.5}, {"name": "diverse", "weight": 0.5, "pipeline": {"diversity": 0.3}}],
    "primary": "clicks",
}


@dataclass(frozen=True)
class Traces:
    """In how many rows, keys, points, lines and files of each place the word was found."""

    database: int = 0
    redis: int = 0
    index: int = 0
    logs: int = 0
    files: int = 0


@dataclass(frozen=True)
class Figures:
    """What was found.

    ``found_before`` counts rows of the database, keys of Redis and, embedded, files before the erasure; ``erased`` is
    what the service says it removed, ``left`` what it still counted afterwards, ``revived`` how many events of before
    were recorded when they came again, ``learnt`` how many lists were still made of what the backbone learnt of
    somebody erased.
    """

    users: int
    found_before: dict[str, int]
    traces_database: int
    traces_redis: int
    traces_index: int
    traces_logs: int
    traces_files: int
    erased: dict[str, int]
    left: int
    revived: int
    learnt: int
    seconds: float


def main() -> None:
    """Run and print."""
    parser = command.parser(__doc__, quick="40 people")
    command.add_adapter(parser)
    parser.add_argument("--users", type=int, default=1000, help="people (1000)")
    options = parser.parse_args()
    processes.end_on_sigterm()
    _, adapter = command.served(options.work, adapter=options.adapter)
    with tempfile.TemporaryDirectory(prefix="coldstart-state-") as folder:
        command.tell(run(adapter, Path(folder), users=40 if options.quick else options.users))


def run(adapter: Path, folder: Path, *, users: int, flags: Sequence[str] = ()) -> Figures:
    """The figures of both layouts together, of which the embedded one has a tenth of the people, but ten at least."""
    begin = time.monotonic()
    shared = _scaled_out(adapter, folder / "scaled-out", users, flags)
    alone = _embedded(adapter, folder / "embedded", max(10, users // 10), flags)
    after = {
        f"traces_{place}": getattr(shared.after, place) + getattr(alone.after, place)
        for place in ("database", "redis", "index", "logs", "files")
    }
    return Figures(
        users=shared.people.number + alone.people.number,
        found_before={
            "database": shared.before.database,
            "redis": shared.before.redis,
            "files": alone.before.files,
        },
        **after,
        erased=dict(shared.people.erased + alone.people.erased),
        left=shared.people.left + alone.people.left,
        revived=shared.people.revived + alone.people.revived,
        learnt=shared.people.learnt + alone.people.learnt,
        seconds=round(time.monotonic() - begin, 1),
    )


@dataclass(frozen=True)
class _Layout:
    """What one layout showed."""

    before: Traces
    after: Traces
    people: "_People"


def _scaled_out(adapter: Path, folder: Path, users: int, flags: Sequence[str]) -> _Layout:
    logs, state = [folder / "service.log", folder / "worker.log"], folder / "state"
    with ExitStack() as stack:
        database = stack.enter_context(processes.postgresql_server())
        redis_url = stack.enter_context(processes.redis())
        servers = ["--database-url", database.url, "--broker-url", redis_url, "--redis-url", redis_url]
        every = [*_flags(adapter, state, flags), *servers, "--no-embedded-worker"]
        with processes.service(every, logs[0]) as service, processes.worker(every, logs[1]):
            people = _People(service, adapter, users)
            people.live()
            before = Traces(database=in_database(database.url), redis=in_redis(redis_url))
            people.erase()
            rows, keys, files = in_database(database.url), in_redis(redis_url), in_files(state)
        lines = in_logs([*logs, database.log])
    return _Layout(before, Traces(rows, keys, in_index(state, adapter), lines, files), people)


def _embedded(adapter: Path, folder: Path, users: int, flags: Sequence[str]) -> _Layout:
    log, state = folder / "service.log", folder / "state"
    with processes.service(_flags(adapter, state, flags), log) as service:
        people = _People(service, adapter, users)
        people.live()
        before = Traces(files=in_files(state))
        people.erase()
        files = in_files(state)
    return _Layout(before, Traces(index=in_index(state, adapter), logs=in_logs([log]), files=files), people)


def _flags(adapter: Path, state: Path, flags: Sequence[str]) -> list[str]:
    return ["--data-dir", str(state), "--adapter", str(adapter.resolve()), *LOUD, *flags]


class _People:
    """People of a service: first they live, then they are erased."""

    def __init__(self, service: processes.Service, adapter: Path, number: int) -> None:
        backbone = load_artifact(adapter).adapter.backbone
        self._url, self._items = service.url, backbone.items.ids
        self._people = [f"{MARK}-{n}" for n in range(number)]
        self._trained = backbone.users.ids[:TRAINED]
        service.wait_until(
            lambda: service.counts()["pending"] == service.counts()["encoding"] == 0, seconds=120, what="the first load"
        )
        self.number, self.erased = 0, Counter[str]()
        self.left, self.revived, self.learnt = 0, 0, 0
        service.client.post("/experiments", json=EXPERIMENT).raise_for_status()
        service.client.post("/experiments/diversity/start").raise_for_status()

    def live(self) -> None:
        """Everybody does what people do."""
        self._each(self._people, self._live)

    def erase(self) -> None:
        """Everybody is erased, and what they did is told again."""
        answers = self._each([*self._people, *self._trained], _erase)
        self.number = len(answers)
        for answer in answers:
            self.erased += Counter(answer["erased"])
        self.left = sum(sum(answer["left"].values()) for answer in answers)
        self.revived = sum(self._each(self._people, self._tell))
        self.learnt = sum("history" in strategy for strategy in self._each(self._trained, _strategy))

    def _live(self, client: httpx.Client, user_id: str) -> None:
        said = {
            "preferences": f"{user_id} likes a warm lamp for the reading corner",
            "liked": [self._items[0]],
            "disliked": [f"{MARK}-does-not-like"],
            "attributes": {"name": user_id},
        }
        client.put(f"/users/{user_id}", json=said).raise_for_status()
        self._tell(client, user_id)
        for name in _names(user_id)[1:]:
            client.post(f"/users/{user_id}/merge", json={"from": name}).raise_for_status()
        for name in _names(user_id):
            client.get(f"/users/{name}/recommendations").raise_for_status()
            client.get(f"/users/{name}").raise_for_status()

    def _tell(self, client: httpx.Client, user_id: str) -> int:
        """What they clicked, under each of their names; how many of these events are new."""
        events = [
            {"event_id": f"{name}-{n}", "user_id": name, "item_id": self._items[n], "timestamp": 1_700_000_000 + n}
            for name in _names(user_id)
            for n in range(CLICKS)
        ]
        return int(client.post("/events", json={"events": events}).raise_for_status().json()["recorded"])

    def _each(self, user_ids: Sequence[str], work: Any) -> list[Any]:
        """The work's answer for each of the users, several at once."""
        with httpx.Client(base_url=self._url, timeout=60) as client, ThreadPoolExecutor(CLIENTS) as pool:
            return list(pool.map(lambda user_id: work(client, user_id), user_ids))


def _names(user_id: str) -> list[str]:
    """The user's, and for every second one that of the visitor they were."""
    return [user_id, f"{user_id}-anonymous"] if int(user_id.rpartition("-")[2]) % 2 else [user_id]


def _erase(client: httpx.Client, user_id: str) -> Mapping[str, Any]:
    answer: Mapping[str, Any] = client.delete(f"/users/{user_id}").raise_for_status().json()
    return answer


def _strategy(client: httpx.Client, user_id: str) -> str:
    return str(client.get(f"/users/{user_id}/recommendations").raise_for_status().json()["strategy"])


def in_database(url: str) -> int:
    """Rows in which the word stands, of all tables; bytes are looked at as bytes."""
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"))
    with engine.connect() as connection:
        tables = MetaData()
        tables.reflect(connection)
        found = sum(_tells(tuple(row)) for table in tables.tables.values() for row in connection.execute(select(table)))
    engine.dispose()
    return found


def in_redis(url: str) -> int:
    """Keys in which, or in whose value, the word stands."""
    with closing(Redis.from_url(url)) as redis:
        return sum(_tells((key, _value(redis, key))) for key in redis.scan_iter(count=1000))


def _value(redis: Any, key: bytes) -> object:
    """Of a key, whatever its type."""
    match redis.type(key):
        case b"string":
            return redis.get(key)
        case b"hash":
            return redis.hgetall(key)
        case b"list":
            return redis.lrange(key, 0, -1)
        case b"set":
            return redis.smembers(key)
        case b"zset":
            return redis.zrange(key, 0, -1)
        case b"stream":
            return redis.xrange(key)
        case other:  # gone between the two looks, or a type of which nothing could be told
            assert other == b"none", f"{key!r} is a {other!r}"
            return None


def in_index(state: Path, adapter: Path) -> int:
    """Points that tell the word in their ids or payloads."""
    with crash.opened_index(Settings(data_dir=state), load_artifact(adapter)) as index:
        pages = (index.fetch([held.item_id for held in page]) for page in index.scan(page=1000))
        return sum(_tells((point.item_id, point.payload)) for page in pages for point in page.values())


def in_logs(logs: Iterable[Path]) -> int:
    """Lines with the word."""
    lines = [line for log in logs for line in log.read_text(errors="replace").splitlines()]
    assert lines, "nothing was logged at all"
    return sum(map(_tells, lines))


def in_files(folder: Path) -> int:
    """Files in whose bytes the word stands."""
    return sum(MARK.encode() in path.read_bytes() for path in folder.rglob("*") if path.is_file())


def _tells(what: object) -> bool:
    return MARK in repr(what)


if __name__ == "__main__":
    main()
