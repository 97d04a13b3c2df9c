"""Recall@20 of the lists that a service answers with, beside what the same adapter reaches offline.

``python -m benchmarks.served_recall DATA --split NAME`` trains a backbone and an adapter on the split's training part
(or takes what an earlier run left below ``--work``), serves them with ``coldstart serve``, posts the cold test items
one after another with text and picture, and asks for lists of cold items for users that the backbone knows. Offline,
the artifact embeds and ranks the same items for the same users. With ``--scaled-out`` the service runs on PostgreSQL
and a broker, with workers in processes of their own. Ends with one JSON line.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np

from adapters.artifact import Artifact, load_artifact
from adapters.embedding import embed_items
from api.cli.arrivals import Posted, lists_of, post_items
from benchmarks import command, processes
from benchmarks.rabbitmq import rabbitmq
from coldstart.dataset import Dataset, read_dataset
from coldstart.encoders import open_image_encoder, open_text_encoder
from coldstart.evaluation.metrics import rank, recall_ndcg
from coldstart.settings import Settings
from coldstart.splits import Split, read_split
from coldstart.vectors import Rows

K = 20
START_S = 120.0
Lists = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Task:
    """Which items are posted and whose lists are asked for: rows of the data set, sorted."""

    dataset: Dataset
    split: Split
    items: Rows
    users: Rows

    @classmethod
    def draw(cls, dataset: Dataset, split: Split, known: Sequence[str], *, items: int | None, users: int) -> "Task":
        """The first cold test items, and a sample (seed 0) of the known users who would click one of them."""
        posted = split.cold_test_items[:items]
        clicking = split.cold_test.user_rows[np.isin(split.cold_test.item_rows, posted)]
        eligible = np.intersect1d(clicking, dataset.users.rows(known))
        sample = np.random.default_rng(0).choice(eligible, size=min(users, len(eligible)), replace=False)
        return cls(dataset, split, posted, np.sort(sample))

    @property
    def user_ids(self) -> list[str]:
        """Ids of the users."""
        return [self.dataset.users.ids[row] for row in self.users]

    def recall(self, lists: Lists) -> float:
        """Mean Recall@20 over the users; only items of the task are true, as only they can be listed."""
        ranked = np.full((len(self.users), K), -1, dtype=np.int64)
        for place, user_id in enumerate(self.user_ids):
            rows = self.dataset.items.ids.rows(lists[user_id])
            if not np.isin(rows, self.items).all():
                raise SystemExit("the service lists cold items that were not posted here; start it on an empty folder")
            ranked[place, : len(rows)] = rows
        truth = self.split.cold_test.take(np.isin(self.split.cold_test.item_rows, self.items))
        matrix = truth.matrix(len(self.dataset.users), len(self.dataset.items))[self.users]
        return float(recall_ndcg(ranked, matrix)[0].mean())


def main() -> None:
    """Run and print."""
    options = _options()
    processes.end_on_sigterm()
    dataset = read_dataset(options.data)
    split = read_split(dataset, options.split)
    work = options.work / f"{dataset.name}-{options.split}-{options.backbone}"
    adapter = options.adapter or processes.trained(options.data, work, split=options.split, backbone=options.backbone)
    artifact = load_artifact(adapter)
    known = artifact.adapter.backbone.users.ids
    task = Task.draw(dataset, split, known, items=options.limit_items, users=options.users)
    with ExitStack() as stack:
        if options.url:
            client = stack.enter_context(httpx.Client(base_url=options.url, timeout=60))
            service = None
        else:
            state = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="coldstart-state-")))
            flags = ["--data-dir", str(state), "--adapter", str(adapter.resolve()), "--cold-share", "0"]
            workers = options.workers if options.scaled_out else 0
            service = stack.enter_context(deployment(flags, work / "logs", workers=workers, broker=options.broker))
            service.wait_until(
                lambda: service.counts()["retrievable"] == len(artifact.adapter.backbone.items),
                seconds=START_S, what="the backbone's own items in the index",
            )  # fmt: skip
            client = service.client
        served_version = client.get("/status").raise_for_status().json()["adapter_version"]
        if served_version != artifact.version:
            raise SystemExit(f"the service serves the adapter {served_version}, {adapter} is {artifact.version}")
        started = time.perf_counter()
        posted = post_items(client, dataset, task.items, on_progress=_progress(len(task.items)))
        seconds = time.perf_counter() - started
        served = lists_of(client, task.user_ids, limit=K, only_cold=True)
        memory = service.memory_mb() if service else None
    report(task, posted, served, offline_lists(task, artifact), seconds=seconds, memory=memory)


def _options() -> argparse.Namespace:
    parser = command.parser(__doc__, quick="50 items, 50 users")
    parser.add_argument("data", type=Path, help="data set folder")
    parser.add_argument("--split", required=True, help="published split of the data set")
    parser.add_argument("--backbone", choices=["lightgcn", "als"], default="lightgcn", help="which backbone to train")
    parser.add_argument("--adapter", type=Path, help="adapter to serve instead of training one")
    parser.add_argument("--users", type=int, default=200, help="users whose lists are asked for (200)")
    parser.add_argument("--limit-items", type=int, help="post only so many of the cold test items")
    parser.add_argument("--url", help="ask this service, which serves the same adapter and holds no cold item yet")
    parser.add_argument("--scaled-out", action="store_true", help="PostgreSQL, a broker, workers of their own")
    parser.add_argument("--workers", type=int, default=2, help="worker processes when scaled out (2)")
    parser.add_argument("--broker", choices=["redis", "rabbitmq"], default="redis", help="when scaled out (redis)")
    options = parser.parse_args()
    if options.quick:
        options.users, options.limit_items = min(50, options.users), min(50, options.limit_items or 50)
    return options


@contextmanager
def deployment(flags: Sequence[str], logs: Path, *, workers: int, broker: str) -> Iterator[processes.Service]:
    """The service in one process, or with so many workers on servers that it shares with them."""
    with ExitStack() as stack:
        if workers:
            database_url = stack.enter_context(processes.postgresql(sync=True))
            broker_url = stack.enter_context(rabbitmq() if broker == "rabbitmq" else processes.redis())
            flags = [*flags, "--no-embedded-worker", "--database-url", database_url, "--broker-url", broker_url]
        service = stack.enter_context(processes.service(flags, logs / "service.log"))
        for number in range(workers):
            stack.enter_context(processes.worker(flags, logs / f"worker-{number}.log"))
        yield service


def offline_lists(task: Task, artifact: Artifact) -> Lists:
    """The artifact's own ranking of the task's items for its users, without a service."""
    settings = Settings()
    items = task.dataset.take_items(task.items)
    contents = embed_items(
        items,
        text=open_text_encoder(artifact.text.model, cache=settings.cache),
        image=open_image_encoder(artifact.image.model, cache=settings.cache),
        cache=settings.cache,
    ).contents
    adapter = artifact.adapter
    users = adapter.user_vectors(adapter.backbone.users.rows(task.user_ids))
    ranked = rank(users, adapter.cold_vectors(adapter.blocks(contents)), K)
    return {
        user_id: [items.items.ids.ids[row] for row in rows]
        for user_id, rows in zip(task.user_ids, ranked.tolist(), strict=True)
    }


def report(
    task: Task, posted: Posted, served: Lists, offline: Lists, *, seconds: float, memory: tuple[float, float] | None
) -> None:
    """Print a table, then one line of JSON."""
    recall_served, recall_offline = task.recall(served), task.recall(offline)
    same = sum(list(served[user_id]) == list(offline[user_id]) for user_id in task.user_ids)
    shared = [len(set(served[user_id]) & set(offline[user_id])) for user_id in task.user_ids]
    rows = {
        "posted": f"{len(task.items):,} in {seconds:.1f} s",
        "retrievable": f"{len(posted.retrievable):,}",
        "of them without their picture": f"{len(posted.without_picture):,}",
        "time to recommendable p50 / p95": f"{posted.percentile(50):.1f} / {posted.percentile(95):.1f} ms",
        "users": f"{len(task.users):,}",
        f"Recall@{K} of the service": f"{recall_served:.5f}",
        f"Recall@{K} offline": f"{recall_offline:.5f}",
        "difference": f"{recall_served - recall_offline:+.5f}",
        "lists that are identical": f"{same:,}",
        "items that both lists have": f"{np.mean(shared):.2f} of {K}",
    }
    if memory is not None:
        rows["memory of the service, now / at most"] = f"{memory[0]:,.0f} / {memory[1]:,.0f} MB"
    for name, value in rows.items():
        print(f"{name:<40}{value}")
    for item_id, reason in posted.failed.items():
        print(f"not retrievable: {item_id}: {reason}")
    result = {
        "posted": len(task.items),
        "retrievable": len(posted.retrievable),
        "ttr_p50_ms": round(posted.percentile(50), 1),
        "ttr_p95_ms": round(posted.percentile(95), 1),
        f"recall@{K}_served": round(recall_served, 5),
        f"recall@{K}_offline": round(recall_offline, 5),
        "difference": round(recall_served - recall_offline, 5),
        "identical_lists": same,
        "users": len(task.users),
        "rss_mb": round(memory[0]) if memory else None,
        "rss_peak_mb": round(memory[1]) if memory else None,
    }
    print(json.dumps(result))


def _progress(total: int) -> Callable[[int], None]:
    def say(done: int) -> None:
        if sys.stderr.isatty():
            print(f"\rposted {done} of {total}", end="" if done < total else "\n", file=sys.stderr, flush=True)

    return say


if __name__ == "__main__":
    main()
