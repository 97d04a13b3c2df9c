"""Which weights have seven bits: whatever is multiplied in pairs, on processors where eight would overflow."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from coldstart.encoders.quantising import KEPT, to_dynamic_int8, to_static_int8

CHANNELS = 8
SHAPES = {  # of the weights [out, in / groups, ...], and the groups
    **{f"kept-{n}": ((CHANNELS, CHANNELS, 1, 1), 1) for n in range(KEPT)},
    "plain": ((CHANNELS, CHANNELS, 3, 3), 1),
    "depthwise": ((CHANNELS, 1, 3, 3), CHANNELS),
    "grouped": ((CHANNELS, CHANNELS // 2, 3, 3), 2),
    "multiplied": ((2 * CHANNELS, 1, 1, 1), CHANNELS),
}


def model(nodes: list[onnx.NodeProto], weights: Mapping[str, tuple[int, ...]], shape: list[int], path: Path) -> Path:
    rng = np.random.default_rng(0)
    tensors = [
        numpy_helper.from_array(rng.standard_normal(size).astype(np.float32), name) for name, size in weights.items()
    ]
    first = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, shape)
    last = helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "toy", [first], [last], tensors)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def largest(path: Path) -> dict[str, int]:
    """The largest quantised weight of each tensor."""
    arrays = {each.name: numpy_helper.to_array(each) for each in onnx.load(path).graph.initializer}
    return {
        name.removesuffix("_quantized"): int(np.abs(array.astype(np.int32)).max())
        for name, array in arrays.items()
        if name.endswith("_quantized") and array.dtype == np.int8
    }


def test_convolutions_have_seven_bits_but_those_of_one_filter_a_channel(tmp_path: Path) -> None:
    names = list(SHAPES)
    nodes = [
        helper.make_node(
            "Conv", [before, name], [f"{name}-out"], name=name, group=groups,
            pads=[size[-1] // 2] * 4, kernel_shape=size[2:],
        )
        for before, (name, (size, groups)) in zip(
            ["pixels", *(f"{each}-out" for each in names)], SHAPES.items(), strict=False
        )
    ]  # fmt: skip
    weights = {name: size for name, (size, _) in SHAPES.items()}
    source = model(nodes, weights, [1, CHANNELS, 8, 8], tmp_path / "cnn.onnx")
    pixels = np.random.default_rng(1).random((1, CHANNELS, 8, 8), dtype=np.float32)
    to_static_int8(source, tmp_path / "int8.onnx", [{"pixels": pixels}])
    found = largest(tmp_path / "int8.onnx")
    assert found.keys() == {"plain", "depthwise", "grouped", "multiplied"}  # the first stay as they were
    assert found.pop("depthwise") > 64
    assert max(found.values()) <= 64


def test_products_have_seven_bits(tmp_path: Path) -> None:
    product = helper.make_node("MatMul", ["pixels", "weights"], ["out"])
    source = model([product], {"weights": (16, 16)}, [1, 16], tmp_path / "product.onnx")
    to_dynamic_int8(source, tmp_path / "int8.onnx")
    assert largest(tmp_path / "int8.onnx") == {"weights": pytest.approx(64, abs=1)}
