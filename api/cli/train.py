"""``coldstart train``: a backbone from clicks, an adapter on its frozen vectors."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from api.cli.options import with_settings
from api.cli.tuning import Kind, with_tuning
from coldstart.settings import Settings

if TYPE_CHECKING:
    from coldstart.backbones.config import Config

train = typer.Typer(help="Train a backbone on clicks, or an adapter on a frozen backbone.", no_args_is_help=True)

Data = Annotated[Path, typer.Argument(help="Folder with items.* and interactions.*")]
SplitName = Annotated[str | None, typer.Option("--split", help="Train on this split's train part alone")]
Seed = Annotated[int, typer.Option(help="Seed of everything random")]
Device = Literal["auto", "cpu", "cuda"]
Json = Annotated[bool, typer.Option("--json", help="Print the result as one JSON line")]


@train.command()
@with_settings("data_dir")
@with_tuning("kind")
def backbone(
    settings: Settings,
    data: Data,
    config_of_kind: "Config",
    kind: Annotated[Kind, typer.Option(help="Which backbone to train")] = "lightgcn",
    split: SplitName = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write; default DATA_DIR/artifacts/backbone")] = None,
    seed: Seed = 0,
    device: Annotated[Device, typer.Option(help="Where gradients are taken; auto: a GPU where there is one")] = "auto",
    as_json: Json = False,
) -> None:
    """Train a collaborative backbone and freeze it; what is not given is the kind's default or chosen on validation.

    Under torchrun several processes or GPUs train one lightgcn or neumf:
    torchrun --nproc-per-node 2 --no-python coldstart train backbone DATA
    """
    from api.cli.offline import console, print_backbone
    from coldstart.backbones.distributed import joined
    from coldstart.backbones.training import train_backbone
    from coldstart.dataset import read_dataset
    from coldstart.encoders import inference
    from coldstart.splits import read_split

    dataset = read_dataset(data)
    chosen = None if split is None else read_split(dataset, split)
    where = inference.device().type if device == "auto" else device
    with joined(where) as processes:
        trained = train_backbone(
            kind, dataset.users, dataset.items.ids, dataset.interactions if chosen is None else chosen.train,
            chosen.warm_val if chosen is not None and len(chosen.warm_val) else None,
            config=config_of_kind, seed=seed, device=where, progress=console.is_terminal,
        )  # fmt: skip
    if processes.leads:
        folder = out or settings.backbone_dir
        trained.save(folder)
        print_backbone(trained, folder, as_json=as_json)


@train.command()
@with_settings("data_dir", "cache_dir", "image_hosts", "encoder_runtime", "encoder_precision", "threads")
def adapter(
    settings: Settings,
    data: Data,
    backbone: Annotated[Path | None, typer.Option(help="Frozen backbone; default DATA_DIR/artifacts/backbone")] = None,
    split: SplitName = None,
    modalities: Annotated[str, typer.Option(help="text, image, or text,image; auto: what the data has")] = "auto",
    out: Annotated[Path | None, typer.Option(help="Folder to write; default DATA_DIR/artifacts/adapter")] = None,
    seed: Seed = 0,
    text_model: Annotated[str | None, typer.Option(help="sentence-transformers model, by hub name or folder")] = None,
    image_model: Annotated[str | None, typer.Option(help="torchvision:NAME, timm:NAME or a package")] = None,
    as_json: Json = False,
) -> None:
    """Train a gated adapter on a frozen backbone and the catalogue's texts and pictures.

    Gates and scalars are tuned on the split's validation parts; without a split a tenth of the items is hidden, treated
    as cold for tuning, and known again afterwards. The backbone's sha256 is printed before and after.
    """
    from api.cli.offline import parse_modalities, print_result, remark, train_artifact
    from coldstart.dataset import read_dataset
    from coldstart.splits import read_split

    dataset = read_dataset(data)
    made = train_artifact(
        dataset,
        None if split is None else read_split(dataset, split),
        settings,
        backbone_dir=backbone or settings.backbone_dir,
        out=out or settings.adapter_dir,
        modalities=parse_modalities(modalities, dataset),
        text_model=text_model,
        image_model=image_model,
        seed=seed,
    )
    place = ["--data-dir", str(settings.data_dir)] if out is None else ["--adapter", str(out)]
    remark(f"serve it with: {shlex.join(['coldstart', 'serve', *place, '--data', str(data)])}")
    print_result(made, as_json=as_json)
