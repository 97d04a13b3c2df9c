"""What the command lines of benchmarks share: options, the sample shop that is served, and how figures are told."""

import argparse
import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import processes

COLD_SPLIT = "cold"

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def parser(about: str | None, *, quick: str) -> argparse.ArgumentParser:
    """A parser with ``--work`` and ``--quick``, of which ``quick`` says what it does; ``about`` is a module's text."""
    made = argparse.ArgumentParser(description=(about or "").splitlines()[0])
    made.add_argument("--quick", action="store_true", help=quick)
    made.add_argument(
        "--work", type=Path, default=Path(tempfile.gettempdir()) / "coldstart-benchmarks", help="artifacts and logs"
    )
    return made


def add_adapter(to: argparse.ArgumentParser) -> None:
    """The option ``--adapter``."""
    to.add_argument("--adapter", type=Path, help="adapter to serve; by default one is trained on the data posted")


def served(work: Path, *, data: Path | None = None, adapter: Path | None = None) -> tuple[Path, Path]:
    """Data set and adapter: those given, or else a small sample shop and what is trained on it, once a folder."""
    data = data or _sample_shop(work / "crash-shop")
    return data, adapter or processes.trained(data, work / f"crash-{data.name}", backbone="als")


def served_split(work: Path, data: Path | None, *, split: str, adapter: Path | None = None) -> tuple[Path, Path]:
    """Data set and adapter: those given, or else a small sample shop and what is trained on the split's own part."""
    data = data or _sample_shop(work / "crash-shop")
    return data, adapter or processes.trained(data, work / f"{data.name}-{split}-als", backbone="als", split=split)


def with_cold_split(work: Path, data: Path, fraction: float) -> Path:
    """The data set, by links, with the split `COLD_SPLIT`: so many of the items cold, warm clicks held out as well."""
    from coldstart.dataset import read_dataset
    from coldstart.splits import cold_item_split, write_split

    folder = work / f"{data.name}-cold-{fraction:g}"
    if not (folder / "splits" / COLD_SPLIT).exists():
        folder.mkdir(parents=True, exist_ok=True)
        for path in data.resolve().iterdir():
            if path.name != "splits" and not (folder / path.name).exists():
                (folder / path.name).symlink_to(path)
        dataset = read_dataset(folder)
        write_split(cold_item_split(dataset, fraction=fraction), dataset, folder / "splits" / COLD_SPLIT)
    return folder


def tell(figures: "DataclassInstance") -> None:
    """A line a figure, then all of them as one line of JSON."""
    told: dict[str, Any] = asdict(figures)
    width = max(map(len, told)) + 2
    for name, value in told.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        print(f"{name:<{width}}{f'{value:,}' if number else str(value):>12}")
    print(json.dumps(told))


def _sample_shop(folder: Path) -> Path:
    from coldstart.sample import write_sample

    if not (folder / "splits").exists():
        write_sample(folder, products=300, shoppers=300, clicks=9000)
    return folder
