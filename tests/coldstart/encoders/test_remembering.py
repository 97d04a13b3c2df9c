"""What was encoded is not encoded again while it is remembered, by whichever thread, and memory has a bound."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from coldstart.encoders.remembering import ENTRY_BYTES, Memory, Remembering, bytes_of_picture, bytes_of_text
from coldstart.vectors import Matrix
from tests.workers.toy import MeanColour, WordCounter

TEXT_BYTES = 2 * 4 + ENTRY_BYTES


def remembering(words: WordCounter, memory: Memory, told: list[tuple[int, int]] | None = None) -> Remembering[str]:
    told = [] if told is None else told
    return Remembering(words, memory, bytes_of_text, on_encoded=lambda hits, new: told.append((hits, new)))


def test_only_what_is_new_is_encoded_and_each_content_once() -> None:
    words, told = WordCounter(), list[tuple[int, int]]()
    encoder = remembering(words, Memory(10_000), told)
    first = encoder.encode(["tea", "coffee", "tea"])
    again = encoder.encode(["tea tea", "coffee"])
    assert words.batches == [["tea", "coffee"], ["tea tea"]]
    np.testing.assert_array_equal(first, [[1, 0], [0, 1], [1, 0]])
    np.testing.assert_array_equal(again, [[2, 0], [0, 1]])
    assert told == [(1, 2), (1, 1)]
    assert (encoder.dim, encoder.fingerprint) == (2, "words")


def test_nothing_is_asked_of_an_encoder_for_nothing() -> None:
    words = WordCounter()
    vectors = remembering(words, Memory(10_000)).encode([])
    assert vectors.shape == (0, 2) and vectors.dtype == np.float32 and words.batches == []


def test_what_was_used_last_is_kept_within_the_bound() -> None:
    words, memory = WordCounter(), Memory(3 * TEXT_BYTES)
    encoder = remembering(words, memory)
    for text in ("a", "b", "c", "a", "d"):  # for d the one that was not used for longest goes: b
        encoder.encode([text])
        assert memory.bytes <= 3 * TEXT_BYTES
    words.batches.clear()
    encoder.encode(["a", "c", "d"])
    assert words.batches == []
    encoder.encode(["b"])
    assert words.batches == [["b"]]


@pytest.mark.parametrize("most", [0, TEXT_BYTES - 1])
def test_a_memory_that_is_too_small_for_anything_encodes_everything(most: int) -> None:
    words, memory = WordCounter(), Memory(most)
    encoder = remembering(words, memory)
    for _ in range(2):
        np.testing.assert_array_equal(encoder.encode(["tea"]), [[1, 0]])
    assert words.batches == [["tea"], ["tea"]] and memory.bytes == 0


def test_encoders_that_share_a_memory_do_not_take_each_others_embeddings() -> None:
    memory, other = Memory(10_000), WordCounter(fingerprint="other words")
    remembering(WordCounter(), memory).encode(["tea"])
    remembering(other, memory).encode(["tea"])
    assert other.batches == [["tea"]]


def test_a_batch_that_fails_leaves_nothing_behind() -> None:
    words, memory = WordCounter(), Memory(10_000)
    encoder = remembering(words, memory)
    with pytest.raises(RuntimeError, match="choked"):
        encoder.encode(["tea", "poison"])
    assert memory.bytes == 0
    np.testing.assert_array_equal(encoder.encode(["tea"]), [[1, 0]])


def test_pictures_are_told_apart_by_pixels_and_by_size() -> None:
    encoder = Remembering(MeanColour(), Memory(100_000), bytes_of_picture)
    red, again = Image.new("RGB", (4, 2), "red"), Image.new("RGB", (4, 2), "red")
    turned, spotted = Image.new("RGB", (2, 4), "red"), red.copy()
    spotted.putpixel((3, 1), (0, 0, 255))
    assert bytes_of_picture(red) == bytes_of_picture(again)
    assert len({bytes_of_picture(each) for each in (red, turned, spotted)}) == 3
    np.testing.assert_allclose(encoder.encode([red, spotted]), [[1.0, 0.0, 0.0], [7 / 8, 0.0, 1 / 8]], atol=1e-6)


def test_many_threads_get_their_own_and_the_bound_holds() -> None:
    class Locked(WordCounter):
        lock = threading.Lock()

        def encode(self, batch: Sequence[str]) -> Matrix:
            with self.lock:
                return super().encode(batch)

    words, memory = Locked(), Memory(20 * TEXT_BYTES)
    encoder = remembering(words, memory)

    def one(thread: int) -> None:
        rng = np.random.default_rng(thread)
        for _ in range(300):
            teas, coffees = rng.integers(0, 7, size=(2, 3))
            batch = [f"{'tea ' * t}{'coffee ' * c}" for t, c in zip(teas, coffees, strict=True)]
            np.testing.assert_array_equal(encoder.encode(batch), np.stack([teas, coffees], axis=1))
            assert memory.bytes <= 20 * TEXT_BYTES

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(one, thread) for thread in range(8)]:
            done.result()
    assert len(words.batches) < 8 * 300
