"""Both encoders under the names that open them again: from a catalogue to its embeddings in one call."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from adapters.artifact import EncoderName
from adapters.content import MODALITIES
from adapters.embedding import Embedded, OnProgress, embed_items
from coldstart.dataset import Dataset
from coldstart.encoders import (
    DEFAULT_IMAGE_MODEL,
    DEFAULT_TEXT_MODEL,
    ImageEncoder,
    TextEncoder,
    open_image_encoder,
    open_text_encoder,
    options_of,
)
from coldstart.encoders.fetch import Fetcher
from coldstart.settings import Settings, load_settings


class EncoderNames(TypedDict):
    """What `adapters.artifact.save_artifact` and `adapters.card.write_card` want to know."""

    text: EncoderName
    image: EncoderName


@dataclass(frozen=True)
class Encoders:
    """Text and picture encoder, opened; `open` is how to get them."""

    text: TextEncoder
    image: ImageEncoder
    names: EncoderNames
    cache: Path | None
    fetcher: Fetcher

    @classmethod
    def open(
        cls,
        settings: Settings | None = None,
        *,
        text_model: str = DEFAULT_TEXT_MODEL,
        image_model: str = DEFAULT_IMAGE_MODEL,
    ) -> "Encoders":
        """The named encoders, under the settings given or those of file and environment.

        The first time they are exported to ``settings.cache_dir``, which takes some 10 seconds each.

        Raises
        ------
        InvalidInput, MissingExtra, Unavailable
            As `coldstart.encoders.open_text_encoder`.
        """
        settings = settings or load_settings()
        options = options_of(settings, training=True)
        text, image = open_text_encoder(text_model, **options), open_image_encoder(image_model, **options)
        names = EncoderNames(
            text=EncoderName(text_model, text.fingerprint), image=EncoderName(image_model, image.fingerprint)
        )
        return cls(text, image, names, settings.cache, Fetcher(frozenset(settings.image_hosts)))

    def embed(
        self, dataset: Dataset, *, modalities: Sequence[str] = MODALITIES, on_progress: OnProgress | None = None
    ) -> Embedded:
        """`adapters.embedding.embed_items` with these encoders; a modality that is left out is masked for
        all items; declared columns count all the same.

        Embeddings are kept in the cache: a second call is a matter of moments.
        """
        embedded = embed_items(
            dataset,
            text=self.text if "text" in modalities else None,
            image=self.image if "image" in modalities else None,
            cache=self.cache,
            fetcher=self.fetcher,
            on_progress=on_progress,
        )
        return Embedded(embedded.contents.padded(self.text.dim, self.image.dim), embedded.picture_errors)
