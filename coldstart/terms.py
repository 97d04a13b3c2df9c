"""Declared columns of an item as terms: who directed a film says what a sentence about it does not."""

import math
import re
from collections.abc import Iterator, Sequence
from zlib import crc32

import numpy as np
from scipy.sparse import csr_matrix

from coldstart.clean import clean_text
from coldstart.entities import Attributes, Scalar

BUCKETS = 2**16
"""Terms are hashed into so many columns (Weinberger et al. 2009): whatever is posted tomorrow has its place today."""
_SEPARATORS = re.compile(r"[|,;]")
_PROSE = 80
"""A part with more letters is a sentence, which is the text encoder's affair."""
_STEPS = 4
"""Numbers within a quarter of an octave share a term."""


def count_terms(attributes: Sequence[Attributes]) -> csr_matrix:
    """Which terms each of n items has, float32 [n, BUCKETS] of ones.

    A value is a term together with its column's name; lists, and texts with ``,``, ``;`` or ``|``, are several. A
    number is a term by itself and one with others of its magnitude.

    Examples
    --------
    >>> one, other = {"genre": "Drama, Crime", "year": 1995}, {"genre": ["crime"], "year": 1996}
    >>> counts = count_terms([one, other, {}])
    >>> counts.sum(axis=1).ravel().tolist(), int(counts[0].multiply(counts[1]).sum())
    ([[4.0, 3.0, 0.0]], 2)
    """
    rows = [sorted({crc32(term.encode()) % BUCKETS for term in _terms(each)}) for each in attributes]
    indptr = np.cumsum([0, *map(len, rows)])
    indices = np.fromiter((bucket for row in rows for bucket in row), dtype=np.int32, count=int(indptr[-1]))
    return csr_matrix((np.ones(len(indices), np.float32), indices, indptr), shape=(len(rows), BUCKETS))


def _terms(attributes: Attributes) -> Iterator[str]:
    for name, value in attributes.items():
        for each in value if isinstance(value, list) else [value]:
            yield from _terms_of(clean_text(name).casefold(), each)


def _terms_of(name: str, value: Scalar) -> Iterator[str]:
    match value:
        case str():
            parts = (clean_text(part).casefold() for part in _SEPARATORS.split(value))
            yield from (f"{name}={part}" for part in parts if part and len(part) <= _PROSE)
        case bool():
            yield f"{name}={value}".casefold()
        case _ if math.isfinite(value):
            magnitude = round(_STEPS * math.log2(abs(value))) if value else 0
            yield f"{name}={value:.15g}"
            yield f"{name}~{'-' if value < 0 else ''}{magnitude}"
