"""The encoders of one adapter, each opened by the thread that first needs it."""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from typing import TypeVar

from adapters.artifact import EncoderName
from adapters.serving import ServedAdapter
from coldstart.clean import clean_text
from coldstart.encoders import (
    ImageEncoder,
    Options,
    TextEncoder,
    open_image_encoder,
    open_text_encoder,
    options_of,
)
from coldstart.encoders.precision import compatible
from coldstart.encoders.remembering import Memory, Remembering, bytes_of_picture, bytes_of_text
from coldstart.errors import Conflict, InvalidInput, Unavailable
from coldstart.settings import Settings
from coldstart.telemetry import Telemetry
from coldstart.vectors import Vector
from workers.isolation import Lazy

E = TypeVar("E", TextEncoder, ImageEncoder)

SENTENCE_PATIENCE_S = 2.0
SENTENCES_AT_ONCE = 16


class Models:
    """Encoders that nobody opens before they are needed, nor twice.

    ``text`` and ``image`` are for ingestion, `embed_sentence` for every other thread.

    Parameters
    ----------
    open_text, open_image, open_reader : callable
        Load the encoder; may raise, and is then called again by the next user. By default readers' words are encoded
        by another of the first kind: threads may not share a tokeniser, and nobody should wait for a batch of items.
    """

    def __init__(
        self,
        open_text: Callable[[], TextEncoder],
        open_image: Callable[[], ImageEncoder],
        open_reader: Callable[[], TextEncoder] | None = None,
    ) -> None:
        self.text, self.image = Lazy(open_text), Lazy(open_image)
        self._reader = Lazy(open_reader or open_text)
        self._asked: deque[tuple[str, Future[Vector]]] = deque()
        self._reading = threading.Lock()

    @property
    def waiting(self) -> int:
        """How many sentences wait to be encoded."""
        return len(self._asked)

    def embed_sentence(self, sentence: str) -> Vector:
        """The embedding of a reader's words; takes milliseconds: call it off the event loop.

        Whoever gets the encoder encodes with it what others have been waiting with; a lone sentence waits for nothing.

        Raises
        ------
        InvalidInput
            Where no character of the sentence is printable.
        Unavailable
            Where too many sentences wait already.
        """
        words = clean_text(sentence)
        if not words:
            raise InvalidInput("there are no words", subject="preferences", remedy="Write a sentence")
        answer: Future[Vector] = Future()
        self._asked.append((words, answer))
        if not self._reading.acquire(timeout=SENTENCE_PATIENCE_S):
            answer.cancel()
            raise Unavailable("too many sentences wait to be encoded", subject="preferences", remedy="Try again later")
        try:
            while not answer.done():
                self._embed_some()
        finally:
            self._reading.release()
        return answer.result()

    def _embed_some(self) -> None:
        some = [self._asked.popleft() for _ in range(min(len(self._asked), SENTENCES_AT_ONCE))]
        some = [(words, answer) for words, answer in some if answer.set_running_or_notify_cancel()]
        try:
            vectors = self._reader.get().encode([words for words, _ in some])
        except Exception as error:
            for _, answer in some:
                answer.set_exception(error)
        else:
            for (_, answer), vector in zip(some, vectors, strict=True):
                answer.set_result(vector)


def models_of(adapter: ServedAdapter, settings: Settings, telemetry: Telemetry | None = None) -> Models:
    """The encoders that the adapter was trained with, in whatever precision the settings ask for.

    Opening them raises `Conflict` where they are others by now. They share a memory of what they encoded last, and tell
    the telemetry how much of it was of use.
    """
    text, image = adapter.artifact.text, adapter.artifact.image
    memory, telemetry = Memory(settings.encoder_memory_mb * 1_000_000), telemetry or Telemetry()
    options, hasty = options_of(settings), options_of(settings)
    if server := options["server"]:  # nobody who wants a list waits as long as an item does
        hasty["server"] = replace(server, timeout_s=min(server.timeout_s, SENTENCE_PATIENCE_S))

    def open_text(options: Options) -> TextEncoder:
        encoder = _same(open_text_encoder(text.model, **options), text)
        return Remembering(encoder, memory, bytes_of_text, on_encoded=partial(telemetry.encoded, "text"))

    def open_image() -> ImageEncoder:
        encoder = _same(open_image_encoder(image.model, **options), image)
        return Remembering(encoder, memory, bytes_of_picture, on_encoded=partial(telemetry.encoded, "image"))

    return Models(lambda: open_text(options), open_image, lambda: open_text(hasty))


def _same(encoder: E, trained: EncoderName) -> E:
    if not compatible(encoder.fingerprint, trained.fingerprint):
        raise Conflict(
            f"the encoder is {encoder.fingerprint}, the adapter was trained with {trained.fingerprint}",
            subject=trained.model,
            remedy="Install the encoder's package at the version of the training, or train the adapter again",
        )
    return encoder
