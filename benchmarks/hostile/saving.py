"""kill -9 at a random moment while an adapter is saved over another: what the loader finds then.

Loading the libraries takes seconds and a save takes milliseconds, so one helper process loads them once and has a child
save without end, which is killed; then the next.
"""

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from time import monotonic

from adapters.artifact import Artifact, load_artifact, save_artifact
from coldstart.errors import ColdstartError

LONGEST_S = 0.05
STRENGTHS = (1.0, 0.9)
"""Of cold items against the original's: two adapters whose vectors differ."""


class Saver:
    """Saves two versions of an adapter into a folder, one over the other, and is killed amid it. Made by `saver`."""

    def __init__(self, original: Artifact, folder: Path, helper: subprocess.Popen[str]) -> None:
        self._original, self._folder, self._helper = original, folder, helper
        self._strengths = {self._save(strength): strength for strength in STRENGTHS}

    @property
    def versions(self) -> list[str]:
        """Of the two adapters; the last one is in the folder at first."""
        return list(self._strengths)

    def save(self, version: str) -> None:
        """Put one of the two there, whole."""
        self._save(self._strengths[version])

    def kill(self, rng: random.Random, *, within_s: float = LONGEST_S) -> str:
        """Kill a process that saves them in turn without end; the version that can be loaded then.

        Raises `ColdstartError` where none can, or one that nobody saved.
        """
        assert self._helper.stdin is not None and self._helper.stdout is not None
        print("go", file=self._helper.stdin, flush=True)
        child, until = int(self._helper.stdout.readline()), monotonic() + rng.uniform(0, within_s)
        while monotonic() < until:
            pass
        os.kill(child, 9)
        assert int(self._helper.stdout.readline()) == 9
        version = load_artifact(self._folder).version
        if version not in self._strengths:
            raise ColdstartError("there is a version that nobody saved", subject=version)
        return version

    def amid(self) -> bool:
        """Whether the last kill came in the middle of a save; what it left beside the folder is removed."""
        left = [*self._folder.parent.glob(f".{self._folder.name}.*")]
        for folder in left:
            if folder.suffix == ".new":
                for file in folder.iterdir():
                    file.unlink()
                folder.rmdir()
        return bool(left)

    def _save(self, strength: float) -> str:
        return _save(self._original, self._folder, strength)


@contextmanager
def saver(original: Path, folder: Path) -> Iterator[Saver]:
    """A saver into the folder, beside which a copy of the original's backbone is put."""
    artifact = load_artifact(original)
    artifact.adapter.backbone.save(_backbone(folder))
    command = [sys.executable, "-m", "benchmarks.hostile.saving", str(original), str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as helper:
        yield Saver(artifact, folder, helper)


def attempt(original: Path, folder: Path, kills: int, *, seed: int = 0) -> tuple[int, list[str]]:
    """Kill as often; how often the folder was in the middle of a change, and what was wrong with what was loaded."""
    rng = random.Random(seed)
    amid, broken = 0, []
    with saver(original, folder) as saving:
        for _ in range(kills):
            try:
                saving.kill(rng)
            except ColdstartError as error:
                broken.append(str(error))
            amid += saving.amid()
    return amid, broken


def _save(artifact: Artifact, folder: Path, strength: float) -> str:
    scales = artifact.adapter.scales
    adapter = replace(artifact.adapter, scales=replace(scales, cold=scales.cold * strength))
    return save_artifact(
        adapter, folder, text=artifact.text, image=artifact.image, backbone_dir=_backbone(folder), card="Killed."
    )


def _backbone(folder: Path) -> Path:
    return folder.parent / "backbone"


def _help(original: Path, folder: Path) -> None:
    artifact = load_artifact(original)
    for _ in sys.stdin:
        child = os.fork()
        if child == 0:
            while True:
                for strength in STRENGTHS:
                    _save(artifact, folder, strength)
        print(child, flush=True)
        print(os.WTERMSIG(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    _help(Path(sys.argv[1]), Path(sys.argv[2]))
