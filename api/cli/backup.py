"""``coldstart backup`` and ``coldstart restore``: a deployment in one folder, and back."""

from pathlib import Path
from typing import Annotated

import typer

from api.cli.options import Json, with_settings
from coldstart.settings import Settings


@with_settings("data_dir", "adapter", "backbone", "database_url")
def backup(
    settings: Settings,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="New folder to write; one for each backup")],
    as_json: Json = False,
) -> None:
    """Save catalogue, adapter and backbone into a new folder, while the service runs or not.

    The index is not saved: a service that finds none makes it again from the catalogue.
    """
    import time

    from api.cli.offline import print_result, progress_by_name
    from workers.backup import back_up

    started = time.perf_counter()
    with progress_by_name("save") as on_progress:
        manifest = back_up(settings, folder, on_progress=on_progress)
    size = sum((folder / name).stat().st_size for name in manifest.files)
    facts = {
        "backup": str(folder), "created_at": manifest.created_at, "database": manifest.database,
        "adapter": manifest.adapter, "files": len(manifest.files), "bytes": size,
        "seconds": round(time.perf_counter() - started, 2),
    }  # fmt: skip
    print_result(facts, as_json=as_json)


@with_settings("data_dir", "adapter", "backbone", "database_url", "qdrant_url")
def restore(
    settings: Settings,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder that coldstart backup made")],
    as_json: Json = False,
) -> None:
    """Bring a backup back to where there is nothing yet: every file is compared with its SHA-256 first.

    What was accepted after the backup is gone. Start the service afterwards: it makes the index.
    """
    import time

    from api.cli.offline import print_result, progress_by_name, remark
    from workers import backup as backups

    started = time.perf_counter()
    with progress_by_name("restore") as on_progress:
        restored = backups.restore(folder, settings, on_progress=on_progress)
    facts = {
        "backup": str(folder), "created_at": restored.manifest.created_at, "database": restored.manifest.database,
        "adapter": restored.manifest.adapter, "items": {status.value: n for status, n in restored.items.items()},
        "seconds": round(time.perf_counter() - started, 2),
    }  # fmt: skip
    print_result(facts, as_json=as_json)
    if settings.qdrant_url:
        remark("The Qdrant server may hold what is newer than this catalogue: run coldstart doctor --reconcile")
