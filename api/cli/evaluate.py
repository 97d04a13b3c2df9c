"""``coldstart evaluate``: how good the lists are on held-out data."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.options import with_settings
from api.cli.tuning import Kind, with_tuning
from coldstart.settings import Settings

if TYPE_CHECKING:
    from coldstart.backbones.config import Config
    from coldstart.dataset import Dataset
    from coldstart.splits import Split


@with_settings("cache_dir", "image_hosts", "encoder_runtime", "encoder_precision", "threads")
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
    lost_pictures: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the pictures to leave out: what their absence costs")
    ] = 0.0,
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds to train and average")] = 1,
    text_model: Annotated[str | None, typer.Option(help="sentence-transformers model, by hub name or folder")] = None,
    image_model: Annotated[str | None, typer.Option(help="torchvision:NAME, timm:NAME or a package")] = None,
    methods: Annotated[
        str, typer.Option(help="Baselines beside backbone and popularity: neighbours, ridge, content-knn; or all")
    ] = "adapter,backbone,popularity",
    studies: Annotated[str, typer.Option(help="What else to measure: all, none, or some of the studies")] = "all",
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the result to this file")] = None,
    report_file: Annotated[Path | None, typer.Option("--report", help="Write an HTML report to this file")] = None,
) -> None:
    """Train backbone and adapter on a split's training part and rank its test part in full.

    Everything is tuned on the validation parts; the test parts are ranked once. Prints Recall@20 and NDCG@20 of cold
    items alone, warm items alone and all together, with 95 % intervals, beside other methods.
    """
    from adapters.baseline_tuning import parse_methods
    from adapters.evaluation import run_seed
    from adapters.report import make_report
    from adapters.results import Evaluation
    from adapters.studies import parse_studies
    from api.cli.figures import phases, print_evaluation
    from api.cli.offline import embed, make_room, open_encoders, parse_modalities, remark_epoch
    from coldstart.backbones.training import train_backbone
    from coldstart.dataset import read_dataset
    from coldstart.encoders import DEFAULT_IMAGE_MODEL, DEFAULT_TEXT_MODEL
    from coldstart.evaluation.report import render, require_plots
    from coldstart.folder import write_file

    wanted, more = parse_methods(methods), parse_studies(studies)
    for path in (json_file, report_file):
        if path is not None:
            make_room(path)
    if report_file is not None:
        require_plots()
    dataset = read_dataset(data)
    chosen = _split(dataset, split, cold_fraction, cold_after)
    names = parse_modalities(modalities, dataset)
    encoders = open_encoders(
        settings, names, text_model=text_model or DEFAULT_TEXT_MODEL, image_model=image_model or DEFAULT_IMAGE_MODEL
    )
    embedded, encode_seconds = embed(dataset, encoders, settings)
    contents = embedded.contents.without_pictures(lost_pictures) if lost_pictures else embedded.contents
    runs = []
    with phases(seeds, [*wanted, *(study.name for study in more)]) as on_phase:
        for seed in range(seeds):
            runs.append(
                run_seed(
                    dataset, chosen, contents, seed=seed, methods=wanted, studies=more,
                    train_backbone=lambda train, validation, s: train_backbone(
                        backbone, dataset.users, dataset.items.ids, train, validation, config=config_of_kind, seed=s
                    ),
                    on_epoch=lambda e: remark_epoch(e.number, e.loss, e.cold_ndcg, e.kept),
                    on_phase=on_phase,
                )
            )  # fmt: skip
    result = Evaluation(dataset.name, chosen.name, names, backbone, tuple(runs), encode_seconds, more, lost_pictures)
    print_evaluation(result)
    if json_file is not None:
        write_file(json_file, json.dumps(result.document(), indent=1).encode())
    if report_file is not None:
        write_file(report_file, render(make_report(result)).encode())


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
