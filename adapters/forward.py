"""The adapter's forward pass, written once against the array API: torch trains it, numpy serves it.

Shapes: b items, k neighbours, h projection width, d backbone width. ``p`` holds the parameters by name.
"""

from collections.abc import Mapping
from typing import Any

from array_api_compat import array_namespace

Array = Any
"""A numpy array or a torch tensor, float32."""
Parameters = Mapping[str, Array]


def softmax(logits: Array, mask: Array) -> Array:
    """Softmax over the last axis among the masked-in places; all zeros where nothing is masked in."""
    xp = array_namespace(logits)
    low = xp.where(mask, logits, xp.full_like(logits, -1e9))
    weights = xp.exp(low - xp.max(low, axis=-1, keepdims=True)) * xp.astype(mask, logits.dtype)
    total = xp.sum(weights, axis=-1, keepdims=True)
    return weights / xp.where(total > 0, total, xp.ones_like(total))


def project(p: Parameters, text: Array, image: Array) -> tuple[Array, Array]:
    """Text and image projections, each [b, h]."""
    return text @ p["text_projection"], image @ p["image_projection"]


def gates(p: Parameters, text: Array, image: Array, present: Array) -> Array:
    """A weight per modality conditioned on both, [b, 2]: sums to 1 over what is present, 0 for what is missing."""
    xp = array_namespace(text)
    both = xp.concat(project(p, text, image), axis=-1)
    hidden = xp.tanh(both @ p["gate_in"] + p["gate_bias"])
    return softmax(p["gate_prior"] + hidden @ p["gate_out"], present)


def neighbour_mean(p: Parameters, gate: Array, similarity: Array, vectors: Array, temperature: float) -> Array:
    """K [b, d]: the neighbours' frozen vectors averaged by softmax of their gated, hubness-corrected cosines.

    ``similarity`` [b, k, 2] per modality, ``vectors`` [b, k, d].
    """
    xp = array_namespace(gate)
    mixed = xp.sum(similarity * gate[:, None, :], axis=-1) / temperature
    weights = softmax(mixed, xp.ones_like(mixed, dtype=xp.bool))
    return (weights[:, None, :] @ vectors)[:, 0, :]


def residual(p: Parameters, text: Array, image: Array, gate: Array, neighbours: Array) -> Array:
    """What content adds to K, [b, d]: an MLP over the gated projections and K, in units of the frozen vectors' norm."""
    xp = array_namespace(text)
    text_part, image_part = project(p, text, image)
    joined = xp.concat([gate[:, :1] * text_part, gate[:, 1:] * image_part, neighbours / p["norm"]], axis=-1)
    return p["norm"] * (xp.tanh(joined @ p["residual_in"] + p["residual_bias"]) @ p["residual_out"])


def adapt(
    p: Parameters,
    text: Array,
    image: Array,
    present: Array,
    similarity: Array,
    vectors: Array,
    *,
    temperature: float,
) -> tuple[Array, Array]:
    """v_hat [b, d] in the backbone's space and the gates [b, 2].

    Parameters
    ----------
    text, image : [b, dt], [b, px]
        Centred embeddings of unit length, zeros where missing.
    present : bool [b, 2]
    similarity, vectors : [b, k, 2], [b, k, d]
        Corrected cosines to the neighbours and their frozen vectors.
    """
    gate = gates(p, text, image, present)
    mean = neighbour_mean(p, gate, similarity, vectors, temperature)
    return mean + residual(p, text, image, gate, mean), gate
