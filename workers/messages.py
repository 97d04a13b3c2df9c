"""From messages of a topic to the log and the state. No network in here but the store's."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from coldstart.entities import Event
from coldstart.errors import InvalidInput
from coldstart.reports import read_message
from workers.recording import Recorder

MAX_EVENTS = 1000
"""Of one transaction: as many as one ``POST /events`` may bring."""


@dataclass(frozen=True, slots=True)
class Message:
    """What the consumer knows of a message; ``written_at`` in Unix seconds."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    written_at: float


@dataclass(frozen=True, slots=True)
class Poisoned:
    """A message of which nothing can be made, however often it comes."""

    message: Message
    reason: str


def apply(messages: Sequence[Message], recorder: Recorder) -> list[Poisoned]:
    """Record what the messages say; those returned said nothing that can be recorded.

    Each message is recorded whole or not at all. An event that does not say when it was is of when it was written.

    Raises
    ------
    Unavailable
        Where the database does not answer: what was recorded by then may be applied again.
    """
    poisoned: list[Poisoned] = []
    read: list[tuple[Message, list[Event]]] = []
    for message in messages:
        try:
            read.append((message, read_message(message.value, now=message.written_at)))
        except InvalidInput as error:
            poisoned.append(Poisoned(message, str(error)))
    for part in _bounded(read):
        try:
            recorder.record([event for _, events in part for event in events])
        except InvalidInput:
            poisoned += _one_by_one(part, recorder.record)
    return poisoned


def _bounded(read: Sequence[tuple[Message, list[Event]]]) -> Iterator[list[tuple[Message, list[Event]]]]:
    """Runs of messages, of `MAX_EVENTS` events at most where there is more than one."""
    part: list[tuple[Message, list[Event]]] = []
    held = 0
    for each in read:
        if part and held + len(each[1]) > MAX_EVENTS:
            yield part
            part, held = [], 0
        part.append(each)
        held += len(each[1])
    if part:
        yield part


def _one_by_one(
    part: Sequence[tuple[Message, list[Event]]], record: Callable[[Sequence[Event]], object]
) -> Iterator[Poisoned]:
    """Those that the database refuses, though nothing was seen to be wrong with them."""
    for message, events in part:
        try:
            record(events)
        except InvalidInput as error:
            yield Poisoned(message, error.what)
