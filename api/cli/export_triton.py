"""``coldstart export triton``: the encoders as a model repository of NVIDIA Triton Inference Server."""

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from api.cli.export import chosen_models
from api.cli.options import with_settings
from coldstart.settings import Settings


@with_settings("data_dir", "adapter", "backbone", "cache_dir", "encoder_text_name", "encoder_image_name")
def triton(
    settings: Settings,
    repository: Annotated[Path, typer.Argument(help="Folder of the server's models; made if need be")],
    text_model: Annotated[str | None, typer.Option(help="Text encoder; default the one of the adapter")] = None,
    image_model: Annotated[str | None, typer.Option(help="Picture encoder; default the one of the adapter")] = None,
    precision: Annotated[Literal["fp32", "fp16"], typer.Option(help="As encoder_precision of the services")] = "fp32",
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
    """Write the text and the picture encoder as models that Triton serves, with dynamic batching.

    Without an adapter and names, the default encoders. Services that are to use them name the server as encoder_url.
    """
    from coldstart.encoders.onnx import exported
    from coldstart.encoders.triton import Serving, write_model

    serving = Serving(max_batch, queue_delay_us, device, instances)
    text, image = chosen_models(settings, text_model, image_model)
    written = {
        settings.encoder_text_name: exported("text", text, settings.cache, precision),
        settings.encoder_image_name: exported("image", image, settings.cache, precision),
    }
    models = [write_model(repository, name, file, serving) for name, file in written.items()]
    if as_json:
        told = [{"name": model.name, "version": model.version, "model": name}
                for model, name in zip(models, (text, image), strict=True)]  # fmt: skip
        print(json.dumps({"repository": str(repository), "models": told}))
        return
    for model in models:
        print(f"{repository / model.name}: version {model.version}")
    print(f"Serve it with: tritonserver --model-repository={repository}")
