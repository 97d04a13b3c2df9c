"""In how many bits an encoder computes, and whose embeddings may stand beside whose.

A fingerprint names a model, its weights and its preprocessing, as in ``NAME@sha256:HEX``, and what its arithmetic is
reduced to, as in ``NAME@sha256:HEX+int8.2``: equal fingerprints give equal embeddings.
"""

import re
from collections.abc import Mapping
from typing import Literal

Precision = Literal["fp32", "fp16", "int8"]

LEAST_COSINE: Mapping[Precision, float] = {"fp32": 0.9999, "fp16": 0.999, "int8": 0.98}
"""Between an export's embeddings and torch's, in the mean; below it an export is refused."""

RECIPE = 2
"""Of `coldstart.encoders.quantising`: a change that moves int8 embeddings counts it up."""
_REDUCED = re.compile(r"\+(fp16|int8)[.0-9]*$")


def fingerprint_in(precision: Precision, model: str) -> str:
    """The fingerprint of a model's embeddings in a precision, from that of the model itself.

    >>> fingerprint_in("fp32", "minilm@sha256:0a"), fingerprint_in("int8", "minilm@sha256:0a")
    ('minilm@sha256:0a', 'minilm@sha256:0a+int8.2')
    """
    return model + {"fp32": "", "fp16": "+fp16", "int8": f"+int8.{RECIPE}"}[precision]


def precision_of(fingerprint: str) -> str:
    """What the embeddings' arithmetic is reduced to.

    >>> precision_of("minilm@sha256:0a"), precision_of("minilm@sha256:0a+int8.2")
    ('fp32', 'int8')
    """
    found = _REDUCED.search(fingerprint)
    return found[1] if found else "fp32"


def model_of(fingerprint: str) -> str:
    """The model's own fingerprint, whatever its embeddings are reduced to.

    >>> model_of("minilm@sha256:0a+int8.2")
    'minilm@sha256:0a'
    """
    return _REDUCED.sub("", fingerprint)


def compatible(one: str, other: str) -> bool:
    """Whether an adapter that was trained on embeddings of one fingerprint may be served those of the other.

    The same model may be served in another precision: what that costs is measured (docs/performance.md). So rows and
    sentences that were encoded in one precision stay in use in another. Another model is another space.

    >>> compatible("minilm@sha256:0a", "minilm@sha256:0a+int8.2"), compatible("minilm@sha256:0a", "minilm@sha256:0b")
    (True, False)
    """
    return model_of(one) == model_of(other)
