"""What the text encoder sees of an item: cleaned characters, in the order in which they matter."""

import unicodedata

from coldstart.entities import Attributes, Scalar

PHRASE_CHARS = 120
"""An attribute is a phrase: a longer one would push the text out of the encoder's window."""
MAX_MARKS = 30
"""Combining marks in a row, as in Unicode's Stream-Safe Text Format (UAX 15). Normalising sorts them in quadratic time:
100,000 on one letter, within the limits of a text, held the interpreter for 20 s (`python -m benchmarks.hostile`)."""


def clean_text(raw: str, *, limit_chars: int = 20_000) -> str:
    """Any text as it may be stored, tokenised and shown: NFC, whitespace folded, no control characters.

    A lone surrogate, which breaks tokenisers and UTF-8, becomes U+FFFD; a control character, NUL among them, which
    PostgreSQL refuses, becomes a space; of marks piled on one letter `MAX_MARKS` stay. Idempotent; never raises; takes
    time in proportion to the length.

    >>> clean_text("  Cafe\\u0301\\x00 noir\\n")
    'Café noir'
    """
    paired = raw.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    printable = "".join(" " if unicodedata.category(char) == "Cc" else char for char in paired)
    # Once more afterwards: a mark may be taken apart into two.
    normal = _few_marks(unicodedata.normalize("NFC", _few_marks(printable)))
    folded = " ".join(normal.split())[:limit_chars].rstrip()
    # Of joiners and other invisible characters alone, nothing can be read.
    return folded if any(unicodedata.category(char)[0] not in "CZ" for char in folded) else ""


def _few_marks(text: str) -> str:
    if text.isascii():
        return text
    kept, marks = [], 0
    for char in text:
        marks = marks + 1 if unicodedata.combining(char) else 0
        if marks <= MAX_MARKS:
            kept.append(char)
    return "".join(kept)


def compose_text(title: str, text: str, attributes: Attributes) -> str:
    """The sentence of an item that is embedded: title, then attributes as ``name: value``, then text.

    Encoders cut at about 256 tokens, so what names the item comes first. Lists (genres, tags) stand before other
    attributes, and both in the order of their names: the order of a JSON object does not change the vector. A bar joins
    the elements of a list, since commas place films clearly worse (seen on the validation part of ml1m-mm). Empty
    attributes are left out.

    >>> compose_text("Heat", "A heist goes wrong.", {"genre": ["Crime", "Drama"], "year": 1995})
    'Heat. genre: Crime|Drama. year: 1995. A heist goes wrong.'
    >>> compose_text("Heat", "", {})
    'Heat'
    """
    names = sorted(attributes, key=lambda name: (not isinstance(attributes[name], list), name))
    phrases = [_phrase(name, attributes[name]) for name in names]
    parts = [part for part in (clean_text(title), *phrases, clean_text(text)) if part]
    closed = [part if part.endswith((".", "!", "?")) else f"{part}." for part in parts[:-1]]
    return clean_text(" ".join([*closed, *parts[-1:]]))


def _phrase(name: str, value: Scalar | list[str]) -> str:
    words = "|".join(str(each) for each in value) if isinstance(value, list) else str(value)
    cleaned = clean_text(words, limit_chars=PHRASE_CHARS)
    return f"{clean_text(name, limit_chars=PHRASE_CHARS)}: {cleaned}" if cleaned else ""
