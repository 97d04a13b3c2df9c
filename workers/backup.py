"""What of a deployment has to be saved, in one folder, and how it comes back onto a machine that has nothing.

A backup holds the catalogue and the artifacts of adapter and backbone. The index is not in it: it is derived, and a
service that starts without one makes it again, equal in ids, versions and vectors.
"""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from adapters.artifact import backbone_path, load_artifact
from coldstart.catalog import Status, open_item_store
from coldstart.catalog.dump import dump, is_sqlite, is_vacant, load
from coldstart.errors import Conflict, InvalidInput, NotFound
from coldstart.folder import copy_file, current_folder, new_folder, sync, write_file, write_folder
from coldstart.settings import Settings
from workers.choosing import adapter_folder

OnProgress = Callable[[str, int, int], None]
"""Called with the name of a file, how much of it is done, and how much there is."""

FORMAT = 1
MANIFEST = "manifest.json"
_ADAPTER, _BACKBONE = "artifacts/adapter", "artifacts/backbone"
_DATABASES = {"sqlite": "catalog.sqlite3", "postgresql": "catalog.pgdump"}


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup consists of: ``files`` by their name within it, each with its SHA-256."""

    created_at: str
    coldstart: str
    database: str
    adapter: str
    files: Mapping[str, str]
    format: int = FORMAT


@dataclass(frozen=True, slots=True)
class Restored:
    """What came back, and how many items stand where."""

    manifest: Manifest
    items: Mapping[Status, int]


def back_up(settings: Settings, folder: Path, *, on_progress: OnProgress = lambda name, done, total: None) -> Manifest:
    """Save a deployment into a new folder, whole or not at all, whether its service runs or not.

    Raises
    ------
    NotFound
        Where there is no catalogue, adapter or backbone.
    Conflict
        Where the folder exists, or an artifact is damaged.
    Unavailable
        Where the database is away or damaged, or its programs are not installed.
    """
    created_at = datetime.now(UTC).isoformat(timespec="seconds")
    database = "sqlite" if is_sqlite(settings.catalog_url) else "postgresql"
    adapter = adapter_folder(settings)
    places = {_ADAPTER: adapter, _BACKBONE: _backbone(settings, adapter, adapter)}
    with new_folder(folder) as growing:
        files: dict[str, str] = {}
        for name, place in places.items():
            files |= _copy(current_folder(place), growing, name, on_progress)
        # Loading looks at every hash in them: also at whether they were replaced while they were copied.
        artifact = load_artifact(growing / _ADAPTER, backbone=growing / _BACKBONE)
        name = _DATABASES[database]
        dump(settings.catalog_url, growing / name, on_progress=partial(on_progress, name))
        files[name] = _sha256(growing / name)
        manifest = Manifest(created_at, _version(), database, artifact.version, files)
        write_file(growing / MANIFEST, json.dumps(asdict(manifest), indent=1).encode())
    return manifest


def restore(folder: Path, settings: Settings, *, on_progress: OnProgress = lambda name, done, total: None) -> Restored:
    """Bring a backup back to where the settings say that a deployment is, which must be empty.

    The catalogue comes last. Killed before, the same call goes on: artifacts that are there and equal are left alone.

    Raises
    ------
    NotFound
        Where there is no backup, or one that was not finished.
    Conflict
        Where a file of it is missing or altered, or where it should go there is something else.
    InvalidInput
        Where the backup is of another kind of database.
    """
    manifest = read_manifest(folder)
    kind = "sqlite" if is_sqlite(settings.catalog_url) else "postgresql"
    if kind != manifest.database:
        raise InvalidInput(
            f"the backup is of a catalogue on {manifest.database}, and the settings name one on {kind}",
            subject="database_url", remedy="Restore into a database of the same kind",
        )  # fmt: skip
    for name, digest in manifest.files.items():
        _check(folder, name, digest, on_progress)
    places = _places(settings, folder / _ADAPTER)
    _refuse_what_is_there(settings, manifest, places)
    for name, place in places.items():
        if not place.exists():
            write_folder(place, {path.name: path.read_bytes() for path in (folder / name).iterdir()})
    load_artifact(settings.adapter_dir, backbone=settings.backbone)
    name = _DATABASES[kind]
    load(folder / name, settings.catalog_url, on_progress=partial(on_progress, name))
    with closing(open_item_store(settings.catalog_url)) as store:
        return Restored(manifest, store.counts())


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a finished backup; see `restore` for what is refused."""
    try:
        document = json.loads((folder / MANIFEST).read_bytes())
        if document["format"] != FORMAT:
            raise Conflict(
                f"the backup has format {document['format']!r}, this version reads {FORMAT}", subject=str(folder),
                remedy="Use the version of coldstart that made it",
            )  # fmt: skip
        manifest = Manifest(**document)
        complete = {_DATABASES[manifest.database], f"{_ADAPTER}/config.json"} <= set(manifest.files)
        if not complete or not all(map(_is_expected, manifest.files)):
            raise _altered(folder, MANIFEST)
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(
            "the folder holds no backup, or one that was not finished", subject=str(folder),
            remedy="Name a folder that coldstart backup made",
        ) from None  # fmt: skip
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _altered(folder, MANIFEST) from error
    return manifest


def _refuse_what_is_there(settings: Settings, manifest: Manifest, places: Mapping[str, Path]) -> None:
    if not is_vacant(settings.catalog_url):
        raise Conflict(
            "there is a catalogue, or what one left", subject=settings.catalog_url.rpartition("@")[2],
            remedy="Move it away, or restore into another data folder or database",
        )  # fmt: skip
    if settings.qdrant_url is None and settings.index_dir.exists() and any(settings.index_dir.iterdir()):
        raise Conflict(
            "there is an index, of another catalogue", subject=str(settings.index_dir),
            remedy="Move it away: the service makes one of the restored catalogue",
        )  # fmt: skip
    for name, place in places.items():
        wanted = {file.rpartition("/")[2]: digest for file, digest in manifest.files.items() if file.startswith(name)}
        if place.exists() and not _holds(place, wanted):
            raise Conflict(
                f"there is another {name.rpartition('/')[2]}", subject=str(place),
                remedy="Move it away, or restore with another --adapter and --backbone",
            )  # fmt: skip


def _places(settings: Settings, adapter: Path) -> dict[str, Path]:
    """Where each artifact belongs by the settings; else the backbone's place is the one that the adapter names."""
    return {_ADAPTER: settings.adapter_dir, _BACKBONE: _backbone(settings, adapter, settings.adapter_dir)}


def _backbone(settings: Settings, adapter: Path, place: Path) -> Path:
    """Where the backbone is of an adapter that lies, or is to lie, in its place."""
    return settings.backbone or Path(os.path.normpath(place / backbone_path(adapter)))


def _holds(place: Path, wanted: Mapping[str, str]) -> bool:
    """Whether the folder holds files of these names and hashes, and nothing else."""
    if not place.is_dir() or {path.name for path in place.iterdir()} != wanted.keys():
        return False
    return all((place / name).is_file() and _sha256(place / name) == digest for name, digest in wanted.items())


def _copy(source: Path, growing: Path, name: str, on_progress: OnProgress) -> dict[str, str]:
    """Copy an artifact's files; their hashes by their name in the backup."""
    if not source.is_dir():
        raise NotFound(f"the folder holds no {name.rpartition('/')[2]}", subject=str(source), remedy="Check --adapter")
    (growing / name).mkdir(parents=True)
    files = {}
    for path in sorted(source.iterdir()):
        told = f"{name}/{path.name}"
        files[told] = copy_file(path, growing / told, on_progress=partial(on_progress, told))
    sync(growing / name)
    return files


def _check(folder: Path, name: str, digest: str, on_progress: OnProgress) -> None:
    try:
        found = _sha256(folder / name)
    except FileNotFoundError:
        raise Conflict(f"{name} is missing", subject=str(folder), remedy="Restore an older backup") from None
    if found != digest:
        raise _altered(folder, name)
    on_progress("files are whole", 1, 1)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_expected(name: str) -> bool:
    """Whether a file of this name may be in a backup: nothing leads out of its folder."""
    parent, _, last = name.rpartition("/")
    return name in _DATABASES.values() or (parent in (_ADAPTER, _BACKBONE) and last not in ("", ".", ".."))


def _altered(folder: Path, name: str) -> Conflict:
    return Conflict(f"{name} is damaged or altered", subject=str(folder), remedy="Restore an older backup")


def _version() -> str:
    try:
        return version("coldstart-service")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "unreleased"
