"""``coldstart export triton``: encoders and adapter as a model repository of NVIDIA Triton Inference Server."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Literal

import typer

from api.cli.export import artifact_at_hand, chosen_models, exported_adapter
from api.cli.options import with_settings
from coldstart.settings import Settings


@with_settings("data_dir", "adapter", "backbone", "cache_dir", "encoder_text_name", "encoder_image_name")
def triton(
    settings: Settings,
    repository: Annotated[Path, typer.Argument(help="Folder of the server's models; made if need be")],
    text_model: Annotated[str | None, typer.Option(help="Text encoder; default the one of the adapter")] = None,
    image_model: Annotated[str | None, typer.Option(help="Picture encoder; default the one of the adapter")] = None,
    adapter_name: Annotated[str, typer.Option(help="The adapter's name there")] = "coldstart-adapter",
    ranker_name: Annotated[str, typer.Option(help="NeuMF's, where the adapter grants it a say")] = "coldstart-ranker",
    precision: Annotated[
        Literal["fp32", "fp16"], typer.Option(help="Of the encoders, as encoder_precision of the services")
    ] = "fp32",
    device: Annotated[
        Literal["auto", "cpu", "gpu"], typer.Option(help="cpu, gpu, or auto: the GPUs that there are, else the CPU")
    ] = "auto",
    instances: Annotated[int, typer.Option(min=1, help="Copies of each model, on each GPU")] = 1,
    max_batch: Annotated[int, typer.Option(min=1, max=1024, help="Most items that a model computes together")] = 32,
    queue_delay_us: Annotated[
        int, typer.Option(min=0, max=1_000_000, help="How long a request may wait for others, in microseconds")
    ] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON line")] = False,
) -> None:
    """Write the encoders, and the adapter at hand, as models that Triton serves, with dynamic batching.

    Without an adapter and names, the default encoders. Services that are to use them name the server as encoder_url;
    the adapter they compute themselves: as a model it is for whoever else places items, and so is NeuMF.
    """
    from coldstart.encoders.onnx import exported
    from coldstart.encoders.triton import Serving, write_model

    serving = Serving(max_batch, queue_delay_us, device, instances)
    artifact = artifact_at_hand(settings)
    text, image = chosen_models(artifact, text_model, image_model)
    with TemporaryDirectory(prefix="coldstart-export-") as folder:
        files = {
            settings.encoder_text_name: (exported("text", text, settings.cache, precision), text),
            settings.encoder_image_name: (exported("image", image, settings.cache, precision), image),
        }
        if artifact is not None:
            names = {"adapter": adapter_name, "ranker": ranker_name}
            made = exported_adapter(artifact, Path(folder))
            files |= {names[kind]: (file, artifact.version) for kind, (file, _) in made.items()}
        models = [(write_model(repository, name, file, serving), of) for name, (file, of) in files.items()]
    if as_json:
        told = [{"name": model.name, "version": model.version, "model": of} for model, of in models]
        print(json.dumps({"repository": str(repository), "models": told}))
        return
    for model, _ in models:
        print(f"{repository / model.name}: version {model.version}")
    print(f"Serve it with: tritonserver --model-repository={repository}")
