"""What int8 embeddings cost the lists: new items encoded in fp32 and in int8, by adapters trained on either."""

from pathlib import Path
from typing import TypedDict

import numpy as np

from adapters.content import Contents
from adapters.encoding import Encoders
from adapters.placing import place
from adapters.training import train_adapter
from adapters.validation import split_validation
from coldstart.backbones.training import train_backbone
from coldstart.dataset import Dataset, read_dataset
from coldstart.encoders.precision import Precision
from coldstart.evaluation.protocols import Part, Protocol
from coldstart.settings import Settings
from coldstart.splits import read_split
from coldstart.vectors import Rows, normalise

Cell = TypedDict("Cell", {"trained": str, "served": str, "recall@20": float, "ndcg@20": float, "recall_kept": float,
                          "ndcg_kept": float})  # fmt: skip
CELLS: tuple[tuple[Precision, Precision], ...] = (("fp32", "fp32"), ("fp32", "int8"), ("int8", "int8"))


def judge(data: Path, split_name: str | None, *, part: Part) -> list[Cell]:
    """Recall@20 and NDCG@20 of cold items, and the share kept of what all in fp32 has, by precisions; printed, too."""
    dataset = read_dataset(data)
    split = read_split(dataset, split_name or "")
    contents: dict[Precision, Contents] = {each: _embedded(dataset, each) for each in ("fp32", "int8")}
    for modality in ("text", "image"):
        exact, near = (normalise(getattr(contents[each], modality)) for each in ("fp32", "int8"))
        if exact.any():
            cosines = (exact * near).sum(axis=1)[exact.any(axis=1)]
            about = f"{dataset.name}, {len(cosines):,} of {modality}"
            print(f"{about}: cosine {cosines.mean():.5f}, {cosines.min():.5f} at least")
    backbone = train_backbone("als", dataset.users, dataset.items.ids, split.train, split.warm_val)
    items, users = dataset.items.ids.rows(backbone.items.ids), dataset.users.rows(backbone.users.ids)
    protocol = Protocol.of(split, len(dataset.users), len(dataset.items), part=part)
    new = np.flatnonzero(protocol.cold)
    adapters = {
        each: train_adapter(
            backbone, known.take(items), validation=split_validation(dataset, split, backbone, known)
        ).adapter
        for each, known in contents.items()
    }
    cells: list[Cell] = []
    best: tuple[float, float] | None = None
    for trained, served in CELLS:
        mixed = _with(contents[trained], contents[served], new)
        vectors, _ = place(adapters[trained], mixed, items=items, users=users, protocol=protocol)
        found = protocol.judge("cold", *vectors)
        assert found is not None
        recall, ndcg = float(found.recall.mean()), float(found.ndcg.mean())
        best = best or (recall, ndcg)
        cells.append({
            "trained": trained, "served": served, "recall@20": round(recall, 4), "ndcg@20": round(ndcg, 4),
            "recall_kept": round(recall / best[0], 4), "ndcg_kept": round(ndcg / best[1], 4),
        })  # fmt: skip
        print(
            f"trained on {trained}, new items in {served}: cold recall@20 {recall:.4f} ({recall / best[0]:.2%}), "
            f"ndcg@20 {ndcg:.4f} ({ndcg / best[1]:.2%})"
        )
    return cells


def _embedded(dataset: Dataset, precision: Precision) -> Contents:
    return Encoders.open(Settings(encoder_precision=precision)).embed(dataset).contents


def _with(trained: Contents, served: Contents, new: Rows) -> Contents:
    """The items as an adapter was trained on them, the new ones as they come in."""
    text, image = trained.text.copy(), trained.image.copy()
    text[new], image[new] = served.text[new], served.image[new]
    return Contents(text, image, trained.present, trained.terms)
