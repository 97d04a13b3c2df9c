"""The v2 protocol over gRPC."""

import json
from typing import Any

import grpc
import numpy as np

from coldstart.encoders.kserve import Feed, ModelVersion
from coldstart.encoders.kserve.messages import message
from coldstart.encoders.kserve.tensors import datatype, from_bytes
from coldstart.errors import ColdstartError, InvalidInput, Unavailable
from coldstart.vectors import Matrix

_SERVICE = "inference.GRPCInferenceService"
_RETRY = {"maxAttempts": 2, "initialBackoff": "0.1s", "maxBackoff": "1s", "backoffMultiplier": 2,
          "retryableStatusCodes": ["UNAVAILABLE"]}  # fmt: skip
_OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    # A server that is away is asked again by whoever has a batch: not after gRPC's own pause of up to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.service_config", json.dumps({"methodConfig": [{"name": [{}], "retryPolicy": _RETRY}]})),
]
_NONE = frozenset({grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND, grpc.StatusCode.UNIMPLEMENTED})
_AWAY = frozenset({
    grpc.StatusCode.CANCELLED, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE,
})  # fmt: skip
"""NOT_FOUND as well: at the opening the model was there, so the server is being changed."""


class GrpcClient:
    """A `Client` on one channel, which connects by itself, and again."""

    def __init__(self, target: str, *, secure: bool, timeout_s: float) -> None:
        self._target, self._timeout_s = target, timeout_s
        if secure:
            self._channel = grpc.secure_channel(target, grpc.ssl_channel_credentials(), options=_OPTIONS)
        else:
            self._channel = grpc.insecure_channel(target, options=_OPTIONS)

    def ready(self, model: ModelVersion | None = None) -> bool:
        """See `Client`."""
        answer = self._ask("ServerReady") if model is None else self._ask_of("ModelReady", model)
        return answer is not None and bool(answer.ready)

    def versions(self, name: str) -> list[str]:
        """See `Client`."""
        answer = self._ask("ModelMetadata", name=name)
        return [] if answer is None else list(answer.versions)

    def max_batch_size(self, model: ModelVersion) -> int | None:
        """See `Client`."""
        answer = self._ask_of("ModelConfig", model)
        return None if answer is None else int(answer.config.max_batch_size)

    def infer(self, model: ModelVersion, feed: Feed) -> Matrix:
        """See `Client`."""
        tensor = message("InferTensor")
        try:
            answer = self._call(
                "ModelInfer",
                model_name=model.name,
                model_version=model.version,
                inputs=[tensor(name=name, datatype=datatype(part), shape=part.shape) for name, part in feed.items()],
                raw_input_contents=[part.tobytes() for part in feed.values()],
            )
        except grpc.RpcError as error:
            raise self._told(error) from error
        [output] = answer.outputs
        if not answer.raw_output_contents:
            return np.asarray(output.contents.fp32_contents, dtype=np.float32).reshape(output.shape)
        return from_bytes(answer.raw_output_contents[0], output.datatype, output.shape)

    def close(self) -> None:
        """See `Client`."""
        self._channel.close()

    def _ask_of(self, method: str, model: ModelVersion) -> Any | None:
        return self._ask(method, name=model.name, version=model.version)

    def _ask(self, method: str, **fields: Any) -> Any | None:
        """The answer to a question about the server or a model; ``None`` where there is no such model or question."""
        try:
            return self._call(method, **fields)
        except grpc.RpcError as error:
            if error.code() in _NONE:
                return None
            raise self._told(error) from error

    def _call(self, method: str, **fields: Any) -> Any:
        call = self._channel.unary_unary(
            f"/{_SERVICE}/{method}",
            request_serializer=message(f"{method}Request").SerializeToString,
            response_deserializer=message(f"{method}Response").FromString,
        )
        return call(message(f"{method}Request")(**fields), timeout=self._timeout_s)

    def _told(self, error: grpc.RpcError) -> ColdstartError:
        what = f"the encoder server says {error.code().name}: {error.details()}"
        if error.code() in _AWAY:
            return Unavailable(what, subject=self._target, remedy="Check that it runs and is reachable")
        return InvalidInput(what, subject=self._target)
