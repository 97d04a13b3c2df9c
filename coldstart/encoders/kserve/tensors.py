"""Arrays as the v2 protocol describes them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coldstart.errors import InvalidInput
from coldstart.vectors import Matrix

_DATATYPES = {"int64": "INT64", "int32": "INT32", "float32": "FP32", "float16": "FP16"}
_DTYPES = {datatype: np.dtype(name).newbyteorder("<") for name, datatype in _DATATYPES.items()}


def datatype(array: NDArray[Any]) -> str:
    """The protocol's name for the array's type.

    >>> datatype(np.zeros(1, dtype=np.float32))
    'FP32'
    """
    return _DATATYPES[array.dtype.name]


def from_bytes(content: bytes, kind: str, shape: Sequence[int]) -> Matrix:
    """A matrix as it was sent, in float32; `InvalidInput` where it is not one."""
    try:
        return np.frombuffer(content, dtype=_DTYPES[kind]).reshape(shape).astype(np.float32)
    except (KeyError, ValueError) as error:
        raise InvalidInput(f"the encoder server sent no matrix: {kind} {list(shape)}, {len(content)} bytes") from error
