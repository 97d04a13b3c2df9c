"""The v2 protocol over HTTP, with tensors in binary where the server has that extension."""

from functools import partial
from typing import Any

import httpx
import numpy as np
import orjson

from coldstart.encoders.kserve import Feed, ModelVersion
from coldstart.encoders.kserve.tensors import datatype, from_bytes
from coldstart.errors import InvalidInput, Unavailable
from coldstart.vectors import Matrix

_HEADER_LENGTH = "Inference-Header-Content-Length"
_AWAY = frozenset({404, 408, 429, 502, 503, 504})
"""404 as well: at the opening the model was there, so the server is being changed."""
_CUT = (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError)
"""A connection that was kept may be one to a server that has been restarted since."""


class HttpClient:
    """A `Client` on one pool of connections."""

    def __init__(self, url: str, *, timeout_s: float) -> None:
        self._url = url
        self._http = httpx.Client(base_url=url, timeout=timeout_s)
        self._binary: bool | None = None

    def ready(self, model: ModelVersion | None = None) -> bool:
        """See `Client`."""
        path = "/v2/health/ready" if model is None else f"{_path(model)}/ready"
        return self._send("GET", path).is_success

    def versions(self, name: str) -> list[str]:
        """See `Client`."""
        answer = self._send("GET", f"/v2/models/{name}")
        return [str(version) for version in _json(answer).get("versions", [])] if answer.is_success else []

    def max_batch_size(self, model: ModelVersion) -> int | None:
        """See `Client`."""
        answer = self._send("GET", f"{_path(model)}/config")
        return _json(answer).get("max_batch_size") if answer.is_success else None

    def infer(self, model: ModelVersion, feed: Feed) -> Matrix:
        """See `Client`."""
        body, headers = (_binary if self._takes_binary() else _text)(feed)
        answer = self._send("POST", f"{_path(model)}/infer", content=body, headers=headers)
        if answer.status_code in _AWAY:
            raise Unavailable(f"the encoder server says {_reason(answer)}", subject=self._url)
        if not answer.is_success:
            raise InvalidInput(f"the encoder server says {_reason(answer)}", subject=self._url)
        return _vectors(answer)

    def close(self) -> None:
        """See `Client`."""
        self._http.close()

    def _takes_binary(self) -> bool:
        if self._binary is None:
            answer = self._send("GET", "/v2")
            self._binary = answer.is_success and "binary_tensor_data" in _json(answer).get("extensions", [])
        return self._binary

    def _send(self, method: str, path: str, **content: Any) -> httpx.Response:
        send = partial(self._http.request, method, path, **content)
        try:
            try:
                return send()
            except _CUT:
                return send()
        except httpx.TransportError as error:
            remedy = "Check that it runs and is reachable"
            what = f"the encoder server does not answer: {type(error).__name__} {error}".rstrip()
            raise Unavailable(what, subject=self._url, remedy=remedy) from error


def _path(model: ModelVersion) -> str:
    return f"/v2/models/{model.name}/versions/{model.version}"


def _binary(feed: Feed) -> tuple[bytes, dict[str, str]]:
    """A request whose tensors follow its JSON, little-endian and row by row."""
    parts = [array.tobytes() for array in feed.values()]
    inputs = [
        {**_described(name, array), "parameters": {"binary_data_size": len(part)}}
        for (name, array), part in zip(feed.items(), parts, strict=True)
    ]
    header = orjson.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}})
    return b"".join([header, *parts]), {
        "Content-Type": "application/octet-stream",
        _HEADER_LENGTH: str(len(header)),
    }


def _text(feed: Feed) -> tuple[bytes, dict[str, str]]:
    inputs = [{**_described(name, array), "data": array.ravel()} for name, array in feed.items()]
    return orjson.dumps({"inputs": inputs}, option=orjson.OPT_SERIALIZE_NUMPY), {"Content-Type": "application/json"}


def _described(name: str, array: np.ndarray) -> dict[str, Any]:
    return {"name": name, "datatype": datatype(array), "shape": array.shape}


def _vectors(answer: httpx.Response) -> Matrix:
    length = int(answer.headers.get(_HEADER_LENGTH, len(answer.content)))
    [output] = orjson.loads(answer.content[:length])["outputs"]
    if "data" in output:
        return np.asarray(output["data"], dtype=np.float32).reshape(output["shape"])
    return from_bytes(answer.content[length:], output["datatype"], output["shape"])


def _json(answer: httpx.Response) -> dict[str, Any]:
    """Its object; empty where it is none, as behind an address that is not a server of this protocol."""
    try:
        told = orjson.loads(answer.content)
    except orjson.JSONDecodeError:
        return {}
    return told if isinstance(told, dict) else {}


def _reason(answer: httpx.Response) -> str:
    return f"{answer.status_code}: {_json(answer).get('error') or answer.text[:200]}"
