"""How ``coldstart backfill`` tells what a source costs and how a load stands."""

import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from coldstart.catalog.bulk import Backfill


_STILL_S = 15.0


def facts(found: "Backfill") -> dict[str, Any]:
    """A backfill as JSON says it, here and over HTTP."""
    from api.schemas.backfills import BackfillView

    return BackfillView.of(found).model_dump(mode="json")


def print_backfill(found: "Backfill") -> None:
    """A backfill in three lines."""
    share = found.position / found.source.rows
    eta = "" if not found.eta_s else f", {_duration(found.eta_s)} to go"
    speed = "" if found.items_per_s is None else f"  {found.items_per_s:,.0f} items/s{eta}"
    print(f"{found.backfill_id}  {found.state:<11}  {share:>6.1%} of {found.source.rows:,} rows{speed}")
    print(
        f"  {found.accepted:,} accepted ({found.retrievable:,} retrievable, {found.waiting:,} waiting, "
        f"{found.dead:,} dead), {found.unchanged:,} unchanged, {found.overtaken:,} overtaken, {found.refused:,} refused"
    )
    print(f"  {found.source.name}{'' if found.error is None else f': {found.error}'}")


def tell_cost(told: dict[str, Any], *, as_json: bool = False, out: TextIO | None = None) -> None:
    """The cost, for a person or a program."""
    out = out or sys.stdout
    if as_json:
        print(json.dumps(told), file=out)
        return
    print(f"{told['source']}: {told['rows']:,} rows in {told['files']} files, {told['bytes'] / 1e6:,.1f} MB", file=out)
    print(
        f"  {told['items']:,} items, {told['pictures']:,} with a picture ({told['picture_bytes'] / 1e6:,.1f} MB), "
        f"{told['addresses']:,} with an address of one; {told['refused']:,} rows are refused, "
        f"{told['without_picture']:,} lose their picture",
        file=out,
    )
    for problem in told["problems"]:
        print(f"    {problem['place']}: {problem['item_id']}: {problem['cause']}", file=out)
    print(
        f"  {told['cpu_ms_per_item']} ms of a processor an item ({told['sampled']} encoded to see): "
        f"{told['cpu_hours']:,.2f} CPU-hours",
        file=out,
    )
    times = ", ".join(f"{workers}: {_duration(seconds)}" for workers, seconds in told["eta_s"].items())
    print(f"  by number of workers {times}", file=out)
    print(
        f"  about {told['disk_mb']:,.0f} MB of disk, and {told['index_memory_mb']:,.0f} MB of memory for the index",
        file=out,
    )


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


@contextmanager
def bar(begun: "Backfill") -> Iterator[Callable[["Backfill"], None]]:
    """A bar of rows that are done with: read, and encoded where they have to be; and a word where nobody encodes."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from api.cli.offline import console, remark

    moved_at, moved_to = time.monotonic(), -1
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[told]}"))
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:
        task = bars.add_task("load", total=begun.source.rows, completed=begun.position, told="")

        def on_progress(found: "Backfill") -> None:
            nonlocal moved_at, moved_to
            done = found.position - found.waiting
            eta = f"{_duration(found.eta_s)} to go" if found.eta_s else ""
            told = f"{found.waiting:,} wait to be encoded, {found.refused:,} refused  {eta}"
            bars.update(task, completed=done, told=told)
            if done != moved_to:
                moved_at, moved_to = time.monotonic(), done
            elif time.monotonic() > moved_at + _STILL_S:
                remark(f"Nothing was encoded for {_STILL_S:.0f} s: does coldstart serve, or coldstart worker, run?")
                moved_at = math.inf

        yield on_progress
