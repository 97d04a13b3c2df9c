"""``coldstart adapters``: adapter versions of a deployment, on its database, which its services follow."""

import json
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli.options import Json, moment, with_settings
from coldstart.errors import Conflict
from coldstart.settings import Settings

if TYPE_CHECKING:
    from coldstart.catalog.adapters import AdapterRecord, AdapterStore

adapters = typer.Typer(help="List, register, promote, roll back and retire adapter versions.", no_args_is_help=True)
Version = Annotated[str, typer.Argument(metavar="VERSION", help="As the list shows it")]
LOOK_S = 0.2


@adapters.command("list")
@with_settings("data_dir", "database_url")
def list_adapters(settings: Settings, as_json: Json = False) -> None:
    """List the versions, oldest first: which is served, which is the way back, and how far others are."""
    with closing(_store(settings)) as store:
        found = store.list_adapters()
    if as_json:
        print(json.dumps([_told(each) for each in found]))
    for each in [] if as_json else found:
        print(_line(each))


@adapters.command()
@with_settings("data_dir", "database_url")
def show(settings: Settings, version: Version, as_json: Json = False) -> None:
    """Show a version and its card."""
    with closing(_store(settings)) as store:
        found = store.get(version)
    if as_json:
        print(json.dumps({**_told(found), "card": found.identity.card}))
    else:
        print(f"{_line(found)}\n\n{found.identity.card}".rstrip())


@adapters.command()
@with_settings("data_dir", "database_url", "backbone")
def register(
    settings: Settings,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="An adapter's folder, which has to stay where it is")],
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Return when it is ready, or at once")] = True,
    as_json: Json = False,
) -> None:
    """Take in an adapter: a running service places every item in its space, checks it, and serves what it did before.

    Nothing is encoded again. Without a running service this waits for one; what there is to do is kept.
    """
    from adapters.serving import ServedAdapter
    from workers.choosing import identify

    identity = identify(ServedAdapter.load(folder, backbone=settings.backbone), folder)
    with closing(_store(settings)) as store:
        registered = store.register(identity)
        if wait:
            registered = _followed(store, registered)
    _print(registered, as_json=as_json)


@adapters.command()
@with_settings("data_dir", "database_url")
def promote(settings: Settings, version: Version, as_json: Json = False) -> None:
    """Serve a version that is ready, and keep the one that was served for the way back."""
    with closing(_store(settings)) as store:
        _print(store.promote(version), as_json=as_json)


@adapters.command()
@with_settings("data_dir", "database_url")
def rollback(settings: Settings, as_json: Json = False) -> None:
    """Serve again what was served before the last promotion."""
    with closing(_store(settings)) as store:
        _print(store.rollback(), as_json=as_json)


@adapters.command()
@with_settings("data_dir", "database_url")
def retire(settings: Settings, version: Version, as_json: Json = False) -> None:
    """Keep a version no longer: its vectors are dropped, and its folder is left where it is."""
    with closing(_store(settings)) as store:
        _print(store.retire(version), as_json=as_json)


def _store(settings: Settings) -> "AdapterStore":
    from coldstart.catalog.adapters import AdapterStore

    return AdapterStore(settings.catalog_url)


def _followed(store: "AdapterStore", record: "AdapterRecord") -> "AdapterRecord":
    """The version once it is ready; `Conflict` where it fails."""
    from api.cli.offline import progress_by_name
    from coldstart.catalog.adapters import AdapterStatus

    with progress_by_name("place") as on_progress:
        while record.status in (AdapterStatus.REGISTERED, AdapterStatus.PROJECTING):
            on_progress(record.version, record.projected, max(record.total, 1))
            time.sleep(LOOK_S)
            record = store.get(record.version)
        if record.status is AdapterStatus.FAILED:
            raise Conflict(f"it cannot be served: {record.error}", subject=record.version)
        on_progress(record.version, 1, 1)
    return record


def _told(record: "AdapterRecord") -> dict[str, Any]:
    """What is printed as JSON."""
    own = record.identity
    return {
        "version": record.version, "status": record.status, "folder": own.folder, "projected": record.projected,
        "total": record.total, "registered_at": moment(record.registered_at), "ready_at": moment(record.ready_at),
        "live_at": moment(record.live_at), "backbone": own.backbone, "text_encoder": own.text_encoder,
        "image_encoder": own.image_encoder, "error": record.error,
    }  # fmt: skip


def _print(record: "AdapterRecord", *, as_json: bool) -> None:
    print(json.dumps(_told(record)) if as_json else _line(record))


def _line(record: "AdapterRecord") -> str:
    from coldstart.catalog.adapters import AdapterStatus

    match record.status:
        case AdapterStatus.PROJECTING:
            more = f"{record.projected:,} of {record.total:,} items"
        case AdapterStatus.FAILED:
            more = record.error or ""
        case _:
            more = f"live {moment(record.live_at)}" if record.live_at else f"registered {moment(record.registered_at)}"
    return f"{record.version}  {record.status:<10}  {more}  {record.identity.folder}"
