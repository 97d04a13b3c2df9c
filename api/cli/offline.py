"""What the commands that train and evaluate share: reading, encoding with a progress bar, printing."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
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
from scipy.sparse import csr_matrix

from adapters.content import MODALITIES
from adapters.embedding import Embedded, OnProgress, embed_items
from coldstart.backbones import FrozenBackbone
from coldstart.dataset import Dataset
from coldstart.encoders import (
    DEFAULT_IMAGE_MODEL,
    DEFAULT_TEXT_MODEL,
    ImageEncoder,
    TextEncoder,
    open_image_encoder,
    open_text_encoder,
    options_of,
)
from coldstart.encoders.fetch import Fetcher
from coldstart.errors import InvalidInput
from coldstart.settings import Settings
from coldstart.splits import Split

console = Console(stderr=True)
"""Progress and remarks go to stderr; stdout carries results alone."""


def open_encoders(
    settings: Settings, modalities: Sequence[str], *, text_model: str, image_model: str
) -> tuple[TextEncoder | None, ImageEncoder | None]:
    """The encoders of the modalities; ``None`` for one that is left out."""
    options = options_of(settings, training=True)
    with console.status("Opening the encoders: the first time they are exported, which takes a while"):
        text = open_text_encoder(text_model, **options) if "text" in modalities else None
        image = open_image_encoder(image_model, **options) if "image" in modalities else None
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
        remark(f"{len(embedded.picture_errors)} items go without their picture, the first: {item_id}: {reason}")
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


def remark(text: str) -> None:
    """A line that quotes ids or paths, which may look like markup and are there to be copied."""
    console.print(text, markup=False, emoji=False, highlight=False, soft_wrap=True)


def remark_epoch(number: int, loss: float, ndcg: float, kept: bool) -> None:
    """One line of the adapter's learning curve."""
    console.print(f"  adapter epoch {number}: loss {loss:.4f}, cold ndcg@20 {ndcg:.4f}{' (kept)' if kept else ''}")


def make_room(path: Path) -> None:
    """Make the folder of a result file, before minutes go into what is written there."""
    if path.is_dir():
        raise InvalidInput("this is a folder", subject=str(path), remedy="Name a file")
    path.parent.mkdir(parents=True, exist_ok=True)


def train_artifact(
    dataset: Dataset,
    split: Split | None,
    settings: Settings,
    *,
    backbone_dir: Path,
    out: Path,
    modalities: Sequence[str],
    text_model: str | None = None,
    image_model: str | None = None,
    seed: int = 0,
) -> dict[str, object]:
    """Train an adapter on a saved backbone and write its folder; returns what there is to say about it."""
    from adapters.artifact import EncoderName, save_artifact
    from adapters.card import write_card
    from adapters.training import train_adapter
    from adapters.validation import split_validation, take_known

    frozen = FrozenBackbone.load(backbone_dir)
    rows = dataset.items.ids.rows(frozen.items.ids)
    if (rows < 0).any():
        missing = frozen.items.ids[int((rows < 0).argmax())]
        raise InvalidInput(
            f"{(rows < 0).sum()} of the backbone's {len(rows)} items are not in {dataset.name}",
            subject=missing,
            remedy="Train on the catalogue that the backbone was trained on",
        )
    names = (text_model or DEFAULT_TEXT_MODEL, image_model or DEFAULT_IMAGE_MODEL)
    # Both are opened whatever the modalities: items posted later may have either, and are masked if it was not trained.
    text, image = open_encoders(settings, MODALITIES, text_model=names[0], image_model=names[1])
    assert text is not None and image is not None  # noqa: S101 (both modalities were asked for)
    embedded, encode_seconds = embed(
        dataset, (text if "text" in modalities else None, image if "image" in modalities else None), settings
    )
    contents = embedded.contents.padded(text.dim, image.dim)
    trained = train_adapter(
        frozen, contents.take(rows), seed=seed,
        validation=None if split is None else split_validation(dataset, split, frozen, contents),
        clicks=take_known(tuning_clicks(dataset, split), dataset.users.rows(frozen.users.ids))[:, rows],
        on_epoch=lambda e: remark_epoch(e.number, e.loss, e.cold_ndcg, e.kept),
    )  # fmt: skip
    encoders = {
        "text": EncoderName(names[0], text.fingerprint),
        "image": EncoderName(names[1], image.fingerprint),
    }
    card = write_card(
        trained, dataset=dataset.name, split=None if split is None else split.name, modalities=modalities, **encoders
    )
    version = save_artifact(trained.adapter, out, backbone_dir=backbone_dir, card=card, **encoders)
    return {
        "adapter": str(out), "version": version, "dim": trained.adapter.dim,
        "parameters": trained.adapter.trained_parameters, "backbone_parameters": frozen.parameters,
        "validation_ndcg@20": round(max(epoch.cold_ndcg for epoch in trained.curve), 4),
        "encode_seconds": round(encode_seconds, 1),
        "backbone_sha256_before": trained.sha256_before, "backbone_sha256_after": trained.sha256_after,
    }  # fmt: skip


def tuning_clicks(dataset: Dataset, split: Split | None) -> csr_matrix:
    """What cold and warm items may be weighed by, csr [users, items]: of a split the validation part, never the test's.

    Without a split all interactions: those that the backbone was trained on are left out later.
    """
    events = dataset.interactions if split is None else split.warm_val
    return events.matrix(len(dataset.users), len(dataset.items))


def print_backbone(backbone: FrozenBackbone, folder: Path, *, as_json: bool) -> None:
    """What was frozen, and where it is."""
    facts = {
        "backbone": str(folder), "kind": backbone.kind, "users": len(backbone.users), "items": len(backbone.items),
        "dim": backbone.dim, "interactions": int(backbone.clicks.nnz), "parameters": backbone.parameters,
        "sha256": backbone.sha256,
    }  # fmt: skip
    print_result(facts, as_json=as_json)


def print_result(result: Mapping[str, object], *, as_json: bool) -> None:
    """A result on stdout: one JSON line, or a line a fact."""
    if as_json:
        print(json.dumps(result))
        return
    width = max(map(len, result))
    for name, value in result.items():
        print(f"{name:<{width}}  {value}")
