"""``coldstart export``: models as files, for the service and for other runtimes."""

import shutil
from pathlib import Path
from typing import Annotated

import typer

from api.cli.options import with_settings
from coldstart.encoders.precision import Precision
from coldstart.settings import Settings

export = typer.Typer(help="Write models as files, for the service and for other runtimes.", no_args_is_help=True)


@export.command()
@with_settings("data_dir", "adapter", "backbone", "cache_dir")
def onnx(
    settings: Settings,
    text_model: Annotated[
        str | None, typer.Option(help="sentence-transformers model; by default the adapter's, if there is one")
    ] = None,
    image_model: Annotated[str | None, typer.Option(help="torchvision:NAME, timm:NAME or a package; likewise")] = None,
    precision: Annotated[Precision, typer.Option(help="In how many bits they compute")] = "int8",
    out: Annotated[Path | None, typer.Option(help="Folder for text.onnx and image.onnx; default the cache")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON line")] = False,
) -> None:
    """Export both encoders, tokeniser and input's form included, and tell how near torch's their embeddings are.

    Where the cache has them already, they are not made again. Each file says in its metadata what it is.
    """
    from api.cli.offline import console, print_result
    from coldstart.encoders.onnx import OnnxImageEncoder, OnnxTextEncoder, exported

    text, image = chosen_models(settings, text_model, image_model)
    with console.status("Exporting the encoders: the first time this takes a while"):
        files = exported("text", text, settings.cache, precision), exported("image", image, settings.cache, precision)
    told: dict[str, dict[str, object]] = {}
    for kind, model, file, encoder in (
        ("text", text, files[0], OnnxTextEncoder(files[0])),
        ("image", image, files[1], OnnxImageEncoder(files[1])),
    ):
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
            file = Path(shutil.copy(file, out / f"{kind}.onnx"))
        told[kind] = {
            "model": model, "fingerprint": encoder.fingerprint, "precision": precision, "dim": encoder.dim,
            "cosine_mean": float(encoder.card["cosine_mean"]), "cosine_min": float(encoder.card["cosine_min"]),
            "bytes": file.stat().st_size, "file": str(file),
        }  # fmt: skip
    if as_json:
        print_result(told, as_json=True)
    else:
        for facts in told.values():
            print_result(facts, as_json=False)


def chosen_models(settings: Settings, text: str | None, image: str | None) -> tuple[str, str]:
    """The names of both encoders: those given, else those of the adapter at hand, else the default ones."""
    from adapters.artifact import load_artifact
    from coldstart.encoders import DEFAULT_IMAGE_MODEL, DEFAULT_TEXT_MODEL

    if (text is None or image is None) and (settings.adapter or settings.adapter_dir.exists()):
        artifact = load_artifact(settings.adapter_dir, backbone=settings.backbone)
        text, image = text or artifact.text.model, image or artifact.image.model
    return text or DEFAULT_TEXT_MODEL, image or DEFAULT_IMAGE_MODEL
