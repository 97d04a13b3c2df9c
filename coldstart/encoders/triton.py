"""A model repository for NVIDIA Triton Inference Server: the exported networks, each with its ``config.pbtxt``."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from coldstart.encoders.kserve import ModelVersion, version_of
from coldstart.encoders.onnx import open_exported
from coldstart.errors import InvalidInput
from coldstart.folder import copy_file, new_folder, write_file

Device = Literal["auto", "cpu", "gpu"]
_TYPES = {"tensor(int64)": "TYPE_INT64", "tensor(float)": "TYPE_FP32", "tensor(float16)": "TYPE_FP16"}
_WARM_UP = 16  # in place of an axis whose size is free, such as that of tokens


@dataclass(frozen=True, slots=True)
class Serving:
    """How Triton is to run a model.

    Attributes
    ----------
    max_batch : int
        Most rows that it computes together.
    queue_delay_us : int
        How long a request may wait for others to be computed with; those that queue while the model is busy are
        taken together in any case.
    device : str
        ``auto`` is every GPU that there is, else the CPU.
    instances : int
        Copies of the model, on each GPU where there are several.
    """

    max_batch: int = 32
    queue_delay_us: int = 0
    device: Device = "auto"
    instances: int = 1


def write_model(repository: Path, name: str, exported: Path, serving: Serving) -> ModelVersion:
    """Write an exported network into a repository, under a name and under the version that its fingerprint makes.

    Raises
    ------
    InvalidInput
        Where the name cannot be a folder's.
    Conflict
        Where the repository has something of that name.
    """
    if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*", name):
        remedy = "Use letters, digits, '-', '_' and '.'"
        raise InvalidInput("the name cannot be a model's", subject=name, remedy=remedy)
    session, card = open_exported(exported)
    version = version_of(card["fingerprint"])
    config = model_config(name, card["fingerprint"], session.get_inputs(), session.get_outputs(), serving)
    with new_folder(repository / name) as folder:
        (folder / version).mkdir()
        copy_file(exported, folder / version / "model.onnx")
        write_file(folder / "config.pbtxt", config.encode())
        folder.chmod(0o755)  # Triton runs as another user
    return ModelVersion(name, version)


def model_config(name: str, fingerprint: str, inputs: Sequence[Any], outputs: Sequence[Any], serving: Serving) -> str:
    """Triton's configuration of a model, in protobuf's text format; inputs and outputs as ONNX Runtime tells them.

    The client needs nothing but the version; the fingerprint is there for people.
    """
    warm_up = "".join(
        f"\n  inputs {{ key: {_text(each.name)} value {{ {_tensor(each, free=_WARM_UP)} zero_data: true }} }}"
        for each in inputs
    )
    return f"""\
name: {_text(name)}
platform: "onnxruntime_onnx"
backend: "onnxruntime"
max_batch_size: {serving.max_batch}
{_described("input", inputs)}{_described("output", outputs)}\
version_policy {{ all {{ }} }}
instance_group {{ kind: KIND_{serving.device.upper()} count: {serving.instances} }}
dynamic_batching {{ max_queue_delay_microseconds: {serving.queue_delay_us} }}
model_warmup {{
  name: "nothing in particular"
  batch_size: 1{warm_up}
}}
parameters {{ key: "fingerprint" value {{ string_value: {_text(fingerprint)} }} }}
"""


def _described(kind: str, tensors: Sequence[Any]) -> str:
    return "".join(f"{kind} {{ name: {_text(each.name)} {_tensor(each, free=-1)} }}\n" for each in tensors)


def _tensor(tensor: Any, *, free: int) -> str:
    """Its type, and its shape without the batch."""
    dims = ", ".join(str(size if isinstance(size, int) else free) for size in tensor.shape[1:])
    return f"data_type: {_TYPES[tensor.type]} dims: [ {dims} ]"


def _text(value: str) -> str:
    """As protobuf's text format quotes it, which has JSON's escapes."""
    return json.dumps(value, ensure_ascii=False)
