"""Files and folders that are written whole or not at all."""

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from coldstart.errors import Conflict


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write the files into a new folder, replacing an old one; a process killed on the way leaves the old or the new.

    Everything is written beside the folder, forced to the disk, then renamed. A folder cannot be renamed over another,
    so an old one steps aside for an instant: `current_folder` finds it there.

    Raises
    ------
    Conflict
        Where the folder holds anything but files of these names: it would be lost.
    """
    if folder.exists() and not folder.is_dir():
        raise Conflict("there is a file of that name", subject=str(folder), remedy="Name a folder for the artifact")
    strange = sorted(path.name for path in folder.iterdir() if path.name not in files) if folder.exists() else []
    if strange:
        raise Conflict(f"the folder holds other things, such as {strange[0]!r}", subject=str(folder),
                       remedy="Name a folder of its own for the artifact")  # fmt: skip
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".new", dir=folder.parent))
    try:
        for name, content in files.items():
            with (temporary / name).open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        temporary.chmod(0o755)  # mkdtemp's own mode would lock other accounts, such as a service's, out
        _sync(temporary)
        aside = _aside(folder)
        if folder.exists():
            shutil.rmtree(aside, ignore_errors=True)
            folder.rename(aside)
        temporary.rename(folder)
        _sync(folder.parent)
        shutil.rmtree(aside, ignore_errors=True)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_file(path: Path, content: bytes) -> None:
    """Write one file, replacing an old one; a process killed on the way leaves the old or the new."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".new", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)  # mkstemp's own mode would lock other accounts out
        temporary.replace(path)
        _sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def current_folder(folder: Path) -> Path:
    """Where the content of the folder is now: aside, where a write was killed between its two renames."""
    return folder if folder.exists() or not _aside(folder).exists() else _aside(folder)


def _aside(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.old")


def _sync(folder: Path) -> None:
    """Force the folder's list of names to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
