"""Backup, wipe, restore, start: whether the index is what the backup's catalogue says, and how long it takes.

``python -m benchmarks.restore`` serves an adapter from a data folder of its own (with SQLite, and once more with
PostgreSQL where that is installed) while four threads post, change and delete items. In the middle of it ``coldstart
backup`` saves the deployment. Then the service is stopped, data folder and database are removed, ``coldstart restore``
brings the backup back, and the service is started. When nothing is owed any more, the index is compared with the
catalogue as it was restored: ids, versions, and the bits of the vectors. A second time it is started beside the old
index, which knows what came after the backup, after ``coldstart doctor --reconcile``. Ends with one JSON line.
"""

import hashlib
import json
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from rich.progress import Progress

from adapters.artifact import backbone_path, load_artifact
from benchmarks import command, processes
from benchmarks.crash import opened_index
from benchmarks.deployment import owed
from benchmarks.ledger import Entry, Ledger
from coldstart.catalog import ItemStore, Status, open_item_store
from coldstart.catalog.statements import chunks
from coldstart.index import VectorIndex
from coldstart.settings import Settings
from coldstart.vectors import Vector

POSTERS = 4
SETTLE_S = 300.0
PAGE = 500
_STEP_S = 0.02  # between two new items while the backup is taken
_ROUNDING = 1e-3  # of a vector's length, which encoding in another batch may change

Live = dict[str, tuple[int, Vector | None]]
"""What should be in the index: version and vector by id, no vector where the item is not encoded yet."""

Database = Callable[[], AbstractContextManager[str | None]]
"""Makes an empty database; its URL, or ``None`` for SQLite in the data folder."""


@dataclass(frozen=True)
class Drill:
    """What became of the deployment.

    ``items`` are in the restored index. ``lost`` were accepted before the backup began and are not in it as accepted,
    or newer; ``gone`` were accepted after it and are away, as promised; ``changed_meanwhile`` counts answers while it
    was taken. ``rto_s`` is from the call of restore to a service that is ready and owes its index nothing.
    ``newer_index_reconciled`` is ``None`` where that was not tried.
    """

    items: int
    digest_equal: bool
    lost: int
    rto_s: float
    backup_s: float
    restore_s: float
    changed_meanwhile: int
    gone: int
    newer_index_reconciled: bool | None
    backup_bytes: int


def main() -> None:
    """Run and print."""
    parser = command.parser(__doc__, quick="300 items")
    command.add_adapter(parser)
    parser.add_argument("--items", type=int, default=5000, help="items to post, beside those during the backup (5,000)")
    options = parser.parse_args()
    processes.end_on_sigterm()
    _, adapter = command.served(options.work, adapter=options.adapter)
    databases: dict[str, Database] = {"sqlite": lambda: nullcontext(None), "postgresql": processes.postgresql}
    drills: dict[str, Drill] = {}
    with Progress(disable=not sys.stderr.isatty()) as bars:
        task = bars.add_task("drills", total=len(databases))
        for name, database in databases.items():
            with tempfile.TemporaryDirectory(prefix="coldstart-state-") as folder:
                try:
                    drills[name] = run(
                        adapter, Path(folder), database=database, items=300 if options.quick else options.items
                    )
                except processes.NotInstalled as missing:
                    print(f"{name}: {missing}", file=sys.stderr)
            bars.advance(task)
    print(f"{'':<24}" + "".join(f"{name:>12}" for name in drills))
    for figure in asdict(next(iter(drills.values()))):
        print(f"{figure:<24}" + "".join(f"{getattr(drill, figure)!s:>12}" for drill in drills.values()))
    print(json.dumps({name: asdict(drill) for name, drill in drills.items()}))
    if any(drill.lost or not (drill.digest_equal and drill.newer_index_reconciled) for drill in drills.values()):
        sys.exit(1)


def run(
    adapter: Path, folder: Path, *, database: Database, items: int, newer_index: bool = True, flags: Sequence[str] = ()
) -> Drill:
    """One drill, on as many new databases as are restored into; without ``newer_index`` that is one."""
    state, backup, newer = folder / "state", folder / "backup", folder / "newer-index"
    _own(adapter, state)
    artifact = load_artifact(Settings(data_dir=state).adapter_dir)
    known = len(artifact.adapter.backbone.items)
    with _site(state, database, flags) as (settings, options):
        with processes.service(options, folder / "first.log") as service:
            service.wait_until(
                lambda: service.counts()["retrievable"] == known, seconds=SETTLE_S, what="the first load"
            )
            ledger = Ledger(service.url, limit=items // 2)
            with _posting(ledger):
                _until(lambda: len(ledger.entries) >= ledger.limit)
                promised, answers = (
                    {i: replace(e) for i, e in list(ledger.entries.items()) if e.version},
                    ledger.answers,
                )
                backup_s = _saved(backup, options, ledger)
                changed_meanwhile = ledger.answers - answers
                ledger.limit += items // 2
                _until(lambda: len(ledger.entries) >= ledger.limit)
            service.wait_until(lambda: owed(settings) == 0, seconds=SETTLE_S, what="an end for every item")
        settings.index_dir.rename(newer)
    shutil.rmtree(state)

    with _site(state, database, flags) as (settings, options):
        restore_s = _timed(lambda: processes.coldstart("restore", str(backup), *_place(options)))
        with closing(open_item_store(settings.catalog_url)) as store:
            said = _live(store, artifact.version)
            lost = sum(not _kept(store, item_id, entry) for item_id, entry in promised.items())
            gone = sum(_is_gone(store, item_id, entry) for item_id, entry in ledger.entries.items())
        start_s = _timed(lambda: _run_until_settled(settings, options, folder / "restored.log"))
        with closing(open_item_store(settings.catalog_url)) as store, opened_index(settings, artifact) as index:
            now, there = _live(store, artifact.version), _indexed(index)
        said |= {item_id: (version, now[item_id][1]) for item_id, (version, vector) in said.items() if vector is None}
        items, equal = len(there), _digest(said) == _digest(there)
    shutil.rmtree(state)

    reconciled = None
    if newer_index:
        with _site(state, database, flags) as (settings, options):
            processes.coldstart("restore", str(backup), *_place(options))
            newer.rename(settings.index_dir)
            processes.coldstart("doctor", "--reconcile", *options)
            _run_until_settled(settings, options, folder / "newer.log")
            with closing(open_item_store(settings.catalog_url)) as store, opened_index(settings, artifact) as index:
                reconciled = _alike(_live(store, artifact.version), _indexed(index), ids=said)
    return Drill(
        items=items, digest_equal=equal, lost=lost, rto_s=round(restore_s + start_s, 2), backup_s=round(backup_s, 2),
        restore_s=round(restore_s, 2), changed_meanwhile=changed_meanwhile, gone=gone,
        newer_index_reconciled=reconciled, backup_bytes=sum(p.stat().st_size for p in backup.rglob("*") if p.is_file()),
    )  # fmt: skip


def _own(adapter: Path, state: Path) -> None:
    """Adapter and backbone in the data folder, where a wipe takes them along."""
    place = Settings(data_dir=state).adapter_dir
    shutil.copytree(adapter, place)
    shutil.copytree((adapter / backbone_path(adapter)).resolve(), (place / backbone_path(adapter)).resolve())


@contextmanager
def _site(state: Path, database: Database, flags: Sequence[str]) -> Iterator[tuple[Settings, list[str]]]:
    """An empty database, and the settings of a deployment on it, also as flags."""
    with database() as url:
        options = ["--data-dir", str(state), *([] if url is None else ["--database-url", url])]
        yield Settings(data_dir=state, database_url=url), [*options, *flags]


def _place(options: Sequence[str]) -> Sequence[str]:
    """Those of the flags that say where a deployment is."""
    pairs = zip(options[::2], options[1::2], strict=True)
    return [word for pair in pairs if pair[0] in ("--data-dir", "--database-url") for word in pair]


@contextmanager
def _posting(ledger: Ledger) -> Iterator[None]:
    """Four threads that post as far as the ledger's limit, and wait there until the block ends."""

    def post(number: int) -> None:
        with suppress(RuntimeError):  # which is how the ledger ends it
            ledger.post(number, sys.maxsize, random.Random(number))

    with ThreadPoolExecutor(POSTERS, thread_name_prefix="poster") as pool:
        posters = [pool.submit(post, number) for number in range(POSTERS)]
        try:
            yield
        finally:
            ledger.end()
    for poster in posters:
        poster.result()


def _saved(backup: Path, options: Sequence[str], ledger: Ledger) -> float:
    """Take the backup while there is always more to post; the seconds it took."""
    with ThreadPoolExecutor(1) as pool:
        taken = pool.submit(_timed, lambda: processes.coldstart("backup", str(backup), *_place(options)))
        while not taken.done():
            ledger.limit += 1
            time.sleep(_STEP_S)
        return taken.result()


def _run_until_settled(settings: Settings, options: Sequence[str], log: Path) -> None:
    with processes.service(options, log) as service:
        service.wait_until(lambda: owed(settings) == 0, seconds=SETTLE_S, what="the index")


def _live(store: ItemStore, adapter_version: str) -> Live:
    """What the catalogue says should be in the index."""
    found: Live = {}
    for status in (Status.PENDING, Status.ENCODING, Status.RETRIEVABLE):
        offset = 0
        while records := store.list_items(limit=PAGE, offset=offset, status=status):
            found |= {record.item.item_id: (record.version, None) for record in records}
            offset += PAGE
    after: str | None = None
    while page := store.settled(adapter_version=adapter_version, after=after, limit=PAGE):
        found |= {each.item_id: (each.version, each.vector) for each in page if each.vector is not None}
        after = page[-1].item_id
    return found


def _indexed(index: VectorIndex) -> Live:
    """What is in the index."""
    ids = [held.item_id for page in index.scan(page=PAGE) for held in page if not held.deleted]
    return {
        item_id: (point.version, point.vector)
        for part in chunks(ids, PAGE)
        for item_id, point in index.fetch(part).items()
    }


def _digest(live: Live) -> str:
    """SHA-256 over ids, versions and the bits of vectors."""
    digest = hashlib.sha256()
    for item_id in sorted(live):
        version, vector = live[item_id]
        digest.update(f"{item_id} {version} ".encode() + (b"" if vector is None else vector.tobytes()))
    return digest.hexdigest()


def _alike(said: Live, there: Live, *, ids: Mapping[str, object]) -> bool:
    """Whether the index holds these ids at the catalogue's versions, its vectors to within what batches change."""
    if not said.keys() == there.keys() == ids.keys():
        return False
    for item_id, (version, vector) in said.items():
        at, other = there[item_id]
        if vector is None or other is None or version != at:
            return False
        if np.linalg.norm(vector - other) > _ROUNDING * np.linalg.norm(vector):
            return False
    return True


def _kept(store: ItemStore, item_id: str, entry: Entry) -> bool:
    record = store.get_many([item_id]).get(item_id)
    return record is not None and record.version >= entry.version


def _is_gone(store: ItemStore, item_id: str, entry: Entry) -> bool:
    record = store.get_many([item_id]).get(item_id)
    return record is None or record.version < entry.version


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SETTLE_S
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"the posts did not come about within {SETTLE_S:.0f} s")
        time.sleep(_STEP_S)


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
