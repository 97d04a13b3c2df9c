"""``coldstart export``: models as files, for the service and for other runtimes."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli.options import with_settings
from coldstart.encoders.precision import Precision
from coldstart.settings import Settings

if TYPE_CHECKING:
    from adapters.artifact import Artifact

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
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for text.onnx, image.onnx, adapter.onnx and ranker.onnx; default the cache"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON line")] = False,
) -> None:
    """Export both encoders, tokeniser and input's form included, and tell how near their embeddings are to fp32's.

    Those in fp32 are compared with torch's.
    Where the cache has them already, they are not made again. With --out also the adapter at hand, from embeddings to
    served vectors, and the NeuMF that orders what is retrieved, where its adapter grants it a say; both in fp32. Each
    file says in its metadata what it is.
    """
    from api.cli.offline import console, print_result
    from coldstart.encoders.onnx import OnnxImageEncoder, OnnxTextEncoder, exported

    artifact = artifact_at_hand(settings)
    text, image = chosen_models(artifact, text_model, image_model)
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
        told[kind] = _told(file, {"model": model, "dim": encoder.dim, **encoder.card})
    if out is not None and artifact is not None:
        with console.status("Exporting the adapter"):
            for kind, (file, card) in exported_adapter(artifact, out).items():
                told[kind] = _told(file, {"model": artifact.version, **card})
    if as_json:
        print_result(told, as_json=True)
    else:
        for facts in told.values():
            print_result(facts, as_json=False)


def artifact_at_hand(settings: Settings) -> "Artifact | None":
    """The adapter that the settings name, or that lies where the service looks for one."""
    from adapters.artifact import load_artifact

    if settings.adapter or settings.adapter_dir.exists():
        return load_artifact(settings.adapter_dir, backbone=settings.backbone)
    return None


def chosen_models(artifact: "Artifact | None", text: str | None, image: str | None) -> tuple[str, str]:
    """The names of both encoders: those given, else those of the adapter at hand, else the default ones."""
    from coldstart.encoders import DEFAULT_IMAGE_MODEL, DEFAULT_TEXT_MODEL

    if artifact is not None:
        text, image = text or artifact.text.model, image or artifact.image.model
    return text or DEFAULT_TEXT_MODEL, image or DEFAULT_IMAGE_MODEL


def exported_adapter(artifact: "Artifact", folder: Path) -> dict[str, tuple[Path, dict[str, str]]]:
    """Write adapter.onnx, and ranker.onnx where there is one; each with what it says of itself."""
    from adapters.export import export_adapter, export_ranker

    files = {"adapter": folder / "adapter.onnx", "ranker": folder / "ranker.onnx"}
    written = {
        "adapter": export_adapter(artifact, files["adapter"]),
        "ranker": export_ranker(artifact, files["ranker"]),
    }
    return {kind: (files[kind], card) for kind, card in written.items() if card is not None}


def _told(file: Path, card: Mapping[str, Any]) -> dict[str, object]:
    names = "model", "fingerprint", "precision", "dim"
    return {
        **{name: card[name] for name in names if name in card},
        "cosine_mean": float(card["cosine_mean"]), "cosine_min": float(card["cosine_min"]),
        "bytes": file.stat().st_size, "file": str(file),
    }  # fmt: skip
