"""Files and folders that are written whole or not at all."""

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from coldstart.errors import Conflict

_PART = 1 << 20


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
        sync(temporary)
        aside = _aside(folder)
        if folder.exists():
            shutil.rmtree(aside, ignore_errors=True)
            folder.rename(aside)
        temporary.rename(folder)
        sync(folder.parent)
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
        sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def copy_file(source: Path, target: Path, *, on_progress: Callable[[int, int], None] = lambda done, total: None) -> str:
    """Copy a file of any size and force it to the disk; returns the SHA-256 of what was written."""
    digest, done, total = hashlib.sha256(), 0, source.stat().st_size
    with source.open("rb") as reader, target.open("wb") as writer:
        while part := reader.read(_PART):
            writer.write(part)
            digest.update(part)
            done += len(part)
            on_progress(done, total)
        writer.flush()
        os.fsync(writer.fileno())
    return digest.hexdigest()


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A folder to fill that has its name when the block has ended in order, and never part of its content.

    Its files are to be on the disk by then. Only its owner may read it.

    Raises
    ------
    Conflict
        Where there is something of that name, an empty folder excepted.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Conflict("it is there already", subject=str(folder), remedy="Name a folder that does not exist")
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".new", dir=folder.parent))
    try:
        yield temporary
        for path in (temporary, *(each for each in temporary.rglob("*") if each.is_dir())):
            sync(path)
        temporary.rename(folder)
        sync(folder.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Wait for other threads and processes that are in such a block on the folder."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # given up with the descriptor, also by a process that dies
        yield
    finally:
        os.close(descriptor)


def current_folder(folder: Path) -> Path:
    """Where the content of the folder is now: aside, where a write was killed between its two renames."""
    return folder if folder.exists() or not _aside(folder).exists() else _aside(folder)


def _aside(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.old")


def sync(path: Path) -> None:
    """Force a file, or a folder's list of names, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
