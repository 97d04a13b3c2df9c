"""``coldstart keys``: API keys of the HTTP interface."""

import json
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.options import Json, moment, with_settings
from coldstart.access import ApiKey, Scope
from coldstart.settings import Settings

if TYPE_CHECKING:
    from coldstart.catalog.keys import KeyStore

keys = typer.Typer(help="Make, list and revoke API keys of the HTTP interface.", no_args_is_help=True)


@keys.command()
@with_settings("data_dir", "database_url")
def create(
    settings: Settings,
    scope: Annotated[Scope, typer.Option("--scope", help="What it may do; each includes the ones before it")],
    name: Annotated[str, typer.Option("--name", help="Whose it is, for the list")] = "",
    as_json: Json = False,
) -> None:
    """Make a key and print it: this once, as only its hash is kept."""
    with closing(_store(settings)) as store:
        key, token = store.create(scope, name=name)
    if as_json:
        print(json.dumps({**_told(key), "key": token}))
    else:
        print(token)
        print(f"Key {key.key_id} may {scope}. It is not shown again.", file=sys.stderr)


@keys.command("list")
@with_settings("data_dir", "database_url")
def list_keys(settings: Settings, as_json: Json = False) -> None:
    """List the keys, oldest first, without what they are made of."""
    with closing(_store(settings)) as store:
        rows = [_told(key) for key in store.list_keys()]
    if as_json:
        print(json.dumps(rows))
    for row in [] if as_json else rows:
        state = f"revoked {row['revoked_at']}" if row["revoked_at"] else "valid"
        print(f"{row['id']}  {row['scope']:<5}  made {row['created_at']}  {state}  {row['name']}".rstrip())


@keys.command()
@with_settings("data_dir", "database_url")
def revoke(
    settings: Settings,
    key_id: Annotated[str, typer.Argument(metavar="ID", help="The key's id, as the list shows it")],
    as_json: Json = False,
) -> None:
    """Refuse a key from now on: a running service knows within a second."""
    with closing(_store(settings)) as store:
        store.revoke(key_id)
    print(json.dumps({"id": key_id, "revoked": True}) if as_json else f"Key {key_id} is revoked.")


def _store(settings: Settings) -> "KeyStore":
    from coldstart.catalog.keys import KeyStore

    return KeyStore(settings.catalog_url)


def _told(key: ApiKey) -> dict[str, str | None]:
    return {
        "id": key.key_id,
        "scope": key.scope,
        "name": key.name,
        "created_at": moment(key.created_at),
        "revoked_at": moment(key.revoked_at),
    }
