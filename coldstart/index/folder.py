"""A folder with one owner, and a file that is replaced whole."""

import os
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
