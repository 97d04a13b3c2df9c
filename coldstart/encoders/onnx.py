"""Encoders on ONNX Runtime, without torch in the process: torch's vectors within 1e-4, or near them in fewer bits.

A model is exported once, by torch in a process of its own, into one file of the cache folder that also holds the
tokeniser or the input's form, the fingerprint, and how near torch its embeddings are. Fewer bits are made of that file,
where the cache has it, and told how near its embeddings theirs are.
"""

import json
import logging
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL.Image import Image
from tokenizers import Tokenizer

import coldstart
from coldstart.encoders.pixels import Pixels
from coldstart.encoders.precision import Precision, fingerprint_in
from coldstart.encoders.weights import digest, locate_text, parse_cnn, text_files
from coldstart.errors import Unavailable
from coldstart.folder import alone
from coldstart.vectors import Matrix, normalise

_log = logging.getLogger(__name__)

Kind = Literal["text", "image"]
FORMAT = 2  # of the exported file; a change makes every export anew
TEXT_BATCH, IMAGE_BATCH = 8, 4

Feed = dict[str, NDArray[Any]]
"""Inputs of a network by name, each with one row for each element of a batch."""


def export_path(kind: Kind, name: str, cache: Path, precision: Precision = "fp32") -> Path:
    """Where the cache keeps a model: another name, or other contents of the files it names, is another place."""
    if kind == "text":
        folder = locate_text(name)
        files = [(path.relative_to(folder).as_posix(), path) for path in text_files(folder)]
    else:
        file = parse_cnn(name).file
        files = [(file.name, file)] if file and file.exists() else []
    label = f"{FORMAT} {fingerprint_in(precision, name)}"
    return cache.resolve() / f"{kind}-{digest(label, files)[:32]}-{precision}.onnx"


def exported(kind: Kind, name: str, cache: Path, precision: Precision = "fp32") -> Path:
    """The ONNX file of a model in a precision, made first where the cache does not hold it.

    Raises `Unavailable` where the model cannot be exported, or differs too much from torch's, with the reason. That a
    model differs too much is kept in a file beside its place, and not found out again.
    """
    name = str(Path(name).resolve()) if Path(name).is_dir() else name  # the exporting process stands elsewhere
    path = export_path(kind, name, cache, precision)
    if path.exists():
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Unavailable(f"the cache folder cannot be made: {error}", subject=str(cache)) from error
    with alone(path.parent):  # each export takes a minute and gigabytes
        if not path.exists():  # whoever was here before has not made it
            _export(kind, name, path, precision)
    return path


def _export(kind: Kind, name: str, path: Path, precision: Precision) -> None:
    refusal = path.with_suffix(".refused")
    if refusal.exists():
        remedy = f"Choose another precision; to try again, delete {refusal}"
        raise Unavailable(refusal.read_text(), subject=name, remedy=remedy)
    facts = {"encoder": name, "precision": precision, "cache": str(path.parent)}
    _log.info("exporting an encoder, once for this cache", extra=facts)
    if precision == "fp32":
        _run("export", kind, name, str(path), subject=name)
        return
    with TemporaryDirectory(prefix=".", dir=path.parent) as folder:
        whole = export_path(kind, name, path.parent)
        if not whole.exists():
            whole = Path(folder) / "fp32.onnx"
            try:
                _run("export", kind, name, str(whole), subject=name)
            except Unavailable:
                if (why := whole.with_suffix(".refused")).exists():
                    why.replace(refusal)
                raise
        _run("reducing", kind, str(whole), precision, str(path), subject=name)


def _run(module: str, kind: Kind, *arguments: str, subject: str) -> None:
    """In a process of its own, as it takes torch or much memory; `Unavailable` with the reason where it fails."""
    run = subprocess.run(  # noqa: S603  # our own module, and arguments that no shell reads
        [sys.executable, "-m", f"coldstart.encoders.{module}", kind, *arguments],
        cwd=Path(coldstart.__file__).parents[1],
        capture_output=True,
        text=True,
    )
    if run.returncode != 0:
        reason = (run.stderr.strip() or f"exit status {run.returncode}").splitlines()[-1]
        remedy = "Install coldstart-service[train], which the export needs once, or choose the torch runtime"
        raise Unavailable(f"the {kind} encoder cannot be exported: {reason}", subject=subject, remedy=remedy)


class OnnxTextEncoder:
    """A `TextEncoder` from an exported file, whose ``card`` is what it says of itself; ``threads`` is for one call."""

    batch = TEXT_BATCH
    """Most texts that the network sees together."""

    def __init__(self, path: Path, *, threads: int = 1) -> None:
        self._session, self.card = open_exported(path, threads=threads)
        self._inputs = [each.name for each in self._session.get_inputs()]
        self.tokenizer: Tokenizer = Tokenizer.from_str(self.card["tokenizer"])
        self.tokenizer.encode_special_tokens = True  # a "[SEP]" typed by a user is text
        self._prompt, self.fingerprint = self.card["prompt"], self.card["fingerprint"]
        # Activations are scaled by the largest of all that are multiplied at once: a text's embedding would depend on
        # its neighbours. Nor is a batch any faster (`python -m benchmarks.encode`).
        self.batch = 1 if self.card["precision"] == "int8" else TEXT_BATCH
        self.dim = int(self._session.get_outputs()[0].shape[-1])

    def encode(self, batch: Sequence[str]) -> Matrix:
        """Embeddings [b, dim] float32, unit length; sorted by length inside, so that little is padded."""
        vectors = np.empty((len(batch), self.dim), dtype=np.float32)
        order = sorted(range(len(batch)), key=lambda row: len(batch[row]))
        for start in range(0, len(order), self.batch):
            rows = order[start : start + self.batch]
            tokens = self.tokenizer.encode_batch([self._prompt + batch[row] for row in rows])
            columns = {
                "input_ids": [each.ids for each in tokens],
                "attention_mask": [each.attention_mask for each in tokens],
                "token_type_ids": [each.type_ids for each in tokens],
            }
            feed = {name: np.asarray(columns[name], dtype=np.int64) for name in self._inputs}
            vectors[rows] = self._run(feed)
        return normalise(vectors)

    def _run(self, feed: Feed) -> Matrix:
        vectors: Matrix = self._session.run(None, feed)[0]
        return vectors


class OnnxImageEncoder:
    """An `ImageEncoder` from an exported file, as `OnnxTextEncoder` is a `TextEncoder`."""

    batch = IMAGE_BATCH
    """Most pictures that the network sees together."""

    def __init__(self, path: Path, *, threads: int = 1) -> None:
        self._session, self.card = open_exported(path, threads=threads)
        self._input = self._session.get_inputs()[0].name
        self._pixels = Pixels(**json.loads(self.card["pixels"]))
        self.fingerprint = self.card["fingerprint"]
        self.dim = int(self._session.get_outputs()[0].shape[-1])

    def encode(self, batch: Sequence[Image]) -> Matrix:
        """Pooled features [b, dim] float32."""
        vectors = np.empty((len(batch), self.dim), dtype=np.float32)
        for start in range(0, len(batch), self.batch):
            part = slice(start, start + self.batch)
            vectors[part] = self._run({self._input: self._pixels.array(batch[part])})
        return vectors

    def _run(self, feed: Feed) -> Matrix:
        vectors: Matrix = self._session.run(None, feed)[0]
        return vectors


def open_exported(path: Path, *, threads: int = 1) -> tuple[onnxruntime.InferenceSession, dict[str, str]]:
    """The network in a file, and what the file says of itself; `Unavailable` where it cannot be loaded."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # waiting threads leave the API its CPU
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        card = dict(session.get_modelmeta().custom_metadata_map)
    except Exception as error:  # the engine's errors have no common base but this
        remedy = "Delete the file; it is made again at the next start"
        raise Unavailable(f"the exported model cannot be loaded: {error}", subject=str(path), remedy=remedy) from error
    told = {name: card[name] for name in ("fingerprint", "precision", "cosine_mean", "cosine_min") if name in card}
    _log.info("opened an exported network", extra={**told, "path": str(path)})
    return session, card
