"""A torch module as an ONNX file."""

from collections.abc import Mapping, Sequence
from pathlib import Path

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
