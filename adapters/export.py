"""An adapter and NeuMF's second look as ONNX: other runtimes place items and rank candidates as the service does.

``adapter.onnx`` is `ServedAdapter.serve` for items that the backbone does not know, all of it: centring, the search
among anchors, gates, both blocks and their calibration; what it searches and weighs lies in the file. ``ranker.onnx``
takes the end of served vectors, where an item's embedding in NeuMF's perceptron is.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from onnxruntime import InferenceSession
from scipy.sparse import csr_matrix, diags
from torch import Tensor, nn

from adapters.artifact import Artifact
from adapters.content import Contents, Terms
from adapters.forward import adapt, gates, neighbour_mean
from adapters.ranking import item_embeddings
from adapters.serving import TAIL, ServedAdapter
from adapters.space import Adapter
from coldstart.backbones.ranker import NeuMFRanker
from coldstart.encoders.precision import LEAST_COSINE
from coldstart.encoders.publishing import cosines, label
from coldstart.encoders.tracing import DYNAMIC, Axes, trace
from coldstart.errors import InvalidInput
from coldstart.terms import BUCKETS
from coldstart.vectors import Matrix, Rows

MOST_BYTES = 2_000_000_000
"""Of one ONNX file, which is one protobuf message."""
_COMPARED, _CANDIDATES = 32, 5


class _Terms(nn.Module):
    """`Terms.apply` for bucket numbers [b, t], of which negative ones are none."""

    places: Tensor
    weights: Tensor
    mean: Tensor
    basis: Tensor

    def __init__(self, terms: Terms) -> None:
        super().__init__()
        known = len(terms.buckets)
        places = np.full(BUCKETS + 1, known)
        places[terms.buckets] = np.arange(known)
        _hold(self, places=places, weights=np.append(terms.weights, np.float32(0)), mean=terms.mean,
              basis=np.vstack([terms.basis, np.zeros((1, terms.basis.shape[1]), np.float32)]))  # fmt: skip

    def forward(self, buckets: Tensor) -> tuple[Tensor, Tensor]:
        places = self.places[torch.where(buckets >= 0, buckets, BUCKETS)]
        weights = self.weights[places]  # (b, t)
        length = torch.linalg.vector_norm(weights, dim=1, keepdim=True)
        has = length > 0
        rows = (weights[:, None, :] @ self.basis[places])[:, 0] / torch.where(has, length, 1.0)
        return _normalise((rows - self.mean) * has), has[:, 0]


class _Place(nn.Module):
    """`ServedAdapter.serve` for items of no row; ``table`` [items, m] is what they borrow from for the ranker."""

    text_mean: Tensor
    image_mean: Tensor
    image_basis: Tensor
    anchor_text: Tensor
    anchor_image: Tensor
    anchor_vectors: Tensor
    anchor_embeddings: Tensor
    penalty: Tensor
    whitening: Tensor
    strength: Tensor
    users: Tensor
    profiles: Tensor

    def __init__(self, adapter: Adapter, table: Matrix | None) -> None:
        super().__init__()
        self.scales, self.config = adapter.scales, adapter.config
        centering, anchors, statistics = adapter.centering, adapter.anchors, adapter.statistics
        self.terms = _Terms(centering.terms)
        self.share = centering.term_share
        self.reads_text = bool(centering.text_mean.any())
        self.modalities = [bool(each) for each in adapter.modalities]
        self.mean_spread = [float(each) for each in statistics.mean_spread]
        self.names = list(adapter.parameters)
        self.neighbours = min(adapter.config.neighbours, len(anchors.rows))
        _hold(self, **{f"p_{name}": array for name, array in adapter.parameters.items()})
        _hold(
            self, text_mean=centering.text_mean, image_mean=centering.image_mean, image_basis=centering.image_basis,
            anchor_text=anchors.text.T, anchor_image=anchors.image.T, penalty=anchors.penalty,
            anchor_vectors=adapter.backbone.item_vectors[anchors.rows], whitening=statistics.whitening,
            strength=statistics.strength, users=statistics.users, profiles=statistics.profiles,
        )  # fmt: skip
        self.lends = table is not None
        if table is not None:
            _hold(self, anchor_embeddings=table[anchors.rows])

    def forward(self, text: Tensor, image: Tensor, terms: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Served vectors [b, D], v_hat [b, d], gates [b, 2]."""
        p = {name: getattr(self, f"p_{name}") for name in self.names}
        t, x, present = self._centred(text, image, terms)
        some = present.any(dim=1, keepdim=True)
        places, similarity = self._near(p, t, x, present)
        v_hat, gate = adapt(
            p, t, x, present, similarity, self.anchor_vectors[places], temperature=self.config.temperature
        )
        v_hat = v_hat * some
        root = torch.sqrt(gate)
        fused = torch.cat([root[:, :1] * t, root[:, 1:] * x], dim=1)
        strength = torch.clamp(fused @ self.strength[:-1] + self.strength[-1], -2.5, 2.5)
        factor = self.scales.cold * torch.exp(self.scales.strength * strength)
        content = self.scales.cold_content * self._even(fused @ self.whitening, self.profiles, 1)
        blocks = [factor[:, None] * torch.cat([self._even(v_hat, self.users, 0), content], dim=1)]
        if self.lends:
            borrowed = neighbour_mean(p, gate, similarity, self.anchor_embeddings[places], self.config.temperature)
            blocks.append(TAIL * (borrowed * some))
        return torch.cat(blocks, dim=1), v_hat, gate

    def _centred(self, text: Tensor, image: Tensor, terms: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """As `Centering.apply` has them."""
        known = (text != 0).any(dim=1) & self.reads_text
        of_terms, has_terms = self.terms(terms)
        sentence = _normalise((text - self.text_mean) * known[:, None])
        both = torch.cat([(1 - self.share) ** 0.5 * sentence, self.share**0.5 * of_terms], dim=1)
        reads_text, reads_image = self.modalities
        present = torch.stack([(known | has_terms) & reads_text, (image != 0).any(dim=1) & reads_image], dim=1)
        picture = _normalise((image - self.image_mean) @ self.image_basis)
        return _normalise(both) * present[:, :1], picture * present[:, 1:], present

    def _near(self, p: dict[str, Tensor], t: Tensor, x: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """As `neighbours.nearest` finds them: places [b, k] among the anchors, and corrected cosines [b, k, 2]."""
        gate = gates(p, t, x, present)
        by_text, by_image = t @ self.anchor_text - self.penalty[:, 0], x @ self.anchor_image - self.penalty[:, 1]
        places = torch.topk(gate[:, :1] * by_text + gate[:, 1:] * by_image, self.neighbours, dim=1).indices
        return places, torch.stack([by_text.gather(1, places), by_image.gather(1, places)], dim=2)

    def _even(self, vectors: Tensor, moment: Tensor, block: int) -> Tensor:
        """As `Adapter.cold_vectors` evens blocks out."""
        spread = torch.sqrt(torch.clamp(((vectors @ moment) * vectors).sum(dim=1, keepdim=True), min=0.0))
        mean = self.mean_spread[block]
        by = (spread / (mean if mean > 0 else 1.0)) ** self.scales.cold_spread
        return vectors * torch.where(by > 0, 1.0 / torch.where(by > 0, by, 1.0), 0.0)


class _Rank(nn.Module):
    """`NeuMFRanker.perceptron` without a context, for lists of candidates."""

    users: Tensor
    by_user: Tensor
    by_item: Tensor
    bias: Tensor
    fusion: Tensor
    fusion_bias: Tensor

    def __init__(self, ranker: NeuMFRanker) -> None:
        super().__init__()
        first, *others = ranker.layers
        m = ranker.items.shape[1]
        by_user, by_item, by_context = np.split(first.weight, (m, 2 * m))
        self.others = len(others)
        _hold(
            self, users=ranker.users, by_user=by_user, by_item=by_item, bias=first.bias + ranker.unknown @ by_context,
            fusion=ranker.tensors["fusion.mlp"], fusion_bias=ranker.tensors["fusion.bias"],
            **{f"weight_{n}": layer.weight for n, layer in enumerate(others)},
            **{f"bias_{n}": layer.bias for n, layer in enumerate(others)},
        )  # fmt: skip

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """Logits [b, k] of users [b, 1], by their rows, and of the ends of served vectors [b, k, m]."""
        x = torch.relu(self.users[users] @ self.by_user + self.bias + (items / TAIL) @ self.by_item)
        for n in range(self.others):
            x = torch.relu(x @ getattr(self, f"weight_{n}") + getattr(self, f"bias_{n}"))
        return x @ self.fusion + self.fusion_bias


def export_adapter(artifact: Artifact, path: Path) -> dict[str, str]:
    """Write ``adapter.onnx``; returns what the file says of itself.

    Its inputs are ``text`` float32 [b, dt] and ``image`` float32 [b, dx], zeros where an item has none, and ``terms``
    int64 [b, t]: the columns that `coldstart.terms.count_terms` has ones in, padded with -1. Its outputs are
    ``vectors`` float32 [b, D] as they are served, ``adapted`` [b, d] in the backbone's space, and ``gates`` [b, 2].

    Raises
    ------
    InvalidInput
        Where the adapter is too large for one file, or the file does not answer as the adapter does.
    """
    served = ServedAdapter(artifact)
    adapter, tower = served.adapter, served.tower
    contents = _samples(adapter.contents)
    expected = [adapter.cold_vectors(adapter.blocks(contents))]
    if tower is not None:
        expected.append(TAIL * item_embeddings(adapter, tower, contents, np.full(len(contents), -1)))
    inputs: dict[str, NDArray[Any]] = {
        "text": contents.text,
        "image": contents.image,
        "terms": _buckets(contents.terms),
    }
    axes = {"text": {0: DYNAMIC}, "image": {0: DYNAMIC}, "terms": {0: DYNAMIC, 1: DYNAMIC}}
    outputs = ("vectors", "adapted", "gates")
    _write(_Place(adapter, None if tower is None else tower.items), inputs, axes, outputs, path)
    card = {"text_fingerprint": artifact.text.fingerprint, "image_fingerprint": artifact.image.fingerprint}
    return _checked(path, f"adapter@{artifact.version}", card, inputs, np.hstack(expected))


def export_ranker(artifact: Artifact, path: Path) -> dict[str, str] | None:
    """Write ``ranker.onnx``; ``None`` without a file where the adapter has no NeuMF that was granted a say.

    Its inputs are ``users`` int64 [b, 1], rows of the backbone, and ``items`` float32 [b, k, m], the last m numbers of
    served vectors; its output is ``logits`` float32 [b, k], what NeuMF's perceptron says. For errors see
    `export_adapter`.
    """
    tower = ServedAdapter(artifact).tower
    if tower is None:
        return None
    rng = np.random.default_rng(0)
    users = rng.integers(len(tower.users), size=(_COMPARED, 1))
    items = tower.items[rng.integers(len(tower.items), size=(_COMPARED, _CANDIDATES))]
    asked = np.repeat(tower.users[users[:, 0]], _CANDIDATES, axis=0)
    expected = tower.perceptron(asked, items.reshape(-1, items.shape[2])).reshape(_COMPARED, _CANDIDATES)
    inputs: dict[str, NDArray[Any]] = {"users": users, "items": TAIL * items}
    _write(_Rank(tower), inputs, {"users": {0: DYNAMIC}, "items": {0: DYNAMIC, 1: DYNAMIC}}, ("logits",), path)
    weights = artifact.adapter.ranker
    card = {"cold_weight": str(weights.cold), "warm_weight": str(weights.warm)}
    return _checked(path, f"ranker@{artifact.version}", card, inputs, expected)


def _samples(contents: Contents) -> Contents:
    """Some items of the backbone's as if they were new: of every four one without a text, a picture and terms each."""
    some = contents.take(np.arange(_COMPARED) % len(contents))
    has = np.arange(_COMPARED)[:, None] % 4 != np.arange(3)
    terms = csr_matrix(diags(has[:, 2].astype(np.float32)) @ some.terms)
    terms.eliminate_zeros()
    text, image = some.text * has[:, :1], some.image * has[:, 1:2]
    written = text.any(axis=1) | (np.diff(terms.indptr) > 0)
    return Contents(text, image, np.stack([written, image.any(axis=1)], axis=1), terms)


def _buckets(terms: csr_matrix) -> Rows:
    """Columns of each row [n, t], padded with -1."""
    counts = np.diff(terms.indptr)
    columns = np.full((len(counts), max(2, int(counts.max(initial=0)))), -1)  # an axis of one would be traced as fixed
    columns[np.arange(columns.shape[1]) < counts[:, None]] = terms.indices
    return columns


def _write(
    module: nn.Module, inputs: Mapping[str, NDArray[Any]], axes: Axes, outputs: Sequence[str], path: Path
) -> None:
    size = sum(tensor.nbytes for tensor in module.buffers())
    if size > MOST_BYTES:
        raise InvalidInput(
            f"it takes {size} bytes, and one ONNX file holds {MOST_BYTES}", subject=path.stem,
            remedy="Train an adapter with fewer max_anchors",
        )  # fmt: skip
    with torch.no_grad():
        trace(module, {name: torch.from_numpy(array) for name, array in inputs.items()}, axes, outputs, path)


def _checked(
    path: Path, fingerprint: str, card: Mapping[str, str], inputs: Mapping[str, NDArray[Any]], expected: Matrix
) -> dict[str, str]:
    """Label the file, once ONNX Runtime has answered from it as expected [n, any]."""
    found = InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, dict(inputs))[0]
    mean, least = cosines(found, expected)
    if not mean >= LEAST_COSINE["fp32"]:
        path.unlink()
        what = f"the exported file answers otherwise than it does: mean cosine {mean:.4f}"
        raise InvalidInput(what, subject=fingerprint, remedy="Report this with the versions of coldstart doctor")
    own = {"fingerprint": fingerprint, "cosine_mean": f"{mean:.6f}", "cosine_min": f"{least:.6f}"}
    label(path, told := {**own, **card, "precision": "fp32"})
    return told


def _normalise(vectors: Tensor) -> Tensor:
    length = torch.linalg.vector_norm(vectors, dim=1, keepdim=True)
    return vectors / torch.where(length > 0, length, 1.0)


def _hold(module: nn.Module, **arrays: NDArray[Any]) -> None:
    """Give the module these constants."""
    for name, array in arrays.items():
        kind = array.dtype if array.dtype.kind == "i" else np.float32
        module.register_buffer(name, torch.from_numpy(np.ascontiguousarray(array, dtype=kind)))
