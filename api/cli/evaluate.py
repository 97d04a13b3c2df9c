"""``coldstart evaluate``: how good the lists are on held-out data."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from api.cli.options import with_settings
from api.cli.tuning import Kind, with_tuning
from coldstart.settings import Settings

if TYPE_CHECKING:
    from adapters.evaluation import Evaluation
    from coldstart.backbones.config import Config
    from coldstart.dataset import Dataset
    from coldstart.splits import Split


@with_settings("cache_dir", "image_hosts", "encoder_runtime", "threads")
@with_tuning("backbone")
def evaluate(
    settings: Settings,
    data: Annotated[Path, typer.Argument(help="Folder with items.* and interactions.*")],
    config_of_kind: "Config",
    split: Annotated[str | None, typer.Option(help="Published split: a folder below DATA/splits")] = None,
    cold_fraction: Annotated[
        float | None, typer.Option(help="Or: share of the items to hold out as cold; .2 without either")
    ] = None,
    cold_after: Annotated[str | None, typer.Option(help="Or: items first met at or after this time are cold")] = None,
    backbone: Annotated[Kind, typer.Option(help="Which backbone to train")] = "lightgcn",
    modalities: Annotated[str, typer.Option(help="text, image, or text,image; auto: what the data has")] = "auto",
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds to train and average")] = 1,
    text_model: Annotated[str | None, typer.Option(help="sentence-transformers model, by hub name or folder")] = None,
    image_model: Annotated[str | None, typer.Option(help="torchvision:NAME, timm:NAME or a package")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the result to this file")] = None,
) -> None:
    """Train backbone and adapter on a split's training part and rank its test part in full.

    Everything is tuned on the validation parts; the test parts are ranked once. Prints Recall@20 and NDCG@20 for cold
    items alone, warm items alone and all together, beside the backbone alone and popularity.
    """
    from adapters.evaluation import Evaluation, run_seed
    from api.cli.offline import console, embed, make_room, open_encoders, parse_modalities, remark_epoch
    from coldstart.backbones.training import train_backbone
    from coldstart.dataset import read_dataset
    from coldstart.encoders import DEFAULT_IMAGE_MODEL, DEFAULT_TEXT_MODEL

    if json_file is not None:
        make_room(json_file)
    dataset = read_dataset(data)
    chosen = _split(dataset, split, cold_fraction, cold_after)
    names = parse_modalities(modalities, dataset)
    encoders = open_encoders(
        settings, names, text_model=text_model or DEFAULT_TEXT_MODEL, image_model=image_model or DEFAULT_IMAGE_MODEL
    )
    embedded, encode_seconds = embed(dataset, encoders, settings)
    runs = []
    for seed in range(seeds):
        console.print(f"seed {seed}")
        runs.append(
            run_seed(
                dataset, chosen, embedded.contents, seed=seed,
                train_backbone=lambda s: train_backbone(
                    backbone, dataset.users, dataset.items.ids, chosen.train,
                    chosen.warm_val if len(chosen.warm_val) else None,
                    config=config_of_kind, seed=s, progress=console.is_terminal,
                ),
                on_epoch=lambda e: remark_epoch(e.number, e.loss, e.cold_ndcg, e.kept),
            )
        )  # fmt: skip
    result = Evaluation(dataset.name, chosen.name, names, backbone, tuple(runs), encode_seconds)
    _print(result)
    if json_file is not None:
        json_file.write_text(json.dumps(result.document(), indent=1))


def _split(dataset: "Dataset", name: str | None, fraction: float | None, after: str | None) -> "Split":
    from coldstart.errors import InvalidInput
    from coldstart.splits import cold_item_split, read_split, time_split

    if sum(given is not None for given in (name, fraction, after)) > 1:
        raise InvalidInput(
            "more than one way to split was given", remedy="Give --split, --cold-fraction or --cold-after"
        )
    if name is not None:
        return read_split(dataset, name)
    if after is not None:
        return time_split(dataset, after=after)
    return cold_item_split(dataset, fraction=0.2 if fraction is None else fraction)


def _print(result: "Evaluation") -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from adapters.evaluation import METRICS
    from coldstart.evaluation.protocols import LISTS

    last = result.runs[-1]
    title = f"{result.dataset}, split {result.split}, {'+'.join(result.modalities)}, {result.backbone}"
    table = Table(title=Text(title, style="italic"))  # a folder's name may look like markup
    table.add_column("")
    for name in LISTS:
        table.add_column(f"{name}\n{' / '.join(METRICS)}")
    for label, part in (("popularity", "popularity"), ("backbone alone", "backbone"), ("with adapter", "adapter")):
        cells = []
        for figures in result.figures(part).values():
            cells.append(
                " / ".join(f"{figures[m]['mean']:.3f} ± {figures[m]['std']:.3f}" for m in METRICS) if figures else "-"
            )
        table.add_row(label, *cells)
    out = Console()
    out.print(table)
    share = last.adapter_parameters / last.backbone_parameters
    seconds = cast("dict[str, float]", result.document()["seconds"])
    out.print(
        f"adapter: {last.adapter_parameters:,} trained parameters, {share:.1%} of the backbone's "
        f"{last.backbone_parameters:,}; mean gates of the cold items: {_listed(last.gates)}",
        f"backbone sha256 before {last.sha256_before}",
        f"                 after {last.sha256_after}",
        f"seconds: {_listed(seconds)}; {len(result.runs)} seed(s), mean ± standard deviation over seeds",
        sep="\n", soft_wrap=True, highlight=False,
    )  # fmt: skip


def _listed(figures: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value}" for name, value in figures.items())
