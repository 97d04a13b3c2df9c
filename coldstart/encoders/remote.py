"""Encoders whose networks run on a server: what makes a text tokens and a picture pixels stays in this process."""

from pathlib import Path
from typing import Any

from coldstart.encoders.kserve import Feed, RemoteNetwork, Server
from coldstart.encoders.onnx import OnnxImageEncoder, OnnxTextEncoder
from coldstart.vectors import Matrix

TEXT_BATCH, IMAGE_BATCH = 32, 8  # a picture is 600 KB of pixels
_MULTIPLE = 16  # of tokens: a server batches requests of one shape alone, and texts have many lengths


class RemoteTextEncoder(OnnxTextEncoder):
    """A `TextEncoder` that has the tokeniser of an exported file, whose network runs elsewhere.

    Raises
    ------
    Unavailable
        Where the server is away or not ready.
    Conflict
        Where it does not have this file's network.
    """

    def __init__(self, path: Path, server: Server) -> None:
        super().__init__(path)
        del self._session
        self._network = RemoteNetwork(server, server.text, self.fingerprint, batch=TEXT_BATCH)
        self.batch = self._network.batch
        padding: dict[str, Any] = self.tokenizer.padding or {}
        longest: int = (self.tokenizer.truncation or {}).get("max_length", 0)
        if longest % _MULTIPLE == 0:
            self.tokenizer.enable_padding(**{**padding, "pad_to_multiple_of": _MULTIPLE})

    def _run(self, feed: Feed) -> Matrix:
        return self._network.run(feed)


class RemoteImageEncoder(OnnxImageEncoder):
    """An `ImageEncoder` that prepares pixels as an exported file says, whose network runs elsewhere.

    Raises as `RemoteTextEncoder` does.
    """

    def __init__(self, path: Path, server: Server) -> None:
        super().__init__(path)
        del self._session
        self._network = RemoteNetwork(server, server.image, self.fingerprint, batch=IMAGE_BATCH)
        self.batch = self._network.batch

    def _run(self, feed: Feed) -> Matrix:
        return self._network.run(feed)
