"""A torch module as an ONNX file that says what it is."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

DYNAMIC = torch.export.Dim.DYNAMIC
Axes = Mapping[str, Mapping[int, object]]
"""Of each input by name, the axes that are free."""


def trace(module: nn.Module, inputs: Mapping[str, Tensor], axes: Axes, outputs: Sequence[str], path: Path) -> None:
    """Write the module's forward pass on these inputs, all of it in one file."""
    program = torch.onnx.export(
        module.eval(),
        kwargs=dict(inputs),
        dynamic_shapes={name: dict(axes[name]) for name in inputs},
        output_names=list(outputs),
        dynamo=True,
        verbose=False,
    )
    assert program is not None  # noqa: S101  # it is only for the old exporter
    program.save(path, external_data=False)


def label(path: Path, card: Mapping[str, str]) -> None:
    """Add to what a file says of itself."""
    model = onnx.load(path)
    onnx.helper.set_model_props(model, {**{each.key: each.value for each in model.metadata_props}, **card})
    onnx.save(model, path)
