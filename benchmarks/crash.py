"""kill -9 of the service while items are posted: whether all that was answered 202 is retrievable, and once.

``python -m benchmarks.crash`` serves an adapter (of DATA, or of a small sample shop), posts items with text and picture
from several threads as fast as they are accepted, every tenth of them twice, and kills the service with SIGKILL in the
middle of it, ``--kills`` times. Each time it is started again, and what had no answer is posted again. In the end every
item has to be in the answers to a recommendation request, and in the index exactly once, at the version accepted last.
Ends with one JSON line. A kill takes the process away, not the machine: what a power cut does is not shown here.
"""

import tempfile
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from adapters.artifact import Artifact, load_artifact
from adapters.serving import ServedAdapter
from api.cli.arrivals import item_body
from benchmarks import command, processes
from coldstart.catalog import Status, open_item_store
from coldstart.dataset import Dataset, read_dataset
from coldstart.index import VectorIndex, index_store_of
from coldstart.settings import Settings

POSTERS = 4
TWICE_EVERY = 10
PAGE = 1000
SETTLE_S = 120.0


@dataclass(frozen=True)
class Figures:
    """What became of the items.

    ``unfinished`` were accepted but not retrievable when the service was killed, summed over the kills; ``lost`` are
    not in the index at the version accepted last; ``twice`` are in it, or in an answer, more often than once.
    """

    accepted: int
    retrievable: int
    lost: int
    twice: int
    kills: int
    unfinished: int
    unanswered: int
    seconds: float


@dataclass
class Posting:
    """Items on their way: those still to be posted, and the last version accepted of each that was."""

    waiting: deque[tuple[str, Mapping[str, object]]]
    accepted: dict[str, int] = field(default_factory=dict)
    unanswered: int = 0
    answers: int = 0
    changed: threading.Condition = field(default_factory=threading.Condition)

    @classmethod
    def of(cls, dataset: Dataset, number: int) -> "Posting":
        """So many new items with the contents of the data set's, every tenth of them sent again right away."""
        waiting: deque[tuple[str, Mapping[str, object]]] = deque()
        for n in range(number):
            body = item_body(dataset, n % len(dataset.items))
            waiting.append((f"new-{n}", body))
            if n % TWICE_EVERY == 0:
                waiting.append((f"new-{n}", {**body, "title": f"{body['title']}, second edition"}))
        return cls(waiting)

    def go(self, url: str) -> None:
        """Post until nothing waits; what gets no answer waits again, and ends this call."""
        with httpx.Client(base_url=url, timeout=60) as client:
            while True:
                with self.changed:
                    if not self.waiting:
                        return
                    item_id, body = self.waiting.popleft()
                try:
                    answer = client.put(f"/items/{item_id}", json=body)
                except httpx.TransportError:
                    with self.changed:
                        self.waiting.append((item_id, body))
                        self.unanswered += 1
                    return
                version = int(answer.raise_for_status().json()["version"])
                with self.changed:
                    self.accepted[item_id] = max(version, self.accepted.get(item_id, 0))
                    self.answers += 1
                    self.changed.notify_all()


def main() -> None:
    """Run and print."""
    parser = command.parser(__doc__, quick="100 items")
    parser.add_argument("data", type=Path, nargs="?", help="data set whose contents are posted; default a sample shop")
    command.add_adapter(parser)
    parser.add_argument("--items", type=int, default=500, help="items to post (500)")
    parser.add_argument("--kills", type=int, default=1, help="how often the service is killed (1)")
    options = parser.parse_args()
    processes.end_on_sigterm()
    data, adapter = command.served(options.work, data=options.data, adapter=options.adapter)
    with tempfile.TemporaryDirectory(prefix="coldstart-state-") as folder:
        figures = run(
            adapter, read_dataset(data), Path(folder),
            items=100 if options.quick else options.items, kills=options.kills,
        )  # fmt: skip
    command.tell(figures)


def run(adapter: Path, dataset: Dataset, folder: Path, *, items: int, kills: int, flags: Sequence[str] = ()) -> Figures:
    """Post items to a service on the folder and kill it as often, at even distances; then look at what there is."""
    started = time.perf_counter()
    artifact = load_artifact(adapter)
    settings = Settings(data_dir=folder / "state", adapter=adapter.resolve())
    arguments = ["--data-dir", str(settings.data_dir), "--adapter", str(settings.adapter), *flags]
    posting = Posting.of(dataset, items)
    to_post, unfinished = len(posting.waiting), 0
    for kill in range(kills):
        with processes.service(arguments, folder / f"service-{kill}.log") as service:
            _post(posting, service, kill_after=to_post * (kill + 1) // (kills + 1))
        unfinished += _unfinished(settings, posting)
    with processes.service(arguments, folder / f"service-{kills}.log") as service:
        _post(posting, service)
        known = len(artifact.adapter.backbone.items)
        service.wait_until(
            lambda: sum(service.counts()[end] for end in ("retrievable", "dead")) == known + len(posting.accepted),
            seconds=SETTLE_S, what="an end for every item that was accepted",
        )  # fmt: skip
        answered = _answered(service.client, artifact.adapter.backbone.users.ids[0])
    live, stored = indexed(settings, artifact, list(posting.accepted))
    return Figures(
        accepted=len(posting.accepted),
        retrievable=sum(item_id in answered for item_id in posting.accepted),
        lost=sum(stored.get(item_id) != version for item_id, version in posting.accepted.items()),
        twice=max(0, live - known - len(stored)) + sum(times - 1 for times in answered.values()),
        kills=kills,
        unfinished=unfinished,
        unanswered=posting.unanswered,
        seconds=round(time.perf_counter() - started, 1),
    )


def _post(posting: Posting, service: processes.Service, *, kill_after: int | None = None) -> None:
    """Post what waits from several threads; kill the service when so many posts have been answered in all."""
    with ThreadPoolExecutor(POSTERS, thread_name_prefix="poster") as pool:
        posters = [pool.submit(posting.go, service.url) for _ in range(POSTERS)]
        if kill_after is not None:
            with posting.changed:
                posting.changed.wait_for(lambda: posting.answers >= kill_after, SETTLE_S)
            service.kill()
    for poster in posters:
        poster.result()


def _unfinished(settings: Settings, posting: Posting) -> int:
    """How many accepted items are not retrievable, by the database that the killed service left."""
    with closing(open_item_store(settings.catalog_url)) as store:
        records = store.get_many(list(posting.accepted))
    return sum(record.status is not Status.RETRIEVABLE for record in records.values())


def _answered(client: httpx.Client, user_id: str) -> Counter[str]:
    """How often each cold item is in the user's lists of cold items, a thousand at a time until there are no more."""
    found: Counter[str] = Counter()
    while True:
        body = {
            "user_id": user_id, "limit": PAGE, "filter": {"cold": True}, "exclude": list(found), "explain": False,
        }  # fmt: skip
        rows = client.post("/recommendations", json=body).raise_for_status().json()["rows"]
        if not rows:
            return found
        found.update(row["item_id"] for row in rows)


@contextmanager
def opened_index(settings: Settings, artifact: Artifact) -> Iterator[VectorIndex]:
    """The index that the stopped service left."""
    with closing(index_store_of(settings)) as indexes:
        yield indexes.create(artifact.version, ServedAdapter(artifact).dim)


def indexed(settings: Settings, artifact: Artifact, item_ids: Sequence[str]) -> tuple[int, dict[str, int]]:
    """Live points in the index that the stopped service left, and the version of each of the items in it."""
    with opened_index(settings, artifact) as index:
        return index.count(), {item_id: point.version for item_id, point in index.fetch(item_ids).items()}


if __name__ == "__main__":
    main()
