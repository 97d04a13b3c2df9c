"""A backend for Triton that runs ``model.onnx`` on ONNX Runtime; only Triton imports it (see `benchmarks.triton`)."""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import triton_python_backend_utils as triton


class TritonPythonModel:
    """One instance of a model."""

    def initialize(self, arguments: dict[str, str]) -> None:
        """Load the network of the version that Triton has chosen."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        file = Path(arguments["model_repository"], arguments["model_version"], "model.onnx")
        self._session = onnxruntime.InferenceSession(file, options)

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer the requests that Triton batched, together."""
        feeds = [self._feed(request) for request in requests]
        sizes = [len(next(iter(feed.values()))) for feed in feeds]
        whole = {name: np.concatenate([feed[name] for feed in feeds]) for name in feeds[0]}
        names = [each.name for each in self._session.get_outputs()]
        outputs = [np.split(each, np.cumsum(sizes)[:-1]) for each in self._session.run(names, whole)]
        return [
            triton.InferenceResponse([triton.Tensor(name, part) for name, part in zip(names, parts, strict=True)])
            for parts in zip(*outputs, strict=True)
        ]

    def _feed(self, request: Any) -> dict[str, np.ndarray]:
        return {
            each.name: triton.get_input_tensor_by_name(request, each.name).as_numpy()
            for each in self._session.get_inputs()
        }
