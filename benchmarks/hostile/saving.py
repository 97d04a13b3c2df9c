"""kill -9 at a random moment while an adapter is saved over another: what the loader finds then.

Loading the libraries takes seconds and a save takes milliseconds, so one helper process loads them once and has a child
save without end, which is killed; then the next.
"""

import os
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from time import monotonic

from adapters.artifact import Artifact, load_artifact, save_artifact
from adapters.folding import Folding
from coldstart.errors import ColdstartError

LONGEST_S = 0.05


def attempt(original: Path, folder: Path, kills: int, *, seed: int = 0) -> tuple[int, list[str]]:
    """Kill as often; how often the folder was in the middle of a change, and what was wrong with what was loaded."""
    whole = {_save(load_artifact(original), folder, patience) for patience in (1.0, 2.0)}
    chance = random.Random(seed)
    amid, broken = 0, []
    command = [sys.executable, "-m", "benchmarks.hostile.saving", str(original), str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as helper:
        assert helper.stdin is not None and helper.stdout is not None
        for _ in range(kills):
            print("go", file=helper.stdin, flush=True)
            child, until = int(helper.stdout.readline()), monotonic() + chance.uniform(0, LONGEST_S)
            while monotonic() < until:
                pass
            os.kill(child, 9)
            assert int(helper.stdout.readline()) == 9
            amid += any(path.name.endswith((".new", ".old")) for path in folder.parent.iterdir())
            try:
                version = load_artifact(folder).version
                if version not in whole:
                    broken.append(f"the version {version}, which nobody saved")
            except ColdstartError as error:
                broken.append(str(error))
            _clear(folder)
        helper.stdin.close()
    return amid, broken


def _save(artifact: Artifact, folder: Path, patience: float) -> str:
    adapter = replace(artifact.adapter, folding=Folding(patience=patience))
    return save_artifact(
        adapter,
        folder,
        text=artifact.text,
        image=artifact.image,
        backbone_dir=folder.parent / "backbone",
        card="Killed.",
    )


def _clear(folder: Path) -> None:
    """Remove what killed saves left beside the folder: to see of the next whether it was in the middle."""
    for path in folder.parent.glob(f".{folder.name}.*.new"):
        for file in path.iterdir():
            file.unlink()
        path.rmdir()


def _help(original: Path, folder: Path) -> None:
    artifact = load_artifact(original)
    for _ in sys.stdin:
        child = os.fork()
        if child == 0:
            while True:
                for patience in (1.0, 2.0):
                    _save(artifact, folder, patience)
        print(child, flush=True)
        print(os.WTERMSIG(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    _help(Path(sys.argv[1]), Path(sys.argv[2]))
