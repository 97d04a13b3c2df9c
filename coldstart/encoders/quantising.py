"""An exported encoder in fewer bits: float16 for accelerators, int8 for processors.

Weights that are multiplied in pairs have 7 bits: processors without VNNI instructions add two products in 16 bits,
which 8 would overflow. So an export answers alike wherever it was made and runs.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from onnxruntime.transformers.float16 import convert_float_to_float16

from coldstart.vectors import Matrix

KEPT = 6
"""Convolutions at the start that stay in fp32: they see few channels and wide ranges. By EfficientNet-Lite0's cosine on
film posters and on plain drawings, and its milliseconds: with three .997, .978, 6.0; with six .998, .994, 6.5."""


def to_float16(source: Path, target: Path) -> None:
    """Weights and arithmetic in float16; what goes in and comes out stays as it was."""
    onnx.save(convert_float_to_float16(onnx.load(source), keep_io_types=True), target)


def to_dynamic_int8(source: Path, target: Path) -> None:
    """Weights in int8, a scale for each column; activations are measured as they come, which suits a transformer.

    One scale for a whole matrix costs MiniLM .06 of cosine; unsigned weights cost all the speed that there is to win.
    """
    quantize_dynamic(source, target, per_channel=True, weight_type=QuantType.QInt8, reduce_range=True)


def to_static_int8(source: Path, target: Path, inputs: Iterable[Mapping[str, Matrix]]) -> None:
    """Weights in int8, a scale for each channel; activations in uint8, in the ranges that they have on the inputs.

    What suits a CNN: measuring as it runs, ONNX Runtime's convolutions are slow. Weights of depthwise convolutions have
    8 bits: they are multiplied one by one, and the least exact in 7.
    """
    prepared = target.with_suffix(".prepared.onnx")
    quant_pre_process(source, prepared, skip_symbolic_shape=True)
    graph = onnx.load(prepared).graph
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    shapes = {each.name: each.dims for each in graph.initializer}
    whole = {"quant_type": QuantType.QInt8, "reduce_range": False, "axis": 0}
    quantize_static(
        prepared,
        target,
        _Inputs(inputs),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        reduce_range=True,
        nodes_to_exclude=[node.name for node in convolutions[:KEPT]],
        extra_options={
            "TensorQuantOverrides": {
                node.input[1]: [whole]
                for node in convolutions[KEPT:]
                if node.input[1] in shapes and _is_depthwise(node, shapes[node.input[1]])
            }
        },
    )


def _is_depthwise(convolution: onnx.NodeProto, shape: Sequence[int]) -> bool:
    """Whether each channel has one filter of its own, by the shape [out, in / groups, ...] of the weights."""
    groups = next((each.i for each in convolution.attribute if each.name == "group"), 1)
    return groups > 1 and shape[0] == groups and shape[1] == 1


class _Inputs(CalibrationDataReader):  # type: ignore[misc]  # untyped
    def __init__(self, inputs: Iterable[Mapping[str, Matrix]]) -> None:
        self._rest: Iterator[Any] = iter(inputs)

    def get_next(self) -> Any:
        return next(self._rest, None)
