"""An adapter on disk: ``config.json``, ``weights.safetensors``, ``contents.safetensors``, ``card.md``. No pickle.

The folder names its backbone by relative path and sha256, and its encoders by name and fingerprint; what does not match
is refused.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load, save
from scipy.sparse import csr_matrix

from adapters.config import AdapterConfig
from adapters.content import Centering, Contents, Terms
from adapters.folding import Folding
from adapters.neighbours import Anchors
from adapters.space import Adapter, Scales, Statistics
from coldstart.backbones import FrozenBackbone
from coldstart.errors import ColdstartError, Conflict, NotFound
from coldstart.folder import current_folder, write_folder
from coldstart.terms import BUCKETS
from coldstart.vectors import rounded

FORMAT = 2
CONFIG_FILE = "config.json"
WEIGHTS_FILE = "weights.safetensors"
CONTENTS_FILE = "contents.safetensors"
CARD_FILE = "card.md"
_NOT_TENSORS = ("terms", "term_share")


@dataclass(frozen=True, slots=True)
class EncoderName:
    """Which encoder made the embeddings: the name that opens it, and what it was when it did."""

    model: str
    fingerprint: str


@dataclass(frozen=True)
class Artifact:
    """An adapter with the names of its encoders; ``version`` is a fingerprint of all that decides a served vector."""

    adapter: Adapter
    text: EncoderName
    image: EncoderName
    version: str


def save_artifact(
    adapter: Adapter, folder: Path, *, text: EncoderName, image: EncoderName, backbone_dir: Path, card: str
) -> str:
    """Write the folder whole or not at all; returns the version.

    Raises `InvalidInput` where an embedding is too large for float16, in which the folder keeps them.
    """
    weights, contents = save(_tensors(adapter)), save(_contents(adapter.contents))
    document = {
        "format": FORMAT,
        "backbone": {
            "path": os.path.relpath(backbone_dir.resolve(), folder.resolve()),
            "sha256": adapter.backbone.sha256,
        },
        "encoders": {"text": asdict(text), "image": asdict(image)},
        "config": asdict(adapter.config),
        "scales": asdict(adapter.scales),
        "folding": asdict(adapter.folding),
        "sha256": {WEIGHTS_FILE: _sha256(weights), CONTENTS_FILE: _sha256(contents)},
    }
    version = _version(document)
    text_of = json.dumps({**document, "version": version}, indent=1)
    write_folder(
        folder,
        {CONFIG_FILE: text_of.encode(), WEIGHTS_FILE: weights, CONTENTS_FILE: contents, CARD_FILE: card.encode()},
    )
    return version


def load_artifact(folder: Path, *, backbone: Path | None = None) -> Artifact:
    """Read an adapter together with its backbone (the one it names, or the folder given).

    Raises
    ------
    NotFound
        Where there is no adapter, or no backbone where it should be.
    Conflict
        Where a file is damaged, or the backbone is not the one that the adapter was trained on.
    """
    source = current_folder(folder)
    try:
        raw = (source / CONFIG_FILE).read_bytes()
        weights, contents = (source / WEIGHTS_FILE).read_bytes(), (source / CONTENTS_FILE).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(
            "the folder holds no adapter",
            subject=str(folder),
            remedy="Train one with 'coldstart train adapter DATA', or see it all at work with 'coldstart demo'",
        ) from None
    try:
        document = json.loads(raw)
        version = document.pop("version")
        if document["format"] != FORMAT:
            raise Conflict(
                f"the adapter has format {document['format']!r}, this version reads {FORMAT}",
                subject=str(folder),
                remedy="Train it again, or use the version of coldstart that wrote it",
            )
        wanted = document["sha256"]
        if version != _version(document):
            raise _damaged(folder, CONFIG_FILE)
        for name, content in ((WEIGHTS_FILE, weights), (CONTENTS_FILE, contents)):
            if _sha256(content) != wanted[name]:
                raise _damaged(folder, name)
        place = Path(os.path.normpath(backbone or folder / document["backbone"]["path"]))
        frozen = FrozenBackbone.load(place)
        if frozen.sha256 != document["backbone"]["sha256"]:
            raise Conflict(
                f"the adapter was trained on the backbone {document['backbone']['sha256'][:12]}, "
                f"but {place} holds {frozen.sha256[:12]}",
                subject=str(folder),
                remedy="Train the adapter again on this backbone, or name the right one with --backbone",
            )
        adapter = _assemble(document, frozen, load(weights), load(contents))
        names = {name: EncoderName(**document["encoders"][name]) for name in ("text", "image")}
    except ColdstartError:
        raise
    except Exception as error:  # readers of foreign files fail with every kind of error
        raise _damaged(folder, CONFIG_FILE) from error
    return Artifact(adapter, names["text"], names["image"], version)


def read_card(folder: Path) -> str:
    """What the adapter's card says; nothing where it has none."""
    try:
        return (current_folder(folder) / CARD_FILE).read_text(errors="replace")
    except OSError:
        return ""


def backbone_path(folder: Path) -> str:
    """Where, from its own folder, an adapter says that its backbone is; for errors see `load_artifact`."""
    try:
        return str(json.loads((current_folder(folder) / CONFIG_FILE).read_bytes())["backbone"]["path"])
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound("the folder holds no adapter", subject=str(folder), remedy="Check --adapter") from None
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(folder, CONFIG_FILE) from error


def _tensors(adapter: Adapter) -> dict[str, NDArray[Any]]:
    groups: dict[str, Mapping[str, Any]] = {
        "parameters": adapter.parameters,
        "statistics": vars(adapter.statistics),
        "centering": {name: array for name, array in vars(adapter.centering).items() if name not in _NOT_TENSORS},
        "terms": vars(adapter.centering.terms),
        "anchors": {"rows": adapter.anchors.rows, "penalty": adapter.anchors.penalty},
    }
    return {
        f"{group}.{name}": np.ascontiguousarray(array)
        for group, arrays in groups.items()
        for name, array in arrays.items()
    }


def _contents(contents: Contents) -> dict[str, NDArray[Any]]:
    kept = Contents(
        rounded(contents.text), rounded(contents.image), contents.present, contents.terms
    )  # refuses what float16 cannot hold
    return {
        "text": kept.text.astype(np.float16),
        "image": kept.image.astype(np.float16),
        "present": kept.present,
        "terms.indptr": contents.terms.indptr.astype(np.int64),
        "terms.indices": contents.terms.indices.astype(np.int32),
    }


def _assemble(
    document: Mapping[str, Any],
    backbone: FrozenBackbone,
    weights: Mapping[str, NDArray[Any]],
    contents: Mapping[str, NDArray[Any]],
) -> Adapter:
    groups: dict[str, dict[str, Any]] = {
        "parameters": {}, "statistics": {}, "centering": {}, "terms": {}, "anchors": {}
    }  # fmt: skip
    for name, array in weights.items():
        group, _, field = name.partition(".")
        groups[group][field] = array
    config = AdapterConfig(**document["config"])
    indptr, indices = contents["terms.indptr"], contents["terms.indices"]
    terms = csr_matrix((np.ones(len(indices), np.float32), indices, indptr), shape=(len(indptr) - 1, BUCKETS))
    terms.check_format(full_check=True)  # scipy reads where an index points, be it within the matrix or not
    raw = Contents(
        contents["text"].astype(np.float32), contents["image"].astype(np.float32), contents["present"], terms
    )
    centering = Centering(**groups["centering"], terms=Terms(**groups["terms"]), term_share=config.term_share)
    rows = groups["anchors"]["rows"]
    text, image, _ = centering.apply(raw.take(rows))
    return Adapter(
        backbone=backbone,
        contents=raw,
        config=config,
        centering=centering,
        anchors=Anchors(rows, text, image, groups["anchors"]["penalty"]),
        parameters=groups["parameters"],
        statistics=Statistics(**groups["statistics"]),
        scales=Scales(**document["scales"]),
        folding=Folding(**document.get("folding", {})),
    )


def _version(document: Mapping[str, Any]) -> str:
    return _sha256(json.dumps(document, sort_keys=True).encode())[:12]


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _damaged(folder: Path, name: str) -> Conflict:
    return Conflict(
        f"{name} is damaged or altered", subject=str(folder), remedy="Restore the folder, or train the adapter again"
    )
