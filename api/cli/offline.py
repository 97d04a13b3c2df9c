"""What the commands that train and evaluate share: reading, encoding with a progress bar, printing."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from adapters.content import MODALITIES
from adapters.embedding import Embedded, OnProgress, embed_items
from coldstart.dataset import Dataset
from coldstart.encoders import ImageEncoder, TextEncoder, open_image_encoder, open_text_encoder
from coldstart.encoders.fetch import Fetcher
from coldstart.errors import InvalidInput
from coldstart.settings import Settings

console = Console(stderr=True)
"""Progress and remarks go to stderr; stdout carries results alone."""


def open_encoders(
    settings: Settings, modalities: Sequence[str], *, text_model: str, image_model: str
) -> tuple[TextEncoder | None, ImageEncoder | None]:
    """The encoders of the modalities; ``None`` for one that is left out."""
    text = open_text_encoder(text_model, threads=settings.threads) if "text" in modalities else None
    image = open_image_encoder(image_model, threads=settings.threads) if "image" in modalities else None
    return text, image


def parse_modalities(value: str, dataset: Dataset) -> tuple[str, ...]:
    """``text,image`` as names; ``auto`` is whatever the data set has."""
    if value == "auto":
        return MODALITIES if any(dataset.items.image) else MODALITIES[:1]
    names = tuple(part.strip() for part in value.split(",") if part.strip())
    unknown = [name for name in names if name not in MODALITIES]
    if unknown or not names:
        raise InvalidInput(
            f"{unknown[0] if unknown else value!r} is no modality",
            subject="--modalities",
            remedy="Give text, image, or text,image",
        )
    return names


def embed(
    dataset: Dataset, encoders: tuple[TextEncoder | None, ImageEncoder | None], settings: Settings
) -> tuple[Embedded, float]:
    """The data set's embeddings, and the seconds they took; remarks on pictures that could not be read."""
    started = time.perf_counter()
    text, image = encoders
    with progress_by_name("encode") as on_progress:
        embedded = embed_items(
            dataset, text=text, image=image, cache=settings.cache,
            fetcher=Fetcher(frozenset(settings.image_hosts)), on_progress=on_progress,
        )  # fmt: skip
    if embedded.picture_errors:
        item_id, reason = next(iter(embedded.picture_errors.items()))
        console.print(
            f"[yellow]{len(embedded.picture_errors)} items go without their picture, the first: {item_id}: {reason}"
        )
    return embedded, time.perf_counter() - started


@contextmanager
def progress_by_name(verb: str) -> Iterator[OnProgress]:
    """A bar per name that reports; nothing where stderr is no terminal."""
    with Progress(
        SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        console=console, disable=not console.is_terminal,
    ) as bars:  # fmt: skip
        tasks: dict[str, TaskID] = {}

        def on_progress(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = bars.add_task(f"{verb} {name}", total=total)
            bars.update(tasks[name], completed=done, total=total)

        yield on_progress


def remark_epoch(number: int, loss: float, ndcg: float, kept: bool) -> None:
    """One line of the adapter's learning curve."""
    console.print(f"  adapter epoch {number}: loss {loss:.4f}, cold ndcg@20 {ndcg:.4f}{' (kept)' if kept else ''}")


def write_json(path: Path, text: str) -> None:
    """Write a result file, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
