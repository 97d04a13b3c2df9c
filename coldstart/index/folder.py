"""A folder with one owner, folders that take the place of others, and a file that is replaced whole."""

import os
import shutil
from pathlib import Path

import portalocker

from coldstart.errors import Conflict


class FolderLock:
    """Held from construction to `release` or the end of the process; `Conflict` where somebody else holds it."""

    def __init__(self, folder: Path) -> None:
        self._file = (folder / "owner").open("a+")
        try:
            portalocker.lock(self._file, portalocker.LOCK_EX | portalocker.LOCK_NB)
        except portalocker.LockException:
            self._file.seek(0)
            owner = self._file.read().strip()
            self._file.close()
            raise Conflict(
                f"the folder is in use by process {owner}",
                subject=str(folder),
                remedy="Stop that process, give this one another folder, or let both use a Qdrant server",
            ) from None
        self._file.truncate(0)
        self._file.write(f"{os.getpid()}\n")
        self._file.flush()

    def release(self) -> None:
        """Let somebody else take the folder."""
        self._file.close()


GENERATION = "~"
"""Parts a folder's number from the name of what it holds; it occurs in no name."""


class Generations:
    """Named folders below ``root``, each of which another may take the place of at one instant, also for a crash.

    The first is called by its name alone, later ones ``NAME~1``, ``NAME~2``; ``.NAME.current`` says which counts.
    Folders that a process left behind are removed.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        for mark in root.glob(".*.current"):
            if not (root / mark.read_text()).is_dir():
                mark.unlink()
        self.tidy()

    def names(self) -> list[str]:
        """Of the folders that are there, sorted."""
        return sorted({_name(folder) for folder in self._all()})

    def current(self, name: str) -> Path:
        """The folder that counts, whether it exists or not."""
        mark = self._mark(name)
        return self._root / (mark.read_text() if mark.exists() else name)

    def next(self, name: str) -> Path:
        """A folder that may take its place."""
        number = int(self.current(name).name.partition(GENERATION)[2] or 0)
        return self._root / f"{name}{GENERATION}{number + 1}"

    def make_current(self, name: str, folder: Path) -> None:
        """Let the folder count from now on."""
        write_atomically(self._mark(name), folder.name)

    def tidy(self) -> None:
        """Remove the folders that do not count."""
        for folder in self._all():
            if folder != self.current(_name(folder)):
                shutil.rmtree(folder)

    def forget(self, name: str) -> None:
        """There is none any more."""
        self._mark(name).unlink(missing_ok=True)

    def _mark(self, name: str) -> Path:
        return self._root / f".{name}.current"

    def _all(self) -> list[Path]:
        return [child for child in self._root.iterdir() if child.is_dir() and child.name[0] != "."]


def _name(folder: Path) -> str:
    return folder.name.partition(GENERATION)[0]


def write_atomically(path: Path, text: str) -> None:
    """Replace a file's text so that a reader, also after a crash, finds the old or the new one."""
    fresh = path.with_name(f".{path.name}.new")
    with fresh.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
