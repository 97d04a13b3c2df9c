"""``coldstart backfill``: a source of any length, behind whatever is posted."""

import json
import secrets
import signal
import sys
import time
from contextlib import closing
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli.backfill_report import bar, facts, print_backfill, tell_cost
from api.cli.options import with_settings
from coldstart.errors import Conflict, InvalidInput
from coldstart.settings import Settings

if TYPE_CHECKING:
    from coldstart.catalog.backfills import BackfillStore
    from coldstart.catalog.bulk import Backfill
    from workers.backfill.survey import Survey

_WAIT_S = 0.2

Data = Annotated[
    Path | None,
    typer.Argument(
        metavar="DATA", show_default=False,
        help="A csv, parquet or jsonl file of items, a data set's folder, or a folder of such files of one kind",
    ),
]  # fmt: skip
Status = Annotated[bool, typer.Option("--status", help="Show how backfills stand, newest first")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with the last one that is not done, or that of DATA")]
Id = Annotated[str | None, typer.Option("--id", help="Of the backfill to show or to go on with", show_default=False)]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Read everything and tell what it would cost; accept nothing")]
Rate = Annotated[float | None, typer.Option("--rate", min=0.001, help="Items a second at most", show_default=False)]
MaxProblems = Annotated[int, typer.Option("--max-problems", min=0, help="Stop when more rows have something wrong")]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Stay until everything is encoded, or accepted")]
Yes = Annotated[bool, typer.Option("--yes", help="Neither tell the cost first nor ask")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as one JSON line")]


@with_settings(
    "data_dir", "database_url", "adapter", "backbone", "cache_dir", "encoder_runtime", "encoder_precision", "threads",
    "image_hosts", "max_image_bytes", "max_image_pixels",
)  # fmt: skip
def backfill(
    settings: Settings,
    data: Data = None,
    status: Status = False,
    resume: Resume = False,
    backfill_id: Id = None,
    dry_run: DryRun = False,
    rate: Rate = None,
    max_problems: MaxProblems = 1000,
    wait: Wait = True,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Load many items into the catalogue of a service that runs or will: each is encoded when nothing newer waits.

    It may be stopped (Ctrl-C), or killed, and resumed: nothing is lost and nothing comes twice.
    """
    from api.cli.offline import remark
    from coldstart.catalog.backfills import BackfillStore
    from coldstart.catalog.bulk import State
    from workers.backfill.loading import Loader

    if sum((status, resume, dry_run)) > 1:
        raise InvalidInput("only one of --status, --resume and --dry-run can be done at a time")
    if data is None and not (status or resume):
        raise InvalidInput("there is nothing to load", remedy="Name DATA, or give --status or --resume")
    if dry_run and data is not None:
        tell_cost(_cost(settings, _survey(settings, data)), as_json=as_json)
        return
    with closing(BackfillStore(settings.catalog_url)) as store:
        if status:
            _show(store, backfill_id, as_json=as_json)
            return
        before = _left(store, backfill_id, data) if resume else None
        survey = _survey(settings, Path(before.source.name) if before else data or Path())
        if not yes:
            tell_cost(_cost(settings, survey), out=sys.stderr)
            if sys.stdin.isatty() and sys.stderr.isatty():
                typer.confirm("Load it?", abort=True, err=True)
        owner = secrets.token_hex(8)
        signal.signal(signal.SIGTERM, _interrupt)
        if before is None:
            begun = store.create(secrets.token_hex(4), survey.source, owner=owner, rate=rate)
        else:
            _wait_for(store, before)
            begun = store.take(before.backfill_id, survey.source, owner=owner, rate=rate)
        remark(f"backfill {begun.backfill_id}: {begun.source.rows:,} rows of {begun.source.name}")
        try:
            with bar(begun) as on_progress:
                loader = Loader(store, owner, max_problems=max_problems, on_progress=on_progress)
                ended = loader.load(begun, survey, wait=wait)
        except KeyboardInterrupt:
            ended = store.get(begun.backfill_id)
    if as_json:
        print(json.dumps(facts(ended)))
    else:
        print_backfill(ended)
    if ended.state is not State.DONE:
        remark(f"Go on with: coldstart backfill --resume --id {ended.backfill_id}")
        raise typer.Exit(1)


def _survey(settings: Settings, data: Path) -> "Survey":
    from api.cli.offline import console
    from workers.backfill.survey import look_through

    with console.status("Looking through the source") as shown:
        return look_through(
            data, max_bytes=settings.max_image_bytes,
            on_rows=lambda rows: shown.update(f"Looking through the source: {rows:,} rows"),
        )  # fmt: skip


def _cost(settings: Settings, survey: "Survey") -> dict[str, Any]:
    from api.cli.offline import console
    from workers.backfill.costing import cost, count, told

    with console.status("Reading everything") as shown:
        counted = count(survey, on_rows=lambda rows: shown.update(f"Reading everything: {rows:,} rows"))
        shown.update("Encoding a sample")
        return told(survey, counted, cost(counted, settings))


def _wait_for(store: "BackfillStore", before: "Backfill") -> None:
    """Let the lease of a process that may have been killed a moment ago run out."""
    from coldstart.catalog.bulk import State

    found = before
    while found.state is State.RUNNING and found.updated_at == before.updated_at:
        time.sleep(_WAIT_S)
        found = store.get(before.backfill_id)


def _left(store: "BackfillStore", backfill_id: str | None, data: Path | None) -> "Backfill":
    """What is to be resumed."""
    from coldstart.catalog.bulk import State

    if backfill_id is not None:
        return store.get(backfill_id)
    source = None if data is None else str(data.resolve())
    for each in store.list_backfills():
        if each.state is not State.DONE and source in (None, each.source.name):
            return each
    raise Conflict("no backfill was left half way", subject=source, remedy="coldstart backfill --status shows them all")


def _show(store: "BackfillStore", backfill_id: str | None, *, as_json: bool) -> None:
    found = store.list_backfills() if backfill_id is None else [store.get(backfill_id)]
    if as_json:
        print(json.dumps([facts(each) for each in found]))
        return
    for each in found:
        print_backfill(each)
    for problem in store.problems(backfill_id, limit=100) if backfill_id is not None else []:
        print(f"  {problem.place}: {problem.item_id}: {problem.cause}{' (accepted)' if problem.accepted else ''}")


def _interrupt(_: int, __: FrameType | None) -> None:
    """A polite kill is an interrupt: the backfill is left paused."""
    raise KeyboardInterrupt
