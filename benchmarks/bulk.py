"""Sources to backfill, and ``coldstart backfill`` in a process of its own."""

import base64
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

import polars as pl

from benchmarks import processes
from coldstart.catalog.backfills import BackfillStore
from coldstart.catalog.bulk import Backfill
from coldstart.settings import Settings

PATIENCE_S = 3600.0


def write_source(folder: Path, bodies: Iterable[Mapping[str, object]]) -> int:
    """Items ``bulk-0``, ``bulk-1``, ... as they would be posted, in a parquet file with pictures beside; how many."""
    (folder / "images").mkdir(parents=True)
    rows = []
    for n, body in enumerate(bodies):
        picture = str(body["image"]).partition(",")[2]
        (folder / "images" / f"{n}.jpg").write_bytes(base64.b64decode(picture))
        rows.append({**body, "item_id": f"bulk-{n}", "image": f"images/{n}.jpg"})
    pl.DataFrame(rows).write_parquet(folder / "items.parquet")
    return len(rows)


@contextmanager
def loading(source: Path, state: Path, *, resume: bool = False) -> Iterator[processes.Process]:
    """``coldstart backfill`` into a data folder, killed afterwards."""
    what = ["--resume"] if resume else [str(source)]
    process = processes.Process(["backfill", *what, "--yes", "--data-dir", str(state)], state.parent / "backfill.log")
    try:
        yield process
    finally:
        process.kill()


def wait_for_rows(process: processes.Process, state: Path, done: int) -> Backfill:
    """The last backfill, when so many of its rows are done with."""
    with closing(BackfillStore(Settings(data_dir=state).catalog_url)) as store:

        def last() -> list[Backfill]:
            return store.list_backfills(limit=1)

        process.wait_until(
            lambda: any(each.position - each.waiting >= done for each in last()), seconds=PATIENCE_S, what="the load"
        )
        return last()[0]
