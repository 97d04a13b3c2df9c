"""``coldstart demo``: the whole journey on the sample shop, from an empty folder to new products recommended."""

import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.options import with_settings
from coldstart.settings import Settings

if TYPE_CHECKING:
    from api.cli.arrivals import Posted
    from coldstart.backbones import FrozenBackbone
    from coldstart.dataset import Dataset
    from coldstart.splits import Split

K = 20
READY_S = 120.0


@with_settings("data_dir", "host", "port", "threads", "cache_dir")
def demo(
    settings: Settings,
    end: Annotated[bool, typer.Option("--exit", help="End after the table instead of serving on")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the table as one JSON line as well")] = False,
) -> None:
    """Generate a shop, train on it, serve it, post its newest products and show who gets them.

    Everything is written below the data folder, and what is there already is used again.
    """
    from api.cli.offline import console
    from api.cli.serve import listen, refuse_strangers
    from coldstart.backbones import FrozenBackbone
    from coldstart.dataset import read_dataset
    from coldstart.splits import read_split

    with listen(settings.host, settings.port) as listener:  # what would be refused after minutes of work is refused now
        refuse_strangers(listener, settings.model_copy(update={"require_keys": False}))
    started = time.perf_counter()
    shop = settings.data_dir / "sample-shop"
    _write_shop(shop)
    dataset = read_dataset(shop)
    split = read_split(dataset, "arrivals")
    _train(dataset, split, settings)
    backbone = FrozenBackbone.load(settings.backbone_dir)
    before = backbone.sha256
    _seed(dataset, split, settings)
    console.print("[bold]Starting the service")
    arguments = [
        "serve", "--data-dir", str(settings.data_dir), "--host", settings.host, "--port", str(settings.port),
        "--threads", str(settings.threads), "--cache-dir", str(settings.cache_dir), "--log-level", "WARNING",
        "--no-require-keys",
    ]  # fmt: skip
    service = subprocess.Popen([sys.executable, "-m", "api.cli", *arguments])  # noqa: S603 (our own command)
    try:
        posted, lists = _post(service, dataset, split, settings)
        after = FrozenBackbone.load(settings.backbone_dir).sha256
        _report(
            dataset, split, backbone, posted, lists,
            hashes=(before, after), seconds=time.perf_counter() - started, as_json=as_json,
        )  # fmt: skip
        if not end:
            console.print(f"The shop is at [bold]http://{settings.host}:{settings.port}[/] - Ctrl-C ends it.")
            service.wait()
    except KeyboardInterrupt:
        pass
    finally:
        service.terminate()
        try:
            service.wait(timeout=30)
        except subprocess.TimeoutExpired:
            service.kill()


def _write_shop(folder: Path) -> None:
    from api.cli.offline import console
    from coldstart.sample import write_sample

    if not (folder / "splits" / "arrivals" / "cold_test.csv").exists():
        console.print("[bold]Drawing the sample shop[/]: 2,000 products, 1,500 shoppers, 60,000 clicks")
        write_sample(folder)


def _train(dataset: "Dataset", split: "Split", settings: Settings) -> None:
    """Backbone and adapter on what was there before the arrivals, unless they are there already."""
    from api.cli.offline import console, parse_modalities, train_artifact
    from coldstart.backbones.training import train_backbone

    if not (settings.backbone_dir / "backbone.json").exists():
        console.print("[bold]Training the backbone[/]: LightGCN on the shop's clicks")
        trained = train_backbone(
            "lightgcn", dataset.users, dataset.items.ids, split.train, split.warm_val, progress=console.is_terminal
        )
        trained.save(settings.backbone_dir)
    if not (settings.adapter_dir / "config.json").exists():
        console.print("[bold]Training the adapter[/]: texts and pictures into the frozen backbone's space")
        train_artifact(
            dataset.take_items(split.warm_items), None, settings,
            backbone_dir=settings.backbone_dir, out=settings.adapter_dir,
            modalities=parse_modalities("auto", dataset),
        )  # fmt: skip


def _seed(dataset: "Dataset", split: "Split", settings: Settings) -> None:
    """Everything but the arrivals into the catalogue, before the service opens it."""
    from workers.runtime import open_runtime

    with open_runtime(settings) as runtime:
        runtime.seed(dataset.take_items(split.warm_items))


def _post(
    service: subprocess.Popen[bytes], dataset: "Dataset", split: "Split", settings: Settings
) -> tuple["Posted", dict[str, list[str]]]:
    import httpx

    from api.cli.arrivals import lists_of, post_items, wait_until_ready
    from api.cli.offline import console, progress_by_name

    with httpx.Client(base_url=f"http://{settings.host}:{settings.port}", timeout=30) as client:
        wait_until_ready(client, patience_s=READY_S, alive=lambda: service.poll() is None)
        rows = split.cold_items
        console.print(f"[bold]Posting {len(rows)} arrivals[/], each with its text and picture")
        with progress_by_name("post") as on_progress:
            posted = post_items(
                client, dataset, rows, on_progress=lambda done: on_progress("arrivals", done, len(rows))
            )
        return posted, lists_of(client, [dataset.users.ids[row] for row in _matching(split)], limit=K)


def _matching(split: "Split") -> list[int]:
    """Rows of the shoppers who would click at least one arrival, and whom the backbone knows."""
    known = set(split.train.user_rows.tolist())
    return sorted(set(split.cold_val.user_rows.tolist() + split.cold_test.user_rows.tolist()) & known)


def _report(
    dataset: "Dataset",
    split: "Split",
    backbone: "FrozenBackbone",
    posted: "Posted",
    lists: dict[str, list[str]],
    *,
    hashes: tuple[str, str],
    seconds: float,
    as_json: bool,
) -> None:
    import json

    from rich.console import Console
    from rich.table import Table

    arrivals = {dataset.items.ids.ids[row] for row in split.cold_items}
    liked: dict[str, set[str]] = {user_id: set() for user_id in lists}
    for part in (split.cold_val, split.cold_test):
        for user, item in zip(part.user_rows.tolist(), part.item_rows.tolist(), strict=True):
            if dataset.users.ids[user] in liked:
                liked[dataset.users.ids[user]].add(dataset.items.ids.ids[item])
    served = sum(bool(arrivals & set(rows)) for rows in lists.values())
    right = sum(bool(liked[user_id] & set(rows)) for user_id, rows in lists.items())
    raw = _raw_hits(backbone, list(lists), arrivals)
    figures = {
        "arrivals_posted": len(posted.ttr_ms) + len(posted.failed),
        "arrivals_retrievable": len(posted.retrievable),
        "ttr_p50_ms": round(posted.percentile(50), 1),
        "ttr_p95_ms": round(posted.percentile(95), 1),
        "matching_shoppers": len(lists),
        "shoppers_with_an_arrival_in_top_20": served,
        "shoppers_with_an_arrival_they_like_in_top_20": right,
        "the_same_by_the_raw_backbone": raw,
        "backbone_sha256_before": hashes[0],
        "backbone_sha256_after": hashes[1],
        "seconds": round(seconds, 1),
    }
    table = Table(title="The sample shop", show_header=False)
    table.add_column()
    table.add_column(overflow="fold")  # a hash is no use where its end is cut
    for name, value in figures.items():
        table.add_row(name.replace("_", " "), f"{value:,}" if isinstance(value, int) else str(value))
    Console().print(table)
    for item_id, reason in posted.failed.items():
        print(f"not retrievable: {item_id}: {reason}")
    if as_json:
        print(json.dumps(figures))


def _raw_hits(backbone: "FrozenBackbone", user_ids: list[str], arrivals: set[str]) -> int:
    """Shoppers with an arrival in the top 20 of the frozen backbone's own scores."""
    from coldstart.evaluation.metrics import rank

    rows = backbone.users.rows(user_ids)
    ranked = rank(backbone.user_vectors[rows], backbone.item_vectors, K, seen=backbone.clicks[rows])
    return sum(bool(arrivals & {backbone.items.ids[item] for item in top}) for top in ranked.tolist())
