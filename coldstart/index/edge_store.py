"""The collections of Qdrant Edge below a folder, and how a search graph is built beside one that is in use."""

import shutil
import threading
from collections.abc import Callable
from pathlib import Path

from coldstart.index import VectorIndex, graph
from coldstart.index.edge import EdgeIndex, create_shard
from coldstart.index.folder import FolderLock, Generations, write_atomically
from coldstart.index.naming import check_collection, require_known, require_not_live, require_width
from coldstart.settings import INDEX_CACHE_MB


class EdgeIndexStore:
    """The collections below a folder that this process owns; `IndexStore`.

    Parameters
    ----------
    root : Path
        `Conflict` where another process, or another store of this one, owns it.
    cache_mb : float
        Half for what was asked of points, half for points with their vectors, of each collection.
    """

    def __init__(self, root: Path, *, cache_mb: float = INDEX_CACHE_MB) -> None:
        self._root, self._cache_mb = root, cache_mb
        root.mkdir(parents=True, exist_ok=True)
        self._folder_lock = FolderLock(root)
        self._lock, self._building = threading.Lock(), threading.Lock()
        self._open: dict[str, EdgeIndex] = {}
        self._folders = Generations(root)
        for leftover in root.glob(".*-collection"):  # the process died while it created or dropped one
            shutil.rmtree(leftover)

    def create(self, collection: str, dim: int) -> VectorIndex:
        check_collection(collection)
        with self._lock:
            folder = self._folders.current(collection)
            if collection not in self._open:
                if not folder.exists():
                    create_shard(folder, dim)
                self._open[collection] = EdgeIndex(folder, cache_mb=self._cache_mb)
            index = self._open[collection]
        require_width(collection, index.dim, dim)
        return index

    def collections(self) -> list[str]:
        return self._folders.names()

    def promote(self, collection: str) -> None:
        with self._lock:
            require_known(collection, self.collections())
            write_atomically(self._root / "live", collection)

    def live(self) -> str | None:
        try:
            return (self._root / "live").read_text()
        except FileNotFoundError:
            return None

    def drop(self, collection: str) -> None:
        with self._lock:
            require_known(collection, self.collections())
            require_not_live(collection, self.live())
            if collection in self._open:
                self._open.pop(collection).close()
            doomed = self._root / ".dropped-collection"
            self._folders.current(collection).rename(doomed)
            self._folders.forget(collection)
            shutil.rmtree(doomed)

    def optimize_beside(self, collection: str, *, unindexed: int, stopping: Callable[[], bool] = lambda: False) -> bool:
        """Where so many points of an open collection are in no graph, build one of a copy and go on with that.

        A process builds it, so that queries and writes go on; writes wait while files are copied. Killed at any step,
        the next start finds the collection as it was or as it was to be. ``False`` where nothing was exchanged.
        """
        with self._building:
            index = self._open[collection]
            if index.unindexed() < max(unindexed, index.scanned):
                return False
            growing = self._root / ".growing-collection"
            try:
                index.copy_to(growing)
                if not graph.build(growing, stopping=stopping):
                    return False
                folder = self._folders.next(collection)
                growing.rename(folder)
                index.move_to(folder, commit=lambda: self._folders.make_current(collection, folder))
            finally:
                index.forget_changes()
                shutil.rmtree(growing, ignore_errors=True)
                self._folders.tidy()
        return True

    def close(self) -> None:
        """Close every collection and give the folder back."""
        with self._lock:
            while self._open:
                self._open.popitem()[1].close()
            self._folder_lock.release()
