"""``coldstart import-backbone``: vectors of a recommender that was trained elsewhere."""

from pathlib import Path
from typing import Annotated

import typer

from api.cli.options import with_settings
from coldstart.settings import Settings


@with_settings("data_dir")
def import_backbone(
    settings: Settings,
    users: Annotated[Path, typer.Option(help="User vectors with ids: npz, parquet or safetensors")],
    items: Annotated[Path, typer.Option(help="Item vectors with ids, of the same width")],
    interactions: Annotated[Path | None, typer.Option(help="What it was trained on: user_id, item_id")] = None,
    user_ids: Annotated[
        Path | None, typer.Option(help="Text file with a user id a line, if the vectors have none")
    ] = None,
    item_ids: Annotated[Path | None, typer.Option(help="Text file with an item id a line")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write; default DATA_DIR/artifacts/backbone")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON line")] = False,
) -> None:
    """Freeze external vectors as a backbone; the inner product of a user's and an item's vector is the score."""
    from api.cli.offline import print_backbone
    from coldstart.backbones import external

    imported = external.import_backbone(users, items, interactions=interactions, user_ids=user_ids, item_ids=item_ids)
    folder = out or settings.backbone_dir
    imported.save(folder)
    print_backbone(imported, folder, as_json=as_json)
