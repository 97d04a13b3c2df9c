"""Texts that mean harm, on the road that every item takes: strict JSON, the schema, cleaning, the tokeniser."""

import json
import random
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

import orjson
from pydantic import ValidationError

from api.schemas.requests import ItemBody
from coldstart.catalog import Draft
from coldstart.catalog.rows import check_draft
from coldstart.clean import clean_text, compose_text
from coldstart.entities import Item
from coldstart.errors import InvalidInput

BATCH = 64
Make = Callable[[random.Random], str]
CHARACTERS: tuple[Make, ...] = (
    lambda chance: chr(chance.randrange(0x110000)),
    lambda chance: chr(chance.randrange(0xD800, 0xE000)),
    lambda chance: chr(chance.randrange(0x20)),
    lambda chance: chance.choice("\0\x7f\x85\u00a0\u2028\u2029\ufeff\ufffe\uffff\ufffd"),
    lambda chance: chance.choice("\u200b\u200d\u2060\u00ad\u034f\U000e0001\ufe0f"),
    lambda chance: chance.choice("\u202a\u202b\u202d\u202e\u2066\u2067\u2069\u200e\u200f\u05d0\u0627"),
    lambda chance: chance.choice("\u0301\u0316\u0344\u0345\u0f73\u05b0\u20dd\U0001d165") * chance.randint(1, 60),
    lambda chance: chance.choice(("[SEP]", "[CLS]", "[PAD]", "[MASK]", "<s>", "</s>", "<|endoftext|>", "##ing")),
    lambda chance: chance.choice(
        ("ﷺ", "ﬀ", "İ", "ẞ", "가", "\u1100\u1161\u11a8", "👩\u200d👩\u200d👧", "🏳\ufe0f\u200d🌈")
    ),
    lambda chance: chance.choice("abc  \t\n|,;.") * chance.randint(1, 9),
)
EXTREMES = (
    "a" * 100_000, "\u0301" * 100_000, "a" + "\u0301\u0316" * 50_000, "\u202e" * 100_000, "[SEP]" * 20_000,
    "字" * 100_000, "🏳\ufe0f\u200d🌈" * 20_000, "\u1100" * 100_000, " " * 100_000, "\ufdfa" * 100_000, "x" * 10_000_000,
    "\u0301" * 5_000_000,
)  # fmt: skip


class Tokenizer(Protocol):
    """What is used of a tokeniser."""

    def encode_batch(self, input: list[str]) -> object:
        """Tokens of each text."""
        ...


@dataclass
class Outcome:
    """How the texts ended; ``errors`` are what would have been a 500, or an item that cannot be encoded."""

    accepted: int = 0
    refused: int = 0
    errors: list[str] = field(default_factory=list)


def texts(number: int, *, seed: int = 0) -> Iterator[str]:
    """The extremes, then random mixtures of all that Unicode has."""
    yield from EXTREMES[:number]
    chance = random.Random(seed)
    for _ in range(number - len(EXTREMES)):
        kinds = chance.sample(CHARACTERS, chance.randint(1, 3))  # of all at once, nearly every text would be refused
        yield "".join(chance.choice(kinds)(chance) for _ in range(chance.randint(1, 24)))


def attempt(number: int, tokenizer: Tokenizer) -> Outcome:
    """Take so many texts down the road, each as a title, a text and the name and value of an attribute."""
    outcome, waiting = Outcome(), []
    for n, raw in enumerate(texts(number)):
        try:
            waiting.append(_composed(n, raw))
            outcome.accepted += 1
        except (json.JSONDecodeError, ValidationError, InvalidInput):
            outcome.refused += 1
        except Exception as error:  # what the benchmark is here to find
            outcome.errors.append(f"{raw[:40]!r}: {type(error).__name__}: {error}")
        if len(waiting) >= BATCH:
            _tokenise(tokenizer, waiting, outcome)
    _tokenise(tokenizer, waiting, outcome)
    return outcome


def _composed(n: int, raw: str) -> str:
    """What the encoder gets of an item that was posted with this text everywhere."""
    document = {"title": raw[: 2000 if n % 2 else None], "text": raw, "attributes": {raw[:200] or "a": raw[:500]}}
    # Every other text is sent as escapes, in which a lone surrogate can be written, and the rest as bytes.
    sent = json.dumps(document, ensure_ascii=bool(n % 2)).encode(errors="surrogatepass")
    body = ItemBody.model_validate(orjson.loads(sent))
    item = Item("x", body.title, body.text, None, body.attributes)
    check_draft(Draft(item))
    composed = compose_text(item.title, item.text, item.attributes)
    if clean_text(composed) != composed:
        raise AssertionError("cleaned twice it is another text")
    if any(unicodedata.category(char) in ("Cc", "Cs") for char in composed):
        raise AssertionError("a control character or a surrogate is left")
    return composed


def _tokenise(tokenizer: Tokenizer, waiting: list[str], outcome: Outcome) -> None:
    try:
        tokenizer.encode_batch(waiting)
    except Exception as error:  # what the benchmark is here to find
        outcome.errors.append(f"tokeniser: {type(error).__name__}: {error}")
    waiting.clear()
