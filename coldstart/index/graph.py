"""Builds a collection's search graph in a process of its own: the engine holds the interpreter lock all the while.

``python -m coldstart.index.graph FOLDER`` works on a copy that nobody else has open, with what processors others leave.
"""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from coldstart.errors import Unavailable

_NOTHING_TO_DO = 3
_LOOK_S = 0.2
_PR_SET_PDEATHSIG = 1


def build(folder: Path, *, stopping: Callable[[], bool] = lambda: False) -> bool:
    """Build the graph of the collection in a folder; ``False`` where there was nothing to do, or it was stopped.

    Raises `Unavailable` where the process fails.
    """
    command = [sys.executable, "-m", "coldstart.index.graph", str(folder)]
    process = subprocess.Popen(  # noqa: S603 (this module, in this interpreter)
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    with process:
        while not stopping():
            with suppress(subprocess.TimeoutExpired):
                _, said = process.communicate(timeout=_LOOK_S)
                break
        else:
            process.kill()
            return False
    if process.returncode not in (0, _NOTHING_TO_DO):
        last = said.decode(errors="replace").strip().rpartition("\n")[2]
        raise Unavailable(
            f"the search graph was not built (status {process.returncode}: {last[:200]})", subject=folder.name,
            remedy="Check disk and memory; queries are exact and slower until it is",
        )  # fmt: skip
    return process.returncode == 0


def main() -> None:
    """Build, and exit with 0, or with 3 where every point is in a graph or too few are not."""
    import qdrant_edge as qdrant

    _end_with_the_parent()
    os.nice(19)
    shard = qdrant.EdgeShard.load(sys.argv[1])
    built = shard.optimize()
    shard.flush()
    shard.close()
    sys.exit(0 if built else _NOTHING_TO_DO)


def _end_with_the_parent() -> None:
    """Once it optimises, no signal handler or thread of this process would notice; on Linux the system does."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    main()
